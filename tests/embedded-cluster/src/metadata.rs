//! An object's metadata, read and written where it stands.

use proto_types::ObjectKey;
use serde_json::{Map, Value, json};

/// A JSON object of Kubernetes.
pub(crate) type Object = Map<String, Value>;

/// A text of `metadata`; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// Sets a field of `metadata`.
pub(crate) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    object["metadata"][field] = value.into();
}

/// Removes a field of `metadata`.
pub(crate) fn unset(object: &mut Value, field: &str) -> Option<Value> {
    object["metadata"].as_object_mut()?.remove(field)
}

/// Namespace and name.
pub(crate) fn key(object: &Value) -> ObjectKey {
    ObjectKey::new(text(object, "namespace"), text(object, "name"))
}

/// Whether something keeps an object from going when it is deleted.
pub(crate) fn has_finalizers(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|it| !it.is_empty())
}

/// The uids of its owners.
pub(crate) fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners
        .into_iter()
        .flatten()
        .filter_map(|it| it["uid"].as_str())
}

/// The same object, apart from what every write changes.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        unset(&mut object, "resourceVersion");
        unset(&mut object, "managedFields");
        unset(&mut object, "generation");
        object
    };
    bare(a) == bare(b)
}

/// The same apart from its metadata; labels count.
pub(crate) fn same_content(a: &Value, b: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        object["metadata"] = json!({ "labels": object["metadata"]["labels"] });
        object
    };
    bare(a) == bare(b)
}

/// An object of which only the metadata is said.
pub(crate) fn named(api_version: &str, kind: &str, name: &str) -> Value {
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name } })
}
