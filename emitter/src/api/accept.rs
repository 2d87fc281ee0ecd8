//! The `Accept` header: what a consumer wants to be answered in.

use emitter_cache::table::Include;
use emitter_cache::{Encoding, Form};

/// What a request is for, as far as it decides what can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// One object.
    Get,
    /// A list.
    List,
    /// A watch.
    Watch,
}

/// Why no answer is acceptable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unacceptable {
    /// No media type of the header is known.
    MediaType,
    /// One object's metadata was asked for of a list.
    IsList,
    /// A list's metadata was asked for of one object.
    IsNotList,
}

/// One clause of the header.
#[derive(Debug)]
struct Clause<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Unacceptable {
    /// As a kube-apiserver says it.
    pub(super) fn message(&self, form: &Form) -> String {
        let package = form.package;
        let kind = form.names.kind;
        match self {
            Self::MediaType => "406: Not Acceptable\n\nAvailable representations: \
                 application/json, application/json;stream=watch"
                .to_owned(),
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
pub(super) fn negotiate(
    header: Option<&str>,
    verb: Verb,
    include: Include,
) -> Result<Encoding, Unacceptable> {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return Ok(Encoding::Object);
    };
    for clause in clauses(header) {
        if !matches!(
            clause.media_type,
            "application/json" | "application/*" | "*/*"
        ) {
            continue;
        }
        match clause.parameter("as") {
            None => return Ok(Encoding::Object),
            Some(_) if !clause.is_meta_v1() => {}
            Some("Table") => return Ok(Encoding::Table(include)),
            Some("PartialObjectMetadata") if verb == Verb::List => {
                return Err(Unacceptable::IsList);
            }
            Some("PartialObjectMetadataList") if verb == Verb::Get => {
                return Err(Unacceptable::IsNotList);
            }
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => {
                return Ok(Encoding::Metadata);
            }
            Some(_) => {}
        }
    }
    Err(Unacceptable::MediaType)
}

/// Whether a media type of the header is served at all, whatever its parameters say.
/// A path's answers are looked up by exactly this, before anything else is looked at.
#[must_use]
pub(super) fn is_served(header: Option<&str>) -> bool {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return true;
    };
    let mut clauses = header.split(',').map(Clause::parse);
    clauses.any(|clause| matches!(clause.media_type, "application/json" | "*/*"))
}

/// Whether the header takes plain JSON, which refusals are written in. Where it does
/// not, people must be reading, and get them indented.
#[must_use]
pub(super) fn takes_plain_json(header: Option<&str>) -> bool {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return true;
    };
    header.split(',').map(Clause::parse).any(|clause| {
        clause.parameter("as").is_none()
            && matches!(
                clause.media_type,
                "application/json" | "application/*" | "*/*"
            )
    })
}

/// Whether the header asks for aggregated discovery before any plain answer.
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
            .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
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

    fn is_meta_v1(&self) -> bool {
        self.parameter("g") == Some("meta.k8s.io") && self.parameter("v") == Some("v1")
    }

    fn wildcards(&self) -> usize {
        self.media_type.matches('*').count()
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Include, Unacceptable, Verb, negotiate, wants_aggregated_discovery};

    const KUBECTL_GET: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    const PROTOBUF_FIRST: &str = "application/vnd.kubernetes.protobuf,application/json";

    #[test]
    fn clients_get_what_they_prefer_among_what_there_is() {
        let check = |header, verb, expected| {
            assert_eq!(
                negotiate(header, verb, Include::Metadata),
                expected,
                "{header:?}"
            );
        };
        let table = Ok(Encoding::Table(Include::Metadata));
        check(None, Verb::List, Ok(Encoding::Object));
        check(Some("*/*"), Verb::Watch, Ok(Encoding::Object));
        check(Some(KUBECTL_GET), Verb::List, table.clone());
        check(Some(KUBECTL_GET), Verb::Watch, table);
        check(Some(PROTOBUF_FIRST), Verb::Get, Ok(Encoding::Object));
        check(
            Some("application/json;as=Nonsense;g=x;v=v1,*/*"),
            Verb::Get,
            Ok(Encoding::Object),
        );
        check(
            Some("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
            Verb::Watch,
            Ok(Encoding::Metadata),
        );
        check(
            Some("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
            Verb::List,
            Err(Unacceptable::IsList),
        );
        check(Some("text/html"), Verb::Get, Err(Unacceptable::MediaType));
        check(
            Some("application/vnd.kubernetes.protobuf"),
            Verb::Get,
            Err(Unacceptable::MediaType),
        );
        check(
            Some("application/json;q=0.1,application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9"),
            Verb::List,
            Ok(Encoding::Table(Include::Metadata)),
        );
    }

    #[test]
    fn aggregated_discovery_is_asked_for_by_name() {
        assert!(wants_aggregated_discovery(Some(
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        )));
        assert!(!wants_aggregated_discovery(Some(
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
        )));
        assert!(!wants_aggregated_discovery(None));
    }
}
