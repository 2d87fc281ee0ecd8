//! Objects that another writer keeps changing.

use proto_types::{ObjectKey, Resource};

use super::{Case, Plan};
use crate::diff::Verdict;
use crate::problem::{Cause, Problem};

/// Reports the objects that other writers keep changing.
pub(super) fn disputed(case: &Case<'_>) -> Vec<Problem> {
    let Some(claim) = case.world.claims(case.key).next() else {
        return Vec::new();
    };
    let contested = case.world.contested(case.key);
    let problems: Vec<_> = contested
        .map(|local| Problem {
            source: case.source(claim).clone(),
            object: claim.service.clone(),
            cause: Cause::ExternalModification {
                local: local.clone(),
            },
        })
        .collect();
    for problem in &problems {
        case.note("ExternalModification", || problem.to_string());
    }
    problems
}

/// Leaves what another writer keeps changing as it is, until the delay is over.
pub(super) fn back_off(case: &Case<'_>, plan: &mut Plan) {
    let backs_off =
        |resource, object: &ObjectKey| case.world.backs_off(case.key, &(resource, object.clone()));
    if backs_off(Resource::Services, case.key.object()) {
        plan.service = Verdict::Unknown;
    }
    if backs_off(Resource::Endpoints, case.key.object()) {
        plan.endpoints = Verdict::Unknown;
    }
    for (slice, verdict) in &mut plan.slices {
        if backs_off(Resource::EndpointSlices, slice) {
            *verdict = Verdict::Unknown;
        }
    }
}
