//! Exports of many clusters become one import.

use std::borrow::Cow;
use std::fmt::Debug;

use proto_types::Labels;
use reflector_planner::service::{Affinity, Families, Family, ServiceKind, ServicePort};

use crate::conflict::{Conflict, ConflictKind};
use crate::export::{Definition, Export};
use crate::id::ClusterId;
use crate::ports::{self, ImportPort};
use crate::selector::ClusterSelectors;

/// A cluster's export of a Service.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// The cluster.
    pub cluster: &'a ClusterId,
    /// Its ServiceExport.
    pub export: &'a Export,
    /// Its Service.
    pub definition: Cow<'a, Definition>,
}

/// Type of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportType {
    /// Reached by addresses of its own.
    ClusterSetIp,
    /// Reached by the addresses of its endpoints.
    Headless,
}

/// Content of an import, equal in all clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Type.
    pub import_type: ImportType,
    /// Ports.
    pub ports: Vec<ImportPort>,
    /// Session affinity.
    pub affinity: Affinity,
    /// Internal traffic policy.
    pub internal_traffic_policy: Box<str>,
    /// Traffic distribution.
    pub traffic_distribution: Option<Box<str>>,
    /// IP families.
    pub families: Families,
    /// `true` if endpoints get DNS names before they are ready.
    pub publish_not_ready: bool,
    /// Exported labels.
    pub labels: Labels,
    /// Exported annotations.
    pub annotations: Labels,
    /// Cluster selectors.
    pub selectors: Option<ClusterSelectors>,
}

/// Sorts exports by precedence: the oldest first, and by cluster where two are equally old.
pub fn sort(members: &mut [Member<'_>]) {
    members.sort_by_key(|it| (it.export.created.clone(), it.cluster.clone()));
}

/// Returns what an import of these exports shows, and where they differ. The exports are
/// sorted by precedence. `None` without exports.
#[must_use]
pub fn merge(members: &[Member<'_>]) -> Option<(Merged, Vec<Conflict>)> {
    let oldest = members.first()?;
    let spec = &oldest.definition.content.spec;
    let ports = ports::union(members.iter().map(Member::ports));
    let merged = Merged {
        import_type: oldest.import_type(),
        ports,
        affinity: spec.affinity,
        internal_traffic_policy: oldest.definition.internal_traffic_policy.clone(),
        traffic_distribution: spec.traffic_distribution.clone(),
        families: oldest.families(),
        publish_not_ready: spec.publish_not_ready,
        labels: oldest.export.labels.clone(),
        annotations: oldest.export.annotations.clone(),
        selectors: oldest.selectors().cloned(),
    };
    let others = members.get(1..).unwrap_or_default();
    let conflicts = others.iter().flat_map(|it| conflicts(oldest, it));
    Some((merged, conflicts.collect()))
}

fn conflicts(oldest: &Member<'_>, other: &Member<'_>) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let mut check = |kind, winning: String, differing: String| {
        if winning != differing {
            conflicts.push(Conflict {
                kind,
                winner: oldest.cluster.clone(),
                winning,
                other: other.cluster.clone(),
                differing,
            });
        }
    };
    if !ports::agree(oldest.ports(), other.ports()) {
        let words = |it: &Member<'_>| ports::describe(it.ports());
        let (winning, differing) = (words(oldest), words(other));
        // The same ports in another order are no conflict, and print differently.
        check(ConflictKind::Port, winning, differing);
    }
    for (kind, words) in PROPERTIES {
        check(*kind, words(oldest), words(other));
    }
    if oldest.lacks_in(other) {
        let words = |it: &Member<'_>| families_in_words(it.families());
        check(ConflictKind::IpFamily, words(oldest), words(other));
    }
    conflicts
}

type Words = fn(&Member<'_>) -> String;

/// Properties that the oldest export decides, as text.
const PROPERTIES: &[(ConflictKind, Words)] = &[
    (ConflictKind::Type, |it| {
        it.import_type().as_str().to_owned()
    }),
    (ConflictKind::SessionAffinity, |it| match it.affinity() {
        Affinity::None => "None".to_owned(),
        Affinity::ClientIp(_) => "ClientIP".to_owned(),
    }),
    (ConflictKind::SessionAffinityConfig, |it| {
        match it.affinity() {
            Affinity::None => "none".to_owned(),
            Affinity::ClientIp(seconds) => format!("timeout {seconds}s"),
        }
    }),
    (ConflictKind::Annotations, |it| {
        map_in_words(&it.export.annotations)
    }),
    (ConflictKind::Labels, |it| map_in_words(&it.export.labels)),
    (ConflictKind::InternalTrafficPolicy, |it| {
        it.definition.internal_traffic_policy.to_string()
    }),
    (ConflictKind::TrafficDistribution, |it| {
        let distribution = &it.definition.content.spec.traffic_distribution;
        distribution.as_deref().unwrap_or("none").to_owned()
    }),
    (ConflictKind::ClusterSelectors, |it| {
        let selectors = it.selectors();
        selectors.map_or_else(|| "none".to_owned(), |it| it.written.to_string())
    }),
];

impl Member<'_> {
    /// Returns the cluster selectors.
    #[must_use]
    pub fn selectors(&self) -> Option<&ClusterSelectors> {
        self.export.selectors.as_ref()?.valid()
    }

    /// Returns the ports of the Service.
    #[must_use]
    pub fn ports(&self) -> &[ServicePort] {
        &self.definition.content.spec.ports
    }

    fn affinity(&self) -> Affinity {
        self.definition.content.spec.affinity
    }

    fn import_type(&self) -> ImportType {
        match self.definition.content.spec.kind {
            ServiceKind::Headless(_) => ImportType::Headless,
            ServiceKind::Virtual(_) | ServiceKind::External(_) => ImportType::ClusterSetIp,
        }
    }

    fn families(&self) -> Families {
        match self.definition.content.spec.kind {
            ServiceKind::Virtual(families) | ServiceKind::Headless(families) => families,
            ServiceKind::External(_) => Families::Unstated,
        }
    }

    /// Returns whether a younger export lacks an IP family of this one.
    fn lacks_in(&self, younger: &Member<'_>) -> bool {
        match (self.families(), younger.families()) {
            (Families::Unstated, _) | (_, Families::Unstated | Families::Dual(_)) => false,
            (Families::Dual(_), Families::Single(_)) => true,
            (Families::Single(one), Families::Single(other)) => one != other,
        }
    }
}

impl ImportType {
    /// Returns the type as the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterSetIp => "ClusterSetIP",
            Self::Headless => "Headless",
        }
    }
}

fn families_in_words(families: Families) -> String {
    let other = |it: Family| match it {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    };
    match families {
        Families::Unstated => "not stated".to_owned(),
        Families::Single(family) => family.as_str().to_owned(),
        Families::Dual(first) => format!("{}, {}", first.as_str(), other(first).as_str()),
    }
}

fn map_in_words(map: &Labels) -> String {
    if map.is_empty() {
        return "none".to_owned();
    }
    let pairs: Vec<_> = map
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(", ")
}
