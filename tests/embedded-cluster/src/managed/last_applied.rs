//! What kubectl applied by itself, before it let the server do it.

use serde_json::Value;

use super::bare;
use super::set::Set;
use super::shape;
use super::value::{compare, fields_of};
use crate::Kind;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields that are still as kubectl applied them last.
pub(super) fn own_fields(kind: Kind, live: &Value) -> Set {
    let text = live["metadata"]["annotations"][ANNOTATION].as_str();
    let last = text.and_then(|it| serde_json::from_str::<Value>(it).ok());
    let Some(last) = last.filter(|it| it["apiVersion"] == kind.names().api_version) else {
        return Set::default();
    };
    let shape = shape::of(kind);
    let change = compare(shape, Some(&last), Some(&bare(live)));
    let other = change.modified.union(&change.added).union(&change.removed);
    fields_of(shape, &last).difference(&other)
}

/// Keeps the annotation up to date where there is one.
pub(super) fn renew(object: &mut Value, config: &Value) {
    let annotation = object["metadata"]["annotations"][ANNOTATION].as_str();
    if annotation.is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    let annotations = config.pointer_mut("/metadata/annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    object["metadata"]["annotations"][ANNOTATION] = format!("{config}\n").into();
}
