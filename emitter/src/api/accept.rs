//! The `Accept` header: what a consumer wants to be answered in.

use emitter_cache::Part;
use emitter_cache::table::Include;
use emitter_cache::{Encoding, ResourceDescriptor};

/// Purpose of a request, as far as it decides about media types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// One object.
    Get,
    /// A list.
    List,
    /// A watch.
    Watch,
}

/// Format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
    Protobuf,
}

/// Possible responses to a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub(super) verb: Verb,
    /// With rows of a table.
    pub(super) include: Include,
    /// `true` if protobuf can represent all fields.
    pub(super) protobuf: bool,
}

/// Negotiated form of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    /// Reason for which a successful response cannot have that form.
    pub(super) misplaced: Option<Unacceptable>,
}

/// Reason for which no response is acceptable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unacceptable {
    /// No media type of the header is known.
    MediaType,
    /// The type is known, and is not offered in that form.
    NotOffered(Offered),
    /// The metadata of one object was requested of a list.
    IsList,
    /// The metadata of a list was requested of one object.
    IsNotList,
}

/// Offered forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    Everything,
    WithoutProtobuf,
    Streams,
    JsonStreams,
}

/// One clause of the header.
#[derive(Debug)]
struct Clause<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Format {
    /// The first one is the default.
    const ALL: [Self; 3] = [Self::Json, Self::Yaml, Self::Protobuf];

    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// Returns the media type of a watch.
    pub(super) const fn stream_type(self) -> &'static str {
        match self {
            Self::Json | Self::Yaml => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        }
    }
}

impl Offered {
    const fn media_types(self) -> &'static str {
        match self {
            Self::Everything => {
                "application/json, application/yaml, application/vnd.kubernetes.protobuf"
            }
            Self::WithoutProtobuf => "application/json, application/yaml",
            Self::Streams => {
                "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
            }
            Self::JsonStreams => "application/json;stream=watch",
        }
    }
}

impl Unacceptable {
    /// As a kube-apiserver words it.
    pub(super) fn message(&self, form: &ResourceDescriptor, verb: Verb) -> String {
        let package = form.package;
        let kind = form.names.kind;
        match self {
            Self::MediaType => {
                let (all, streams) = (Offered::Everything, Offered::Streams);
                let streams = match verb {
                    Verb::Get => String::new(),
                    Verb::List | Verb::Watch => format!(", {}", streams.media_types()),
                };
                let all = all.media_types();
                format!("406: Not Acceptable\n\nAvailable representations: {all}{streams}")
            }
            Self::NotOffered(offered) => {
                let offered = offered.media_types();
                format!("only the following media types are accepted: {offered}")
            }
            Self::IsList => format!(
                "you requested PartialObjectMetadata, \
                 but the requested object is a list (*{package}.{kind}List)"
            ),
            Self::IsNotList => format!(
                "you requested PartialObjectMetadataList, \
                 but the requested object is not a list (*{package}.{kind})"
            ),
        }
    }
}

/// Chooses the encoding. Clauses count by their quality, then by how specific they
/// are; what cannot be served is passed over, as long as another clause follows.
pub(super) fn negotiate(header: Option<&str>, offer: Offer) -> Result<Chosen, Unacceptable> {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return Ok(Chosen {
            format: Format::Json,
            encoding: Encoding::Object,
            misplaced: None,
        });
    };
    for clause in clauses(header) {
        for format in Format::ALL {
            if !clause.names(format) || (format == Format::Protobuf && !offer.protobuf) {
                continue;
            }
            if let Some(encoding) = clause.encoding(format, offer.include) {
                return Ok(Chosen {
                    format,
                    encoding,
                    misplaced: clause.misplaced(format, offer),
                });
            }
        }
    }
    Err(Unacceptable::NotOffered(match offer.protobuf {
        true => Offered::Everything,
        false => Offered::WithoutProtobuf,
    }))
}

/// Returns whether a media type of the header is served at all, regardless of its parameters. A
/// path's answers are looked up by exactly this, before anything else is looked at.
#[must_use]
pub(super) fn is_served(header: Option<&str>) -> bool {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return true;
    };
    let mut clauses = header.split(',').map(Clause::parse);
    clauses.any(|clause| {
        let is_exactly = |format: &Format| clause.media_type == format.media_type();
        clause.media_type == "*/*" || Format::ALL.iter().any(is_exactly)
    })
}

/// Returns the format of rejections: the first plain format that the header accepts.
#[must_use]
pub(super) fn of_refusals(header: Option<&str>) -> Option<Format> {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return Some(Format::Json);
    };
    let clauses = clauses(header);
    let mut plain = clauses
        .iter()
        .filter(|clause| !clause.converts() && !clause.streams_otherwise());
    plain.find_map(|clause| Format::ALL.into_iter().find(|format| clause.names(*format)))
}

/// Returns whether the answer is to be indented, by the clause that is served first.
#[must_use]
pub(super) fn is_pretty(header: Option<&str>) -> bool {
    let clauses = clauses(header.unwrap_or_default());
    let is_known = |clause: &&Clause<'_>| Format::ALL.iter().any(|it| clause.names(*it));
    let first = clauses.iter().find(is_known);
    first.is_some_and(|clause| clause.parameter("pretty") == Some("1"))
}

/// Returns whether the header requests aggregated discovery before any plain answer.
#[must_use]
pub(super) fn wants_aggregated_discovery(header: Option<&str>) -> bool {
    let clauses = clauses(header.unwrap_or_default());
    let first = clauses.into_iter().find(|clause| {
        let aggregated = clause.parameter("as") == Some("APIGroupDiscoveryList");
        clause.media_type == "application/json"
            && (!aggregated || clause.parameter("v") == Some("v2"))
    });
    first.is_some_and(|clause| clause.parameter("as") == Some("APIGroupDiscoveryList"))
}

fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header.split(',').map(Clause::parse).collect();
    // Stable, so that equals stay in the order in which they were written.
    clauses.sort_by(|a, b| {
        b.quality
            .total_cmp(&a.quality)
            .then_with(|| a.wildcards().cmp(&b.wildcards()))
    });
    clauses
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let parameters: Vec<(&str, &str)> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let quality = parameters
            .iter()
            .find(|(name, _)| *name == "q")
            .and_then(|(_, value)| value.parse().ok());
        Self {
            media_type,
            parameters,
            quality: quality.unwrap_or(1.0),
        }
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters
            .iter()
            .find(|(it, _)| *it == name)
            .map(|(_, value)| *value)
    }

    /// Returns whether it requests another kind than the served one, or only for a group or
    /// version.
    fn converts(&self) -> bool {
        ["as", "g", "v"]
            .iter()
            .any(|name| self.parameter(name).is_some())
    }

    fn is_meta_v1(&self) -> bool {
        self.parameter("g") == Some("meta.k8s.io") && self.parameter("v") == Some("v1")
    }

    fn names(&self, format: Format) -> bool {
        let any = ["application/*", "*/*"];
        self.media_type == format.media_type() || any.contains(&self.media_type)
    }

    /// Returns the encoding that the clause requests in that format; `None` if it is not offered.
    fn encoding(&self, format: Format, include: Include) -> Option<Encoding> {
        if self.streams_otherwise() {
            return None;
        }
        match (self.parameter("as"), format) {
            (None, _) if self.converts() => None,
            (None, Format::Protobuf) => Some(Encoding::Protobuf(Part::Whole)),
            (None, Format::Json | Format::Yaml) => Some(Encoding::Object),
            (Some(_), _) if !self.is_meta_v1() => None,
            (Some("Table"), Format::Json | Format::Yaml) => Some(Encoding::Table(include)),
            (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), format) => {
                Some(match format {
                    Format::Protobuf => Encoding::Protobuf(Part::Metadata),
                    Format::Json | Format::Yaml => Encoding::Metadata,
                })
            }
            (Some(_), _) => None,
        }
    }

    fn misplaced(&self, format: Format, offer: Offer) -> Option<Unacceptable> {
        match (self.parameter("as"), offer.verb) {
            (Some("PartialObjectMetadata"), Verb::List) => Some(Unacceptable::IsList),
            (Some("PartialObjectMetadataList"), Verb::Get) => Some(Unacceptable::IsNotList),
            (_, Verb::Watch) if format == Format::Yaml => {
                Some(Unacceptable::NotOffered(match offer.protobuf {
                    true => Offered::Streams,
                    false => Offered::JsonStreams,
                }))
            }
            _ => None,
        }
    }

    /// Returns whether it requests another kind of stream than the served one.
    fn streams_otherwise(&self) -> bool {
        self.parameter("stream").is_some_and(|it| it != "watch")
    }

    fn wildcards(&self) -> usize {
        self.media_type.matches('*').count()
    }
}

#[cfg(test)]
mod tests;
