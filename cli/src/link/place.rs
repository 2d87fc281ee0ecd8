//! Place of an emitter, and names that both clusters of a link use.

use anyhow::Context;
use serde_json::Value;

use crate::cluster::Cluster;

/// Place of an emitter, as the reflector needs it.
pub(crate) struct EmitterAddress {
    /// UID of the source cluster.
    pub(crate) cluster: String,
    pub(crate) url: String,
    pub(crate) server_name: Option<String>,
    /// CA certificates in PEM; those of the system, if absent.
    pub(crate) authority: Option<String>,
}

/// Returns a note about a ConfigMap that a Helm release owns and overwrites.
pub(crate) fn helm_note(cluster: &str, map: &Value) -> Vec<String> {
    let metadata = &map["metadata"];
    let is_helms = metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm";
    let name = metadata["name"].as_str().unwrap_or_default();
    let note = format!(
        "ConfigMap {name} of {cluster} belongs to a Helm release: put the change into its values \
         too (-o yaml prints it), or the next upgrade undoes it"
    );
    is_helms.then_some(note).into_iter().collect()
}

/// Audience of the tokens for a source, which no other source accepts.
pub(crate) fn audience(source: &str) -> String {
    format!("heliograph-{source}")
}

/// Returns the UID of a cluster.
pub(crate) async fn uid(cluster: &Cluster) -> anyhow::Result<String> {
    let path = "/api/v1/namespaces/kube-system";
    let namespace = cluster
        .existing(path, "its UID is the identity of the cluster")
        .await?;
    let uid = namespace["metadata"]["uid"].as_str();
    uid.map(str::to_owned)
        .context("namespace kube-system has no UID")
}
