//! Configuration of a clusterset.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reflector_planner::import::LocalAddresses;
use reflector_planner::{Import, RemovedSources, Staleness};

use crate::id::ClusterId;
use crate::left::Predecessor;

/// Configuration of a clusterset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name of the clusterset, written on managed objects.
    pub name: Box<str>,
    /// The local cluster.
    pub local: ClusterId,
    /// All clusters of the set, with the local one.
    pub clusters: BTreeMap<ClusterId, ClusterSettings>,
    /// Treatment of the endpoints of a cluster that is not configured any more.
    pub removed: RemovedSources,
    /// Time for which deletions in mass are held.
    pub deletion_hold: Duration,
    /// `true` if every deletion waits for another list.
    pub confirm_deletions: bool,
    /// Namespaces that are closed by default and that may be exported nevertheless.
    pub allowed_namespaces: BTreeSet<Box<str>>,
    /// Programs whose imports are adopted.
    pub adopt: BTreeSet<Predecessor>,
    /// Clusters that serve first, in this order, where exports have no cluster selectors.
    pub failover: Vec<ClusterId>,
    /// Addresses of the local cluster, which no other cluster may lead to.
    pub addresses: LocalAddresses,
}

/// Configuration of one cluster of a clusterset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterSettings {
    /// Rule for its endpoints while it is disconnected.
    pub staleness: Staleness,
    /// `true` if its exports may decide which clusters serve first.
    pub decides_selection: bool,
    /// Import policy. The local cluster has none: all of its exports are admitted.
    pub import: Option<Import>,
}

impl ClusterSettings {
    /// Returns the maximum number of its exports that become imports.
    pub(crate) fn max_services(&self) -> Option<usize> {
        self.import.as_ref()?.max_services
    }
}

/// Namespaces whose Services are not exported unless that is configured.
pub const CLOSED_NAMESPACES: [&str; 2] = ["default", "kube-system"];
