//! Values of optional fields that the local API server rejects, removed from plans.

use proto_types::{ObjectKey, Resource};

use super::{Case, Plan};
use crate::diff::Verdict;
use crate::problem::{Cause, Problem};
use crate::rejected::Lost;

/// Removes values that the local API server rejects from a plan, and reports each.
pub(super) fn weaken(case: &Case<'_>, plan: &mut Plan) {
    let rejected = &case.world.local().rejected;
    if rejected.is_empty() {
        return;
    }
    let mut all: Vec<((Resource, ObjectKey), Vec<Lost>)> = Vec::new();
    if let Verdict::Want(service) = &mut plan.service {
        let local = (Resource::Services, case.key.object().clone());
        all.push((local, rejected.weaken_service(&mut service.spec)));
    }
    for (key, verdict) in &mut plan.slices {
        if let Verdict::Want(slice) = verdict {
            let local = (Resource::EndpointSlices, key.clone());
            all.push((local, rejected.weaken_slice(&mut slice.spec)));
        }
    }
    let Some(claim) = case.world.claims(case.key).next() else {
        return;
    };
    for (local, lost) in all {
        for it in lost {
            let problem = Problem {
                source: case.source(claim).clone(),
                object: claim.service.clone(),
                cause: cause(it, local.clone()),
            };
            if !plan.problems.contains(&problem) {
                case.note("FieldNotSupported", || problem.to_string());
                plan.problems.push(problem);
            }
        }
    }
}

fn cause(lost: Lost, local: (Resource, ObjectKey)) -> Cause {
    Cause::FieldNotSupported {
        local,
        field: lost.field.as_str(),
        value: lost.asked,
        used: lost.used.unwrap_or("none"),
        message: lost.message,
    }
}
