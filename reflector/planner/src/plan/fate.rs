//! What becomes of mirrors that nothing asks for.

use proto_types::{ObjectKey, Resource};

use super::{Case, Plan, claimed, problem_of, removed};
use crate::diff::Verdict;
use crate::hold::HoldReason;
use crate::mirror::{Owner, Role};
use crate::name::LocalKey;
use crate::problem::Cause;
use crate::source::Source;
use crate::world::Claim;

/// Treatment of a mirror that no source requests.
pub(crate) enum Fate {
    Goes,
    Stays,
    StaysBecause(Cause),
}

/// Plans for a key that no Service claims.
pub(super) fn abandoned(case: &Case<'_>) -> Plan {
    if let Some((claim, home)) = moving(case) {
        let obstacle = case.world.local();
        let obstacle = obstacle.obstacle(Resource::Services, home.object());
        // What is about to be made needs no more of this one.
        return match obstacle {
            None => Plan::default(),
            Some(_) => Plan {
                service: Verdict::Unknown,
                ..claimed(case, &claim)
            },
        };
    }
    let mut plan = Plan::default();
    if let Some(observed) = case.world.local().service(case.key) {
        match fate(case, &observed.owner) {
            Fate::Goes => plan.service = Verdict::Absent,
            Fate::Stays => {}
            Fate::StaysBecause(cause) => {
                plan.problems
                    .extend(problem_of(&observed.owner, case.key, cause));
            }
        }
    }
    for (slice, observed) in case.world.local().slices_of(case.key) {
        match fate(case, &observed.owner) {
            Fate::Goes => {
                plan.slices.insert(slice.clone(), Verdict::Absent);
            }
            Fate::Stays => {}
            Fate::StaysBecause(cause) => {
                plan.problems
                    .extend(problem_of(&observed.owner, case.key, cause));
            }
        }
    }
    plan.problems.dedup();
    plan
}

/// The Service of a mirror that is to have another name, as long as there is no mirror of that
/// name. Until then this one stays; and where something is in the way, its endpoints are those of
/// the source.
fn moving(case: &Case<'_>) -> Option<(Claim, LocalKey)> {
    let owner = &case.world.local().service(case.key)?.owner;
    let rank = case.world.policy().rank_of(owner)?;
    let service = owner.service.as_ref()?;
    let home = case.world.home(rank, service);
    let is_synced = case.world.source(rank).services.is_synced();
    let has_moved = home != *case.key && case.world.winner(&home) == Some((rank, service));
    if owner.role != Role::Mirror || !is_synced || !has_moved || !case.awaits(&home, service) {
        return None;
    }
    case.note("MirrorMoves", || {
        format!("what is here stays until {home} exists, which takes its place")
    });
    let service = service.clone();
    Some((Claim { rank, service }, home))
}

/// Decides about an object under a key that its source does not request.
pub(crate) fn fate(case: &Case<'_>, owner: &Owner) -> Fate {
    let Some(name) = &owner.source else {
        case.note("NotManaged", || {
            "what is here stays: it does not say whose mirror it is".to_owned()
        });
        return Fate::Stays;
    };
    let Some(rank) = case.world.policy().rank_of(owner) else {
        return removed::fate(case, owner, name);
    };
    let source = case.world.source(rank);
    if !source.services.is_synced() {
        case.note("SourceDisconnected", || {
            let state = source.services.as_str();
            format!("what is here stays: its source {name} is {state} and cannot be asked")
        });
        let knows = |it| {
            let known = source.services.known();
            known.is_some_and(|known| known.contains_key(it))
        };
        let lacks = owner.service.as_ref().is_some_and(|it| !knows(it));
        if lacks && source.services_in_part {
            return Fate::StaysBecause(Cause::ListUnconfirmed);
        }
        return Fate::Stays;
    }
    if let Some(cause) = unreadable(source, owner) {
        case.note(cause.reason(), || format!("the mirror stays: {cause}"));
        return Fate::StaysBecause(cause);
    }
    // Slices are of no use without their Service.
    let service = case.world.local().service(case.key);
    let stays = service.is_some_and(|it| !it.owner.is_released);
    let held = owner.service.as_ref();
    let held = held.and_then(|it| source.service_hold.holds(it));
    if let (Some(why), true) = (held, stays) {
        let local = (Resource::Services, case.key.object().clone());
        let cause = held_because(case, local, why);
        case.note("DeletionHeld", || cause.to_string());
        return Fate::StaysBecause(cause);
    }
    case.note("ExportEnded", || {
        format!("what is here goes: source {name} is followed, and does not export it")
    });
    Fate::Goes
}

/// Cause of a deletion that is held.
pub(crate) fn held_because(
    case: &Case<'_>,
    local: (Resource, ObjectKey),
    why: HoldReason,
) -> Cause {
    Cause::DeletionHeld {
        local,
        why,
        hold: case.world.policy().hold,
    }
}

/// The Service of a mirror may not be read, whatever its mirror is called: an alias, for one,
/// cannot be read either.
fn unreadable(source: &Source, owner: &Owner) -> Option<Cause> {
    let service = owner.service.as_ref()?;
    let error = source.services.known()?.get(service)?.as_ref().err()?;
    Some(Cause::InvalidSourceObject {
        object: (Resource::Services, service.clone()),
        error: error.clone(),
    })
}
