//! Mirrors of sources that are not configured any more.
//!
//! A source may be configured under another name. With `removedSources: delete`, a mirror is
//! deleted only when no configured source can be the removed one any more: each that may be
//! the same cluster was listed, and has made the mirror its own, or made another, or does not
//! export the Service.

use proto_types::{ObjectKey, Resource};

use super::{Case, Fate, held_because};
use crate::mirror::{Owner, Role};
use crate::name::{Placement, SourceName};
use crate::policy::{Rank, RemovedSources};
use crate::problem::Cause;
use crate::world::Claim;

/// Known facts about an object of a removed source.
#[derive(Clone, Copy)]
pub(crate) struct Orphan<'a> {
    pub(crate) role: Role,
    /// Cluster that the source was.
    pub(crate) cluster: Option<&'a str>,
    /// Service of the source.
    pub(crate) service: Option<&'a ObjectKey>,
}

impl<'a> From<&'a Owner> for Orphan<'a> {
    fn from(owner: &'a Owner) -> Self {
        Self {
            role: owner.role,
            cluster: owner.cluster.as_deref(),
            service: owner.service.as_ref(),
        }
    }
}

/// Decides about a mirror whose source is not configured.
pub(super) fn fate(case: &Case<'_>, owner: &Owner, name: &SourceName) -> Fate {
    let removed_sources = case.world.policy().removed_sources;
    case.note("SourceRemoved", || {
        format!(
            "source {name} is not configured: {}",
            removed_sources.in_words()
        )
    });
    // A slice does not say which cluster it is from, its Service does.
    let service = case.world.local().service(case.key).map(|it| &it.owner);
    let owner = service
        .filter(|it| it.source == owner.source)
        .unwrap_or(owner);
    let orphan = Orphan::from(owner);
    let waits = match removed_sources {
        RemovedSources::Keep => return Fate::StaysBecause(Cause::SourceRemoved),
        RemovedSources::Delete => awaited(case, orphan),
    };
    if let Some(cause) = waits {
        case.note("SourceMayBeRenamed", || cause.to_string());
        return Fate::StaysBecause(cause);
    }
    let stays = !owner.is_released;
    match held(case, orphan).filter(|_| stays) {
        Some(cause) => {
            case.note("DeletionHeld", || cause.to_string());
            Fate::StaysBecause(cause)
        }
        None => Fate::Goes,
    }
}

/// Returns why a part of a removed source is not deleted yet.
pub(crate) fn awaited(case: &Case<'_>, orphan: Orphan<'_>) -> Option<Cause> {
    let mut awaited = successors(case, orphan).filter(|rank| !is_settled(case, orphan, *rank));
    awaited.next().map(|rank| because(case, rank))
}

/// Returns why a claim may not have the mirror of a removed source yet: a source that comes
/// first may be the removed one, and is not listed yet.
pub(super) fn precedes(case: &Case<'_>, owner: &Owner, winner: &Claim) -> Option<Cause> {
    let policy = case.world.policy();
    // Names with a prefix belong to one source.
    if policy.source(winner.rank).placement != Placement::SameName {
        return None;
    }
    let mut before = successors(case, Orphan::from(owner)).filter(|rank| {
        let is_unknown = !case.world.source(*rank).services.is_synced();
        *rank < winner.rank && is_unknown && policy.source(*rank).placement == Placement::SameName
    });
    before.next().map(|rank| because(case, rank))
}

fn because(case: &Case<'_>, rank: Rank) -> Cause {
    Cause::SourceMayBeRenamed {
        other: case.world.policy().source(rank).name.clone(),
    }
}

/// Sources that may be the removed one under another name.
fn successors<'c>(case: &'c Case<'_>, orphan: Orphan<'c>) -> impl Iterator<Item = Rank> + use<'c> {
    let policy = case.world.policy();
    let ranks = policy.ranks();
    let ranks = ranks.filter(move |it| policy.role(*it) == orphan.role && !policy.is_local(*it));
    ranks.filter(move |rank| {
        let cluster = case.world.source(*rank).any_cluster();
        !matches!((orphan.cluster, cluster), (Some(its), Some(other)) if its != other)
    })
}

/// Returns whether a source has shown what becomes of a part of the removed one.
fn is_settled(case: &Case<'_>, orphan: Orphan<'_>, rank: Rank) -> bool {
    let source = case.world.source(rank);
    if !source.services.is_synced() || !source.slices.is_synced() {
        return false;
    }
    let Some(service) = orphan.service else {
        return true;
    };
    let home = case.world.home(rank, service);
    home == *case.key
        || case.world.winner(&home) != Some((rank, service))
        || !case.awaits(&home, service)
}

/// Returns why the list of the same cluster under another name is not believed yet.
fn held(case: &Case<'_>, orphan: Orphan<'_>) -> Option<Cause> {
    let service = orphan.service?;
    let mut same = successors(case, orphan).filter(|rank| {
        let cluster = case.world.source(*rank).any_cluster();
        orphan.cluster.is_some() && cluster == orphan.cluster
    });
    let why = same.find_map(|rank| case.world.source(rank).service_hold.holds(service))?;
    let local = (Resource::Services, case.key.object().clone());
    Some(held_because(case, local, why))
}
