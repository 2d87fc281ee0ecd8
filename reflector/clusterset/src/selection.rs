//! Selection of the clusters that serve an import.
//!
//! An order of sets of clusters comes from the cluster selectors of an export (KEP-5939), or from
//! `clusterSet.failover`. The first set with a ready endpoint serves alone: EndpointSlices of other
//! clusters stay, without the label that joins them to the derived Service. Where no set has one,
//! all clusters serve. A cluster whose endpoints are not known changes nothing: absence of
//! evidence is no reason for a failover.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use proto_types::ObjectKey;
use proto_types::label::SERVICE_NAME;
use proto_types::multicluster::{CLUSTER_PROPERTY, CLUSTER_SET_PROPERTY};
use reflector_planner::ImportViolation;
use reflector_planner::slice::{Endpoint, EndpointSliceSpec};
use serde_json::{Value, json};

use crate::admission::Refusals;
use crate::id::ClusterId;
use crate::merge::Member;
use crate::selector::{ClusterSelectors, Known, Properties};
use crate::state::ClusterSet;
use crate::wanted::{Attachment, Copy, Desired};

/// Clusters that serve an import.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selection {
    /// All of them: there is no order.
    #[default]
    All,
    /// One set of the order.
    Set {
        /// The clusters.
        clusters: BTreeSet<ClusterId>,
        /// Place of the set in the order, from 1.
        place: usize,
        /// Number of sets.
        n_sets: usize,
    },
    /// All of them, because no set of the order has a ready endpoint.
    None,
    /// Those that serve now, because endpoints or properties are not known.
    Unchanged,
}

/// Order in which sets of clusters serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// All serve together.
    Together,
    /// Properties that decide are not known.
    Unknown,
    /// The first set with a ready endpoint serves.
    Sets(Vec<BTreeSet<ClusterId>>),
}

/// Returns the export whose cluster selectors count. One of a cluster that may not decide on the
/// traffic of others has no effect, and is reported.
pub(crate) fn deciding<'m, 'a>(
    set: &ClusterSet,
    members: &'m [Member<'a>],
    refusals: &mut Refusals,
) -> Option<&'m Member<'a>> {
    let clusters = &set.settings().clusters;
    let decides = |it: &Member<'_>| {
        clusters
            .get(it.cluster)
            .is_some_and(|it| it.decides_selection)
    };
    let deciding = members.iter().find(|it| decides(it));
    let selectors = deciding.and_then(|it| it.export.selectors.as_ref());
    for other in members.iter().filter(|it| !decides(it)) {
        if other.export.selectors.is_some() && other.export.selectors.as_ref() != selectors {
            refusals.insert((other.cluster.clone(), ImportViolation::ClusterSelectors));
        }
    }
    deciding
}

/// Returns the order of the clusters that export a Service, by the selectors that count.
pub(crate) fn order(
    set: &ClusterSet,
    members: &[Member<'_>],
    selectors: Option<&ClusterSelectors>,
) -> Order {
    let clusters: Vec<_> = members.iter().map(|it| it.cluster).collect();
    let Some(selectors) = selectors else {
        let failover = set.settings().failover.iter();
        let failover = failover.filter(|it| clusters.contains(it));
        let sets: Vec<_> = failover.map(|it| BTreeSet::from([it.clone()])).collect();
        return if sets.is_empty() {
            Order::Together
        } else {
            Order::Sets(sets)
        };
    };
    let local = &set.settings().local;
    let matched = selectors.matches(
        |key| property(set, local, key),
        &clusters,
        |cluster, key| property(set, cluster, key),
    );
    let Some(matched) = matched else {
        return Order::Unknown;
    };
    let sets = matched.into_iter();
    Order::Sets(sets.map(|it| it.into_iter().cloned().collect()).collect())
}

fn property<'a>(set: &'a ClusterSet, cluster: &'a ClusterId, key: &str) -> Known<'a> {
    match key {
        CLUSTER_PROPERTY => return Known::Is(cluster.as_str()),
        CLUSTER_SET_PROPERTY => return Known::Is(&set.settings().name),
        _ => {}
    }
    let known = set.clusters().get(cluster);
    let known: Option<&Properties> = known.and_then(|it| it.properties.as_ref());
    match known.map(|it| it.get(key)) {
        Some(Some(value)) => Known::Is(value),
        Some(None) => Known::Absent,
        None => Known::Unread,
    }
}

/// Decides which clusters serve, and leaves the EndpointSlices of others without a Service.
pub(crate) fn apply(
    (set, key): (&ClusterSet, &ObjectKey),
    order: &Order,
    is_held: bool,
    slices: &mut BTreeMap<ObjectKey, Desired<Copy>>,
) -> Selection {
    let selection = match order {
        Order::Together => return Selection::All,
        Order::Unknown => Selection::Unchanged,
        Order::Sets(_) if is_held => Selection::Unchanged,
        Order::Sets(sets) => select(set, key, sets, slices),
    };
    let served = served_now(set, key);
    for (name, slice) in slices {
        let Desired::Present(copy) = slice else {
            continue;
        };
        let serves = match &selection {
            Selection::All | Selection::None => true,
            Selection::Set { clusters, .. } => clusters.contains(&copy.cluster),
            Selection::Unchanged => served.has(name, &copy.cluster),
        };
        if !serves && copy.attachment != Attachment::Headless {
            copy.attachment = Attachment::Standby;
        }
    }
    selection
}

fn select(
    set: &ClusterSet,
    key: &ObjectKey,
    sets: &[BTreeSet<ClusterId>],
    slices: &BTreeMap<ObjectKey, Desired<Copy>>,
) -> Selection {
    let copies = slices.values().filter_map(|it| match it {
        Desired::Present(copy) => Some(copy),
        Desired::Absent | Desired::Unchanged => None,
    });
    let ready = copies.filter(|it| serves(&it.spec));
    let ready: BTreeSet<_> = ready.map(|it| &it.cluster).collect();
    let kept = set.local().slices_of(key);
    let kept = kept.filter(|(name, _)| slices.get(*name) == Some(&Desired::Unchanged));
    let kept: BTreeSet<_> = kept
        .filter_map(|(_, it)| it.shows.as_ref()?.cluster.as_ref())
        .collect();
    let is_unlisted = |it: &ClusterId| {
        let known = set.clusters().get(it);
        known.is_none_or(|it| it.slices.is_unlisted())
    };
    for (i, clusters) in sets.iter().enumerate() {
        if clusters.iter().any(|it| ready.contains(it)) {
            return Selection::Set {
                clusters: clusters.clone(),
                place: i + 1,
                n_sets: sets.len(),
            };
        }
        let is_unknown = |it: &ClusterId| kept.contains(it) || is_unlisted(it);
        if clusters.iter().any(is_unknown) {
            return Selection::Unchanged;
        }
    }
    Selection::None
}

/// Returns whether an EndpointSlice has an endpoint that can take traffic.
fn serves(slice: &EndpointSliceSpec) -> bool {
    let takes = |it: &Endpoint| it.ready != Some(false) || it.serving == Some(true);
    !slice.ports.is_empty() && slice.endpoints.iter().any(takes)
}

/// EndpointSlices and clusters that serve at the moment.
struct ServedCluster<'a> {
    slices: BTreeMap<&'a ObjectKey, bool>,
    clusters: BTreeSet<&'a ClusterId>,
}

fn served_now<'a>(set: &'a ClusterSet, key: &ObjectKey) -> ServedCluster<'a> {
    let mut served = ServedCluster {
        slices: BTreeMap::new(),
        clusters: BTreeSet::new(),
    };
    for (name, slice) in set.local().slices_of(key) {
        let is_joined = slice.labels.contains_key(SERVICE_NAME);
        served.slices.insert(name, is_joined);
        let cluster = slice.shows.as_ref().and_then(|it| it.cluster.as_ref());
        served.clusters.extend(cluster.filter(|_| is_joined));
    }
    served
}

impl ServedCluster<'_> {
    /// Returns whether an EndpointSlice serves. One that does not exist yet serves as its cluster
    /// does, and all serve where none did.
    fn has(&self, slice: &ObjectKey, cluster: &ClusterId) -> bool {
        let known = self.slices.get(slice).copied();
        known.unwrap_or_else(|| self.clusters.is_empty() || self.clusters.contains(cluster))
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Set {
                clusters,
                place,
                n_sets,
            } => {
                let names: Vec<_> = clusters.iter().map(ClusterId::as_str).collect();
                let names = names.join(", ");
                write!(
                    f,
                    "set {place} of {n_sets} serves, as the first with ready endpoints: {names}"
                )
            }
            Self::None => {
                f.write_str("all clusters serve, because no set of the order has ready endpoints")
            }
            Self::Unchanged => f.write_str(
                "the clusters in service stay as they are, because endpoints or properties of \
                 clusters that come first are not known",
            ),
        }
    }
}

/// Field of the status of a ServiceImport with the clusters of each selector.
pub(crate) const RESULTS: &str = "clusterSelectorResults";

/// Returns the clusters that each selector matches, as the status has them.
pub(crate) fn results(order: Option<&Order>) -> Option<Value> {
    let Some(Order::Sets(sets)) = order else {
        return None;
    };
    let names = |it: &BTreeSet<ClusterId>| {
        let names: Vec<_> = it.iter().map(ClusterId::as_str).collect();
        json!({ "clusters": names })
    };
    Some(sets.iter().map(names).collect())
}

/// Returns whether a status has the results, or they are not known.
pub(crate) fn has_results(status: &Value, order: Option<&Order>) -> bool {
    order == Some(&Order::Unknown) || status.get(RESULTS) == results(order).as_ref()
}
