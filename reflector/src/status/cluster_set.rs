//! The clusterset in a status.

use serde::{Deserialize, Serialize};

/// Status of the clusterset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSetStatus {
    /// Name of the clusterset.
    pub name: String,
    /// Name of the local cluster in it.
    pub cluster: String,
    /// Version of the Multi-Cluster Services API that the local cluster serves; absent while it
    /// serves none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Number of local ServiceImports.
    pub imports: usize,
    /// Number of imports that wait to be planned.
    pub queue_depth: usize,
    /// All clusters of the set.
    pub clusters: Vec<ClusterStatus>,
}

/// One cluster of the set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Name of the cluster.
    pub name: String,
    /// `synced`, `stale` or `unsynced`.
    pub state: String,
    /// Number of ServiceExports.
    pub exports: usize,
    /// Error for which it is not synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl ClusterSetStatus {
    /// Sentence about the clusterset as a whole.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self {
            name,
            cluster,
            imports,
            clusters,
            ..
        } = self;
        let n = clusters.len();
        format!("Clusterset {name}: {n} clusters, {imports} ServiceImports in cluster {cluster}")
    }

    /// Returns one sentence for each failed cluster.
    pub(super) fn failures(&self) -> impl Iterator<Item = String> {
        let failing = self.clusters.iter().filter(|it| it.state != "synced");
        failing.map(|it| {
            let why = it.last_error.as_deref().unwrap_or("not listed yet");
            format!(
                "Cluster {} of the clusterset is {}; what it exported last is kept: {why}",
                it.name, it.state
            )
        })
    }
}
