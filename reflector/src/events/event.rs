//! The Event of a notice.

use std::hash::{DefaultHasher, Hash, Hasher};

use proto_types::name::DnsLabel;
use serde_json::{Value, json};

use super::{ProblemEvent, Subject};
use crate::config::RecordKey;

/// Reporting controller.
const CONTROLLER: &str = "heliograph.dev/reflector";

/// The API's limit of a note.
const MAX_NOTE: usize = 1024;

/// With the hash it fits the name of an object.
const MAX_READABLE: usize = 200;

/// The Event, or nothing where its namespace is not one, or nothing that it could be about.
pub(super) fn event(
    notice: &ProblemEvent,
    (instance, record): (&str, Option<&RecordKey>),
    now: &str,
) -> Option<Value> {
    let (namespace, regarding, action) = regarding(&notice.subject, record)?;
    let kind = if notice.is_warning {
        "Warning"
    } else {
        "Normal"
    };
    Some(json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": namespace.as_str(), "name": name(notice)},
        "eventTime": now,
        "type": kind,
        "reason": notice.reason,
        "action": action,
        "note": truncate(&notice.note, MAX_NOTE),
        "regarding": regarding,
        "reportingController": CONTROLLER,
        "reportingInstance": truncate(instance, 128),
    }))
}

/// Returns the namespace of an Event, the object that it is about, and the action.
fn regarding(
    subject: &Subject,
    record: Option<&RecordKey>,
) -> Option<(DnsLabel, Value, &'static str)> {
    let found = match subject {
        Subject::Mirror { key, uid } => {
            let object = key.object();
            let namespace: DnsLabel = object.namespace().parse().ok()?;
            let mut regarding = json!({
                "apiVersion": "v1",
                "kind": "Service",
                "namespace": namespace.as_str(),
                "name": object.name(),
            });
            if let Some(uid) = uid {
                regarding["uid"] = json!(uid);
            }
            (namespace, regarding, "Mirror")
        }
        Subject::Export {
            version,
            is_import,
            key,
            uid,
        } => {
            let namespace: DnsLabel = key.namespace().parse().ok()?;
            let mut regarding = json!({
                "apiVersion": format!("multicluster.x-k8s.io/{}", version.as_str()),
                "kind": if *is_import { "ServiceImport" } else { "ServiceExport" },
                "namespace": namespace.as_str(),
                "name": key.name(),
            });
            if let Some(uid) = uid {
                regarding["uid"] = json!(uid);
            }
            (namespace, regarding, "Import")
        }
        Subject::Source(_) => {
            let RecordKey { namespace, name } = record?;
            let regarding = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "namespace": namespace.as_str(),
                "name": name,
            });
            (namespace.clone(), regarding, "Follow")
        }
    };
    Some(found)
}

/// The same for the same words about the same object.
pub(super) fn name(notice: &ProblemEvent) -> String {
    let mut hasher = DefaultHasher::new();
    (&notice.subject, &notice.note).hash(&mut hasher);
    let about = match &notice.subject {
        Subject::Mirror { key, .. } => key.object().name().to_owned(),
        Subject::Export { key, .. } => key.name().to_owned(),
        Subject::Source(source) => format!("source-{source}"),
    };
    format!(
        "{}.{:016x}",
        truncate(&about, MAX_READABLE),
        hasher.finish()
    )
}

fn truncate(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

pub(super) fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
