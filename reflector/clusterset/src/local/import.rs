//! A ServiceImport, as the local cluster has it.

use std::collections::BTreeSet;

use proto_types::RawObject;
use serde::Deserialize;
use serde_json::Value;

use super::Observed;
use crate::api;
use crate::id::ClusterId;

/// A ServiceImport of the local cluster.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct ImportObject {
    /// `spec`.
    #[serde(default)]
    pub spec: Value,
    /// `status`.
    #[serde(default)]
    pub status: Value,
}

impl Observed<ImportObject> {
    /// Reads a ServiceImport.
    #[must_use]
    pub fn import(object: &RawObject) -> Self {
        Self::read(object, serde_json::from_slice(&object.json).ok())
    }

    /// Returns whether this program wrote the import.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.annotations.contains_key(api::CLUSTERSET)
    }

    /// Returns the clusters that the status names.
    #[must_use]
    pub fn clusters(&self) -> BTreeSet<ClusterId> {
        let names = self.cluster_names();
        names.filter_map(|it| it.parse().ok()).collect()
    }

    /// Returns the clusters whose exports made the import, as far as it records them.
    #[must_use]
    pub fn contributors(&self) -> BTreeSet<ClusterId> {
        let names = self.contributor_names();
        names.filter_map(|it| it.parse().ok()).collect()
    }

    fn cluster_names(&self) -> impl Iterator<Item = &str> {
        let status = self.shows.as_ref().map(|it| &it.status);
        let clusters = status.and_then(|it| it.get("clusters")?.as_array());
        let clusters = clusters.into_iter().flatten();
        clusters.filter_map(|it| it.get("cluster")?.as_str())
    }

    /// Returns the names in the status, or those of the annotation before there are any.
    pub(super) fn contributor_names(&self) -> impl Iterator<Item = &str> {
        let has_status = self.cluster_names().next().is_some();
        let at_creation = self.annotations.get(api::EXPORTED_BY);
        let at_creation = at_creation.filter(|_| !has_status).unwrap_or_default();
        self.cluster_names().chain(at_creation.split(','))
    }
}
