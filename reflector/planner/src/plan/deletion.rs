//! Treatment of mirrors without a claim.

use proto_types::{ObjectKey, Resource};

use super::{Plan, PlanContext, claimed, problem_of, removed};
use crate::diff::Desired;
use crate::hold::HoldReason;
use crate::index::Claim;
use crate::mirror::{Role, SourceReference};
use crate::name::MirrorKey;
use crate::problem::ProblemCause;
use crate::source::Source;

/// Treatment of a mirror that no source requests.
pub(crate) enum OrphanAction {
    Delete,
    Keep,
    KeepBecause(ProblemCause),
}

/// Plans for a key that no Service claims.
pub(super) fn plan_deletion(context: &PlanContext<'_>) -> Plan {
    if let Some((claim, home)) = moving(context) {
        let write_failure = context.index.local();
        let write_failure = write_failure.write_failure(Resource::Services, home.object());
        // What is about to be made needs no more of this one.
        return match write_failure {
            None => Plan::default(),
            Some(_) => Plan {
                service: Desired::Unknown,
                ..claimed(context, &claim)
            },
        };
    }
    let mut plan = Plan::default();
    if let Some(observed) = context.index.local().service(context.key) {
        match orphan_action(context, &observed.owner) {
            OrphanAction::Delete => plan.service = Desired::Absent,
            OrphanAction::Keep => {}
            OrphanAction::KeepBecause(cause) => {
                plan.problems
                    .extend(problem_of(&observed.owner, context.key, cause));
            }
        }
    }
    for (slice, observed) in context.index.local().slices_of(context.key) {
        match orphan_action(context, &observed.owner) {
            OrphanAction::Delete => {
                plan.slices.insert(slice.clone(), Desired::Absent);
            }
            OrphanAction::Keep => {}
            OrphanAction::KeepBecause(cause) => {
                plan.problems
                    .extend(problem_of(&observed.owner, context.key, cause));
            }
        }
    }
    plan.problems.dedup();
    plan
}

/// The Service of a mirror that is to have another name, as long as there is no mirror of that
/// name. Until then this one stays; and where something is in the way, its endpoints are those of
/// the source.
fn moving(context: &PlanContext<'_>) -> Option<(Claim, MirrorKey)> {
    let owner = &context.index.local().service(context.key)?.owner;
    let rank = context.index.policy().rank_of(owner)?;
    let service = owner.service.as_ref()?;
    let home = context.index.key_of(rank, service);
    let is_synced = context.index.source(rank).services.is_synced();
    let has_moved = home != *context.key && context.index.winner(&home) == Some((rank, service));
    if owner.role != Role::Mirror || !is_synced || !has_moved || !context.awaits(&home, service) {
        return None;
    }
    context.note("MirrorMoves", || {
        format!("what is here stays until {home} exists, which takes its place")
    });
    let service = service.clone();
    Some((Claim { rank, service }, home))
}

/// Decides about an object under a key that its source does not request.
pub(crate) fn orphan_action(context: &PlanContext<'_>, owner: &SourceReference) -> OrphanAction {
    let Some(name) = &owner.source else {
        context.note("NotManaged", || {
            "what is here stays: it does not say whose mirror it is".to_owned()
        });
        return OrphanAction::Keep;
    };
    let Some(rank) = context.index.policy().rank_of(owner) else {
        return removed::fate(context, owner, name);
    };
    let source = context.index.source(rank);
    if !source.services.is_synced() {
        context.note("SourceDisconnected", || {
            let state = source.services.as_str();
            format!("what is here stays: its source {name} is {state} and cannot be asked")
        });
        let knows = |it| {
            let known = source.services.known();
            known.is_some_and(|known| known.contains_key(it))
        };
        let lacks = owner.service.as_ref().is_some_and(|it| !knows(it));
        if lacks && source.services_in_part {
            return OrphanAction::KeepBecause(ProblemCause::ListUnconfirmed);
        }
        return OrphanAction::Keep;
    }
    if let Some(cause) = unreadable(source, owner) {
        context.note(cause.reason(), || format!("the mirror stays: {cause}"));
        return OrphanAction::KeepBecause(cause);
    }
    // Slices are of no use without their Service.
    let service = context.index.local().service(context.key);
    let stays = service.is_some_and(|it| !it.owner.is_released);
    let held = owner.service.as_ref();
    let held = held.and_then(|it| source.service_hold.holds(it));
    if let (Some(why), true) = (held, stays) {
        let local = (Resource::Services, context.key.object().clone());
        let cause = held_because(context, local, why);
        context.note("DeletionHeld", || cause.to_string());
        return OrphanAction::KeepBecause(cause);
    }
    context.note("ExportEnded", || {
        format!("what is here goes: source {name} is followed, and does not export it")
    });
    OrphanAction::Delete
}

/// Cause of a deletion that is held.
pub(crate) fn held_because(
    context: &PlanContext<'_>,
    local: (Resource, ObjectKey),
    why: HoldReason,
) -> ProblemCause {
    ProblemCause::DeletionHeld {
        local,
        why,
        hold: context.index.policy().hold,
    }
}

/// The Service of a mirror may not be read, whatever its mirror is called: an alias, for one,
/// cannot be read either.
fn unreadable(source: &Source, owner: &SourceReference) -> Option<ProblemCause> {
    let service = owner.service.as_ref()?;
    let error = source.services.known()?.get(service)?.as_ref().err()?;
    Some(ProblemCause::InvalidSourceObject {
        object: (Resource::Services, service.clone()),
        error: error.clone(),
    })
}
