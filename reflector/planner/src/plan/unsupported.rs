//! Values of optional fields that the local API server rejects, removed from plans.

use proto_types::{ObjectKey, Resource};

use super::{Plan, PlanContext};
use crate::diff::Desired;
use crate::problem::{Problem, ProblemCause};
use crate::rejected::Lost;

/// Removes values that the local API server rejects from a plan, and reports each.
pub(super) fn weaken(context: &PlanContext<'_>, plan: &mut Plan) {
    let rejected = &context.index.local().rejected;
    if rejected.is_empty() {
        return;
    }
    let mut all: Vec<((Resource, ObjectKey), Vec<Lost>)> = Vec::new();
    if let Desired::Present(service) = &mut plan.service {
        let local = (Resource::Services, context.key.object().clone());
        all.push((local, rejected.weaken_service(&mut service.spec)));
    }
    for (key, verdict) in &mut plan.slices {
        if let Desired::Present(slice) = verdict {
            let local = (Resource::EndpointSlices, key.clone());
            all.push((local, rejected.weaken_slice(&mut slice.spec)));
        }
    }
    let Some(claim) = context.index.claims(context.key).next() else {
        return;
    };
    for (local, lost) in all {
        for it in lost {
            let problem = Problem {
                source: context.source(claim).clone(),
                object: claim.service.clone(),
                cause: cause(it, local.clone()),
            };
            if !plan.problems.contains(&problem) {
                context.note("FieldNotSupported", || problem.to_string());
                plan.problems.push(problem);
            }
        }
    }
}

fn cause(lost: Lost, local: (Resource, ObjectKey)) -> ProblemCause {
    ProblemCause::FieldNotSupported {
        local,
        field: lost.field.as_str(),
        value: lost.asked,
        used: lost.used.unwrap_or("none"),
        message: lost.message,
    }
}
