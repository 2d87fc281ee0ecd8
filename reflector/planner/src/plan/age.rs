//! Endpoints of a silent source, where nothing else is decided about them.

use crate::diff::Verdict;
use crate::import::Gate;
use crate::mirror::{MirrorSlice, Observed, Owner};
use crate::policy::Rank;
use crate::problem::{Cause, Problem};
use crate::slice::SliceSpec;
use crate::staleness::Age;

use super::{Case, Plan, problem_of};

/// Ages the slices that stay as they are: what a source said is not known after a
/// restart, but what is published of it is.
pub(super) fn age(case: &Case<'_>, plan: &mut Plan) {
    let mut problems = Vec::new();
    let first = case.world.claims(case.key).take(1);
    let members = case.member_claims();
    for claim in first.chain(members) {
        let age = case.world.age(claim.rank, &claim.service);
        problems.extend(cause(age).map(|cause| Problem {
            source: case.source(claim).clone(),
            object: claim.service.clone(),
            cause,
        }));
    }
    for (slice, observed) in case.world.local().slices_of(case.key) {
        let age = age_of(case, &observed.owner);
        let verdict = plan.slices.get(slice);
        let (Some(cause), false) = (cause(age), verdict == Some(&Verdict::Absent)) else {
            continue;
        };
        let stays = matches!(verdict, None | Some(Verdict::Unknown));
        if let (Some(aged), true) = (aged(observed, age), stays) {
            let aged = admitted(case, observed, aged);
            plan.slices.insert(slice.clone(), Verdict::Want(aged));
        }
        problems.extend(problem_of(&observed.owner, case.key, cause));
    }
    for problem in problems {
        if !plan.problems.contains(&problem) {
            case.note("SourceStale", || problem.to_string());
            plan.problems.push(problem);
        }
    }
}

/// A slice of which nothing more is known, as it would be shown anew: what is shown of it,
/// changed in some way.
pub(crate) fn shown_anew(
    case: &Case<'_>,
    observed: &Observed<MirrorSlice>,
    change: impl FnOnce(&mut SliceSpec),
) -> Option<MirrorSlice> {
    let mut anew = aged(observed, Age::Fresh)?;
    change(&mut anew.spec);
    anew.spec = age_of(case, &observed.owner).of(&anew.spec);
    Some(admitted(case, observed, anew))
}

fn age_of(case: &Case<'_>, owner: &Owner) -> Age {
    let rank = case.world.policy().rank_of(owner);
    let rest = |rank: Rank| case.world.source(rank).ages.rest;
    match (rank, &owner.service) {
        (Some(rank), Some(service)) => case.world.age(rank, service),
        (Some(rank), None) => rest(rank),
        (None, _) => Age::Fresh,
    }
}

fn aged(observed: &Observed<MirrorSlice>, age: Age) -> Option<MirrorSlice> {
    let shows = observed.shows.as_ref()?;
    Some(MirrorSlice {
        marks: shows.marks.clone(),
        spec: age.of(&shows.spec),
        last_change: shows.last_change.clone(),
        has_strays: false,
    })
}

/// Applies the import policy again to an EndpointSlice that is shown again.
fn admitted(case: &Case<'_>, observed: &Observed<MirrorSlice>, aged: MirrorSlice) -> MirrorSlice {
    let policy = case.world.policy();
    let Some(rank) = policy.rank_of(&observed.owner) else {
        return aged;
    };
    let (import, own) = (&policy.source(rank).import, policy.own(rank));
    let mut gate = Gate::new(import, own, std::iter::once(&aged.spec));
    let (spec, _) = gate.pass("", &aged.spec);
    MirrorSlice { spec, ..aged }
}

fn cause(age: Age) -> Option<Cause> {
    match age {
        Age::Fresh => None,
        Age::NotReady(after) => Some(Cause::StaleEndpointsNotReady { after }),
        Age::Dropped(after) => Some(Cause::StaleEndpointsRemoved { after }),
    }
}
