//! Namespaces of the local cluster.

use proto_types::RawObject;
use serde::Deserialize;

#[derive(Deserialize)]
struct NamespaceObject {
    metadata: NamespaceMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamespaceMetadata {
    deletion_timestamp: Option<String>,
}

/// Returns whether objects can be created in a namespace.
#[must_use]
pub fn is_open(namespace: &RawObject) -> bool {
    let read: Option<NamespaceObject> = serde_json::from_slice(&namespace.json).ok();
    read.is_some_and(|it| it.metadata.deletion_timestamp.is_none())
}
