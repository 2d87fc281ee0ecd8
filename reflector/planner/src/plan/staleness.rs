//! Endpoints of a stale source, if no other rule applies.

use crate::diff::Desired;
use crate::import::EndpointFilter;
use crate::mirror::{MirrorSlice, Observed, SourceReference};
use crate::policy::Rank;
use crate::problem::{Problem, ProblemCause};
use crate::slice::EndpointSliceSpec;
use crate::staleness::Age;

use super::{Plan, PlanContext, problem_of};

/// Ages the slices that stay as they are: the state of a source is not known after a restart, but
/// what is published of it is.
pub(super) fn age(context: &PlanContext<'_>, plan: &mut Plan) {
    let mut problems = Vec::new();
    let first = context.index.claims(context.key).take(1);
    let members = context.member_claims();
    for claim in first.chain(members) {
        let age = context.index.age(claim.rank, &claim.service);
        problems.extend(cause(age).map(|cause| Problem {
            source: context.source(claim).clone(),
            object: claim.service.clone(),
            cause,
        }));
    }
    for (slice, observed) in context.index.local().slices_of(context.key) {
        let age = age_of(context, &observed.owner);
        let verdict = plan.slices.get(slice);
        let (Some(cause), false) = (cause(age), verdict == Some(&Desired::Absent)) else {
            continue;
        };
        let stays = matches!(verdict, None | Some(Desired::Unknown));
        if let (Some(aged), true) = (aged(observed, age), stays) {
            let aged = admitted(context, observed, aged);
            plan.slices.insert(slice.clone(), Desired::Present(aged));
        }
        problems.extend(problem_of(&observed.owner, context.key, cause));
    }
    for problem in problems {
        if !plan.problems.contains(&problem) {
            context.note("SourceStale", || problem.to_string());
            plan.problems.push(problem);
        }
    }
}

/// A slice of which nothing more is known, as it would be shown again: what is shown of it, changed
/// in some way.
pub(crate) fn shown_anew(
    context: &PlanContext<'_>,
    observed: &Observed<MirrorSlice>,
    change: impl FnOnce(&mut EndpointSliceSpec),
) -> Option<MirrorSlice> {
    let mut anew = aged(observed, Age::Fresh)?;
    change(&mut anew.spec);
    anew.spec = age_of(context, &observed.owner).of(&anew.spec);
    Some(admitted(context, observed, anew))
}

fn age_of(context: &PlanContext<'_>, owner: &SourceReference) -> Age {
    let rank = context.index.policy().rank_of(owner);
    let rest = |rank: Rank| context.index.source(rank).ages.rest;
    match (rank, &owner.service) {
        (Some(rank), Some(service)) => context.index.age(rank, service),
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
        has_unexpected_fields: false,
    })
}

/// Applies the import policy again to an EndpointSlice that is shown again.
fn admitted(
    context: &PlanContext<'_>,
    observed: &Observed<MirrorSlice>,
    aged: MirrorSlice,
) -> MirrorSlice {
    let policy = context.index.policy();
    let Some(rank) = policy.rank_of(&observed.owner) else {
        return aged;
    };
    let (import, own) = (&policy.source(rank).import, policy.own(rank));
    let mut gate = EndpointFilter::new(import, own, std::iter::once(&aged.spec));
    let (spec, _) = gate.pass("", &aged.spec);
    MirrorSlice { spec, ..aged }
}

fn cause(age: Age) -> Option<ProblemCause> {
    match age {
        Age::Fresh => None,
        Age::NotReady(after) => Some(ProblemCause::StaleEndpointsNotReady { after }),
        Age::Dropped(after) => Some(ProblemCause::StaleEndpointsRemoved { after }),
    }
}
