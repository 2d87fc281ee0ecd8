//! Conflicts between exports of one Service.

use std::fmt;

use crate::id::ClusterId;

/// Property in which exports of one Service differ (KEP-1645, "Conflict Resolution Policy").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictKind {
    /// Ports.
    Port,
    /// Headless or not.
    Type,
    /// `sessionAffinity`.
    SessionAffinity,
    /// `sessionAffinityConfig`.
    SessionAffinityConfig,
    /// `exportedAnnotations`.
    Annotations,
    /// `exportedLabels`.
    Labels,
    /// `internalTrafficPolicy`.
    InternalTrafficPolicy,
    /// `trafficDistribution`.
    TrafficDistribution,
    /// `ipFamilies`.
    IpFamily,
    /// `clusterSelectors`.
    ClusterSelectors,
}

/// A difference between the export that takes precedence and another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The property.
    pub kind: ConflictKind,
    /// Cluster whose export takes precedence.
    pub winner: ClusterId,
    /// Value that the import has.
    pub winning: String,
    /// Cluster whose export differs.
    pub other: ClusterId,
    /// Value that the import does not have.
    pub differing: String,
}

impl ConflictKind {
    /// Returns the reason of the condition.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Port => "PortConflict",
            Self::Type => "TypeConflict",
            Self::SessionAffinity => "SessionAffinityConflict",
            Self::SessionAffinityConfig => "SessionAffinityConfigConflict",
            Self::Annotations => "AnnotationsConflict",
            Self::Labels => "LabelsConflict",
            Self::InternalTrafficPolicy => "InternalTrafficPolicyConflict",
            Self::TrafficDistribution => "TrafficDistributionConflict",
            Self::IpFamily => "IPFamilyConflict",
            Self::ClusterSelectors => "ClusterSelectorsConflict",
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Port => "ports",
            Self::Type => "type",
            Self::SessionAffinity => "sessionAffinity",
            Self::SessionAffinityConfig => "sessionAffinityConfig",
            Self::Annotations => "exportedAnnotations",
            Self::Labels => "exportedLabels",
            Self::InternalTrafficPolicy => "internalTrafficPolicy",
            Self::TrafficDistribution => "trafficDistribution",
            Self::IpFamily => "ipFamilies",
            Self::ClusterSelectors => "cluster selectors",
        }
    }

    const fn effect(self) -> &'static str {
        match self {
            Self::Port => "each port reaches only the clusters that declare it so",
            Self::IpFamily => "clients of the missing family reach only some of the clusters",
            Self::Type
            | Self::SessionAffinity
            | Self::SessionAffinityConfig
            | Self::Annotations
            | Self::Labels
            | Self::InternalTrafficPolicy
            | Self::ClusterSelectors
            | Self::TrafficDistribution => "the oldest export decides for all clusters",
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            winner,
            winning,
            other,
            differing,
        } = self;
        write!(
            f,
            "{noun} of cluster {other} ({differing}) differ from those of cluster {winner} \
             ({winning}), whose export is older: {effect}; give both exports the same {noun}",
            noun = kind.noun(),
            effect = kind.effect(),
        )
    }
}

/// Returns the reasons of conflicts, each once, joined by commas as the API demands.
#[must_use]
pub fn reasons(conflicts: &[Conflict]) -> String {
    let mut kinds: Vec<_> = conflicts.iter().map(|it| it.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let reasons: Vec<_> = kinds.into_iter().map(ConflictKind::reason).collect();
    reasons.join(",")
}
