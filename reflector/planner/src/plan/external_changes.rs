//! Objects that another writer keeps changing.

use proto_types::{ObjectKey, Resource};

use super::{Plan, PlanContext};
use crate::diff::Desired;
use crate::problem::{Problem, ProblemCause};

/// Reports the objects that other writers keep changing.
pub(super) fn disputed(context: &PlanContext<'_>) -> Vec<Problem> {
    let Some(claim) = context.index.claims(context.key).next() else {
        return Vec::new();
    };
    let contested = context.index.contested(context.key);
    let problems: Vec<_> = contested
        .map(|local| Problem {
            source: context.source(claim).clone(),
            object: claim.service.clone(),
            cause: ProblemCause::ExternalModification {
                local: local.clone(),
            },
        })
        .collect();
    for problem in &problems {
        context.note("ExternalModification", || problem.to_string());
    }
    problems
}

/// Leaves what another writer keeps changing as it is, until the delay is over.
pub(super) fn back_off(context: &PlanContext<'_>, plan: &mut Plan) {
    let backs_off = |resource, object: &ObjectKey| {
        context
            .index
            .backs_off(context.key, &(resource, object.clone()))
    };
    if backs_off(Resource::Services, context.key.object()) {
        plan.service = Desired::Unknown;
    }
    if backs_off(Resource::Endpoints, context.key.object()) {
        plan.endpoints = Desired::Unknown;
    }
    for (slice, verdict) in &mut plan.slices {
        if backs_off(Resource::EndpointSlices, slice) {
            *verdict = Desired::Unknown;
        }
    }
}
