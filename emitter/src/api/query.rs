//! Query strings: parameters with their odd parsing rules, checked.
//!
//! The rules are those of `k8s.io/apimachinery`: parameter names are
//! case-sensitive, only the first value of a name counts, unknown names are
//! ignored, and every text but `0` and `false` is true.

pub(super) mod go;

use std::time::Duration;

use emitter_cache::ResourceDescriptor;
use emitter_cache::table::Include;
use proto_types::quote::quote;
use proto_types::status::{Details, StatusCause};
use proto_types::{FieldSelector, LabelSelector, ResourceVersion, Status};

use super::freshness::TIME_LIMIT;

/// The parameters of a list or watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// `true` for a watch.
    pub(super) watch: bool,
    /// Label selector.
    pub(super) labels: LabelSelector,
    /// Field selector.
    pub(super) fields: FieldSelector,
    /// The resource version, where one is given; `0` means any.
    pub(super) revision: Option<ResourceVersion>,
    /// `true` if the resource version is `0`.
    pub(super) is_any: bool,
    /// `true` if the resource version is given and is not `0`.
    pub(super) is_pinned: bool,
    /// Value of `resourceVersionMatch`.
    pub(super) revision_match: Option<RevisionMatch>,
    /// The size of a page, if pages are requested.
    pub(super) limit: Option<usize>,
    /// The page.
    pub(super) continue_token: Option<String>,
    /// Time limit of a watch.
    pub(super) timeout: Option<Duration>,
    /// `true` if bookmarks may be sent.
    pub(super) bookmarks: bool,
    /// Value of `sendInitialEvents`.
    pub(super) send_initial_events: Option<bool>,
}

/// Maximum duration of a watch, regardless of `timeoutSeconds`. Clients open the next one.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum number of terms of a selector.
pub(super) const MAX_TERMS: usize = 100;

/// Maximum number of values of all terms together.
pub(super) const MAX_VALUES: usize = 1000;

/// Value of `resourceVersionMatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RevisionMatch {
    /// Exactly so.
    Exact,
    /// So, or later.
    NotOlderThan,
}

/// The raw parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Splits a query string.
    #[must_use]
    pub(super) fn parse(query: Option<&str>) -> Self {
        Self(go::pairs(query.unwrap_or_default()).collect())
    }

    /// The first value of a parameter.
    #[must_use]
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let is_false = |value: &str| value == "0" || value.eq_ignore_ascii_case("false");
        self.get(name).map(|value| !is_false(value))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        go::parse_int(value).map(Some).map_err(|why| {
            let value = quote(value);
            Status::bad_request(format!("strconv.ParseInt: parsing {value}: {why}"))
        })
    }

    /// Returns the value of `includeObject`: the part of its object that a table row has.
    pub(super) fn include(&self) -> Result<Include, Status> {
        match self.get("includeObject") {
            None | Some("" | "Metadata") => Ok(Include::Metadata),
            Some("None") => Ok(Include::Nothing),
            Some("Object") => Ok(Include::Object),
            Some(other) => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: \
                 must be 'Metadata', 'Object', 'None', or empty",
                quote(other)
            ))),
        }
    }

    /// Returns the time limit of a request other than a watch: `timeout`, or the limit of the
    /// server if that is lower.
    pub(super) fn time_limit(&self) -> Duration {
        let asked = self.text("timeout").and_then(|it| go::duration(it).ok());
        let asked = asked.filter(|it| !it.is_zero());
        asked.unwrap_or(TIME_LIMIT).min(TIME_LIMIT)
    }

    /// Refuses a `timeout` that is no duration.
    pub(super) fn check_timeout(&self) -> Result<(), Status> {
        let timeout = self
            .text("timeout")
            .map_or(Ok(Duration::ZERO), go::duration);
        timeout.map(drop).map_err(|why| {
            Status::bad_request(format!(
                "invalid timeout specified in the request URL - {why}"
            ))
        })
    }

    /// Returns whether JSON is to be indented, which people's tools get unasked.
    #[must_use]
    pub(super) fn pretty(&self, user_agent: Option<&str>) -> bool {
        match self.get("pretty") {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            None | Some("") => user_agent.is_some_and(|agent| {
                ["curl", "Wget", "Mozilla/5.0"]
                    .iter()
                    .any(|it| agent.starts_with(it))
            }),
            Some(_) => false,
        }
    }
}

impl Options {
    /// Reads the parameters of a list or watch of `resource`.
    pub(super) fn parse(
        query: &Query,
        form: &ResourceDescriptor,
        force_watch: bool,
    ) -> Result<Self, Status> {
        let bad = |why: &dyn std::fmt::Display| Status::bad_request(why.to_string());
        let text = |name| query.get(name).unwrap_or_default();
        let timeout = query.number("timeoutSeconds")?;
        let limit = query.number("limit")?;
        let labels: LabelSelector = text("labelSelector").parse().map_err(|why| bad(&why))?;
        let fields: FieldSelector = text("fieldSelector").parse().map_err(|why| bad(&why))?;
        check_fields(&fields, form)?;
        check_cost(&labels, &fields)?;
        let mut options = Self {
            watch: force_watch || query.flag("watch").unwrap_or(false),
            labels,
            fields,
            revision: None,
            is_any: query.text("resourceVersion") == Some("0"),
            is_pinned: !matches!(query.text("resourceVersion"), None | Some("0")),
            revision_match: None,
            limit: limit
                .and_then(|limit| usize::try_from(limit).ok())
                .filter(|limit| 0 < *limit),
            continue_token: query.text("continue").map(str::to_owned),
            timeout: timeout.filter(|seconds| *seconds != 0).map(lasting),
            bookmarks: query.flag("allowWatchBookmarks").unwrap_or(false),
            send_initial_events: query.flag("sendInitialEvents"),
        };
        let revision = query.text("resourceVersion");
        let mut revision_match = query.text("resourceVersionMatch");
        // A watch from no resource version or from 0, without options, begins with the state.
        let anywhere = matches!(revision, None | Some("0"));
        let unsaid = revision_match.is_none() && options.send_initial_events.is_none();
        if options.watch && anywhere && unsaid {
            options.send_initial_events = Some(true);
            revision_match = Some("NotOlderThan");
        }
        options.check(revision, revision_match)?;
        options.revision_match = match revision_match {
            Some("Exact") => Some(RevisionMatch::Exact),
            Some(_) => Some(RevisionMatch::NotOlderThan),
            None => None,
        };
        options.revision = options.parse_revision(revision)?;
        Ok(options)
    }

    fn parse_revision(&self, text: Option<&str>) -> Result<Option<ResourceVersion>, Status> {
        let Some(text) = text else { return Ok(None) };
        if self.continue_token.is_some() && !self.watch {
            // It is refused, whatever it is, once the token is found to be one.
            return Ok(None);
        }
        go::revision(text)
            .map(Some)
            .map_err(|why| match self.watch {
                true => Status::failure(500, "", why),
                false => Status::bad_request(format!("invalid resource version: {why}")),
            })
    }

    /// The combinations that `ValidateListOptions` refuses.
    fn check(&self, revision: Option<&str>, revision_match: Option<&str>) -> Result<(), Status> {
        let mut causes = Vec::new();
        let mut forbid = |field: &'static str, why: &str| {
            causes.push(("FieldValueForbidden", field, format!("Forbidden: {why}")));
        };
        let supported: &[&str] = match self.watch {
            true => &["NotOlderThan"],
            false => &["Exact", "NotOlderThan", ""],
        };
        let known = revision_match.is_none_or(|it| supported.contains(&it));
        if self.watch {
            if self.send_initial_events.is_some() && revision_match != Some("NotOlderThan") {
                forbid(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                );
            }
            if self.send_initial_events.is_none() && revision_match.is_some() {
                forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                );
            }
        } else {
            if revision_match.is_some() && revision.is_none() {
                forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                );
            }
            if revision_match == Some("Exact") && revision == Some("0") {
                forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                );
            }
        }
        if revision_match.is_some() && self.continue_token.is_some() {
            forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            );
        }
        if !known {
            let value = revision_match.unwrap_or_default();
            let supported: Vec<String> = supported.iter().map(|it| quote(it)).collect();
            let supported = supported.join(", ");
            let value = serde_json::Value::from(value);
            let why = format!("Unsupported value: {value}: supported values: {supported}");
            causes.push(("FieldValueNotSupported", "resourceVersionMatch", why));
        }
        if !self.watch && self.send_initial_events.is_some() {
            let why = "Forbidden: sendInitialEvents is forbidden for list".to_owned();
            causes.push(("FieldValueForbidden", "sendInitialEvents", why));
        }
        if causes.is_empty() {
            Ok(())
        } else {
            Err(invalid(causes))
        }
    }
}

/// Returns the duration of a watch of so many seconds. Go counts nanoseconds in 63 bits, which
/// overflow; a negative duration has ended.
fn lasting(seconds: i64) -> Duration {
    let nanoseconds = seconds.wrapping_mul(1_000_000_000);
    let lasting = u64::try_from(nanoseconds).map_or(Duration::ZERO, Duration::from_nanos);
    lasting.min(MAX_TIMEOUT)
}

/// Rejects selectors with more terms or values than any client needs: each is compared with the
/// labels of each object, for each event.
fn check_cost(labels: &LabelSelector, fields: &FieldSelector) -> Result<(), Status> {
    for (name, n, max) in [
        (
            "terms of labelSelector",
            labels.requirements().len(),
            MAX_TERMS,
        ),
        ("values of labelSelector", labels.n_values(), MAX_VALUES),
        ("terms of fieldSelector", fields.terms().len(), MAX_TERMS),
    ] {
        if max < n {
            return Err(Status::bad_request(format!(
                "{n} {name} are too many; this server accepts at most {max}"
            )));
        }
    }
    Ok(())
}

/// The 422 that lists what was wrong.
fn invalid(causes: Vec<(&str, &str, String)>) -> Status {
    let all: Vec<String> = causes
        .iter()
        .map(|(_, field, why)| format!("{field}: {why}"))
        .collect();
    let all = match all.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {all}");
    let causes = causes
        .into_iter()
        .map(|(reason, field, message)| StatusCause {
            reason: reason.to_owned(),
            message,
            field: field.to_owned(),
        });
    Status::failure(422, "Invalid", message).about(Details {
        group: "meta.k8s.io".to_owned(),
        kind: "ListOptions".to_owned(),
        causes: causes.collect(),
        ..Details::default()
    })
}

/// Only some fields can be selected by, and which ones depends on the resource.
fn check_fields(fields: &FieldSelector, form: &ResourceDescriptor) -> Result<(), Status> {
    let is_known = |field: &str| {
        matches!(field, "metadata.name" | "metadata.namespace") || form.selectable.contains(&field)
    };
    let mut fields = fields.terms().iter().map(|term| term.field.as_str());
    let Some(field) = fields.find(|field| !is_known(field)) else {
        return Ok(());
    };
    Err(Status::bad_request(match form.selectable.is_empty() {
        false => format!("field label not supported: {field}"),
        true => format!(
            "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
            quote(field)
        ),
    }))
}

#[cfg(test)]
mod tests;
