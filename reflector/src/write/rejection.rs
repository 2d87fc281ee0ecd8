//! Message of an API server about an object that it rejects, or does not delete.

use std::collections::BTreeSet;

use bytes::Bytes;
use proto_types::{Resource, Status};
use reflector_planner::{OptionalField, Step, Update, Write};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Deleted {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    deletion_timestamp: Option<String>,
    finalizers: Vec<String>,
}

/// Returns the finalizers that keep a deleted object, by the answer to its deletion.
pub(super) fn finalizers(answer: &Bytes) -> Option<Box<str>> {
    let Deleted { metadata } = serde_json::from_slice(answer).ok()?;
    let is_kept = metadata.deletion_timestamp.is_some() && !metadata.finalizers.is_empty();
    is_kept.then(|| metadata.finalizers.join(", ").into())
}

/// Returns the news of a write that was rejected for values of optional fields.
pub(super) fn updates(step: &Step, status: &Status) -> Vec<Update> {
    let (Write::Create(body) | Write::Update(body) | Write::Replace(_, body)) = &step.write else {
        return Vec::new();
    };
    let rejected = optional_fields(step.resource, body, status).into_iter();
    let updates =
        rejected.map(|(field, value, message)| Update::FieldRejected(field, value, message));
    updates.collect()
}

/// A field, the value that was rejected, and the message.
pub(crate) type RejectedField = (OptionalField, Box<str>, Box<str>);

/// Returns the values of optional fields for which an object was rejected. Nothing, if it
/// was rejected for other fields too: without those it would be rejected again.
pub(crate) fn optional_fields(
    resource: Resource,
    body: &[u8],
    status: &Status,
) -> Vec<RejectedField> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    let causes = status.details.iter().flat_map(|it| &it.causes);
    let rejected = causes.map(|cause| {
        let field = OptionalField::at(resource, &cause.field)?;
        let value = match field {
            OptionalField::Hints => "",
            _ => at(&body, &cause.field)?.as_str()?,
        };
        Some((field, value.to_owned(), cause.message.clone()))
    });
    let rejected: Option<BTreeSet<_>> = rejected.collect();
    let rejected = rejected.unwrap_or_default().into_iter();
    let fields = rejected.map(|(field, value, message)| (field, value.into(), message.into()));
    fields.collect()
}

/// Returns the value at a path such as `spec.ports[0].appProtocol`.
fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    for part in path.split('.') {
        let (name, indices) = part.split_once('[').unwrap_or((part, ""));
        value = value.get(name)?;
        for index in indices.split(['[', ']']).filter(|it| !it.is_empty()) {
            value = value.get(index.parse::<usize>().ok()?)?;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_found_by_its_path() {
        let object = json!({"spec": {"ports": [{}, {"appProtocol": "x"}]}});
        let found = at(&object, "spec.ports[1].appProtocol");
        assert_eq!(found, Some(&json!("x")));
        assert_eq!(at(&object, "spec.ports[2].appProtocol"), None);
    }

    #[test]
    fn finalizers_are_read_from_what_is_kept() {
        let of = |object: Value| finalizers(&Bytes::from(object.to_string()));
        let kept = json!({"metadata": {"deletionTimestamp": "t", "finalizers": ["a/b", "c"]}});
        assert_eq!(of(kept).as_deref(), Some("a/b, c"));
        assert_eq!(of(json!({"metadata": {"deletionTimestamp": "t"}})), None);
        assert_eq!(of(json!({"kind": "Status", "status": "Success"})), None);
    }
}
