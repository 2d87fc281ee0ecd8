//! Mirrors of sources that are not configured any more.
//!
//! A source may be configured under another name. With `removedSources: delete`, a mirror is
//! deleted only when no configured source can be the removed one any more: each that may be
//! the same cluster was listed, and has made the mirror its own, or made another, or does not
//! export the Service.

use proto_types::{ObjectKey, Resource};

use super::{OrphanAction, PlanContext, held_because};
use crate::index::Claim;
use crate::mirror::{Role, SourceReference};
use crate::name::{Placement, SourceName};
use crate::policy::{Rank, RemovedSources};
use crate::problem::ProblemCause;

/// Known facts about an object of a removed source.
#[derive(Clone, Copy)]
pub(crate) struct Orphan<'a> {
    pub(crate) role: Role,
    /// Cluster that the source was.
    pub(crate) cluster: Option<&'a str>,
    /// Service of the source.
    pub(crate) service: Option<&'a ObjectKey>,
}

impl<'a> From<&'a SourceReference> for Orphan<'a> {
    fn from(owner: &'a SourceReference) -> Self {
        Self {
            role: owner.role,
            cluster: owner.cluster.as_deref(),
            service: owner.service.as_ref(),
        }
    }
}

/// Decides about a mirror whose source is not configured.
pub(super) fn fate(
    context: &PlanContext<'_>,
    owner: &SourceReference,
    name: &SourceName,
) -> OrphanAction {
    let removed_sources = context.index.policy().removed_sources;
    context.note("SourceRemoved", || {
        format!(
            "source {name} is not configured: {}",
            removed_sources.describe()
        )
    });
    // A slice does not name its cluster, its Service does.
    let service = context
        .index
        .local()
        .service(context.key)
        .map(|it| &it.owner);
    let owner = service
        .filter(|it| it.source == owner.source)
        .unwrap_or(owner);
    let orphan = Orphan::from(owner);
    let waits = match removed_sources {
        RemovedSources::Keep => return OrphanAction::KeepBecause(ProblemCause::SourceRemoved),
        RemovedSources::Delete => awaited(context, orphan),
    };
    if let Some(cause) = waits {
        context.note("SourceMayBeRenamed", || cause.to_string());
        return OrphanAction::KeepBecause(cause);
    }
    let stays = !owner.is_released;
    match held(context, orphan).filter(|_| stays) {
        Some(cause) => {
            context.note("DeletionHeld", || cause.to_string());
            OrphanAction::KeepBecause(cause)
        }
        None => OrphanAction::Delete,
    }
}

/// Returns why a part of a removed source is not deleted yet.
pub(crate) fn awaited(context: &PlanContext<'_>, orphan: Orphan<'_>) -> Option<ProblemCause> {
    let mut awaited =
        successors(context, orphan).filter(|rank| !is_settled(context, orphan, *rank));
    awaited.next().map(|rank| because(context, rank))
}

/// Returns why a claim may not have the mirror of a removed source yet: a source that comes
/// first may be the removed one, and is not listed yet.
pub(super) fn precedes(
    context: &PlanContext<'_>,
    owner: &SourceReference,
    winner: &Claim,
) -> Option<ProblemCause> {
    let policy = context.index.policy();
    // Names with a prefix belong to one source.
    if policy.source(winner.rank).placement != Placement::SameName {
        return None;
    }
    let mut before = successors(context, Orphan::from(owner)).filter(|rank| {
        let is_unknown = !context.index.source(*rank).services.is_synced();
        *rank < winner.rank && is_unknown && policy.source(*rank).placement == Placement::SameName
    });
    before.next().map(|rank| because(context, rank))
}

fn because(context: &PlanContext<'_>, rank: Rank) -> ProblemCause {
    ProblemCause::SourceMayBeRenamed {
        other: context.index.policy().source(rank).name.clone(),
    }
}

/// Sources that may be the removed one under another name.
fn successors<'c>(
    context: &'c PlanContext<'_>,
    orphan: Orphan<'c>,
) -> impl Iterator<Item = Rank> + use<'c> {
    let policy = context.index.policy();
    let ranks = policy.ranks();
    let ranks = ranks.filter(move |it| policy.role(*it) == orphan.role && !policy.is_local(*it));
    ranks.filter(move |rank| {
        let cluster = context.index.source(*rank).any_cluster();
        !matches!((orphan.cluster, cluster), (Some(its), Some(other)) if its != other)
    })
}

/// Returns whether a source has shown what becomes of a part of the removed one.
fn is_settled(context: &PlanContext<'_>, orphan: Orphan<'_>, rank: Rank) -> bool {
    let source = context.index.source(rank);
    if !source.services.is_synced() || !source.slices.is_synced() {
        return false;
    }
    let Some(service) = orphan.service else {
        return true;
    };
    let home = context.index.key_of(rank, service);
    home == *context.key
        || context.index.winner(&home) != Some((rank, service))
        || !context.awaits(&home, service)
}

/// Returns why the list of the same cluster under another name is not accepted yet.
fn held(context: &PlanContext<'_>, orphan: Orphan<'_>) -> Option<ProblemCause> {
    let service = orphan.service?;
    let mut same = successors(context, orphan).filter(|rank| {
        let cluster = context.index.source(*rank).any_cluster();
        orphan.cluster.is_some() && cluster == orphan.cluster
    });
    let why = same.find_map(|rank| context.index.source(rank).service_hold.holds(service))?;
    let local = (Resource::Services, context.key.object().clone());
    Some(held_because(context, local, why))
}
