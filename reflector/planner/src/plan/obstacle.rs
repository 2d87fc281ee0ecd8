//! What stands in the way of writes.

use proto_types::{ObjectKey, Resource};

use super::{Case, Plan};
use crate::diff::{Verdict, diff};
use crate::local::Obstacle;
use crate::name::SourceName;
use crate::problem::{Cause, Problem};

/// Returns what stands in the way of what is still to be written.
pub(super) fn obstacles(case: &Case<'_>, plan: &Plan) -> Vec<Problem> {
    let local = case.world.local();
    let winner = case.world.claims(case.key).next().map(|winner| {
        let source = case.source(winner).clone();
        (source, winner.service.clone())
    });
    let Some((source, original)) = winner.or_else(|| holder(case)) else {
        return Vec::new();
    };
    let service = diff(&plan.service, local.service(case.key))
        .map(|_| (Resource::Services, case.key.object()));
    let slices = plan.slices.iter().filter_map(|(slice, verdict)| {
        diff(verdict, local.slice(slice)).map(|_| (Resource::EndpointSlices, slice))
    });
    let endpoints = diff(&plan.endpoints, local.endpoints(case.key))
        .map(|_| (Resource::Endpoints, case.key.object()));
    let undone = service.into_iter().chain(slices).chain(endpoints);
    let obstacles = undone.filter_map(|(resource, object)| {
        let obstacle = local.obstacle(resource, object)?;
        case.note("WriteFailed", || {
            format!(
                "{} {object} cannot be written: {}",
                resource.kind(),
                obstacle.in_words()
            )
        });
        Some(Problem {
            source: source.clone(),
            object: original.clone(),
            cause: family_missing(plan, obstacle)
                .unwrap_or_else(|| obstacle.cause(resource, object)),
        })
    });
    obstacles.collect()
}

/// Returns the cause if the local cluster lacks an IP family. A mirror is not planned with another
/// family than the source Service, because its endpoints would not be reachable. Only the API
/// server knows the families of the cluster.
fn family_missing(plan: &Plan, obstacle: &Obstacle) -> Option<Cause> {
    let (Verdict::Want(service), Obstacle::Refused(message)) = (&plan.service, obstacle) else {
        return None;
    };
    let is_it = message.contains("spec.ipFamilies") && message.contains("not configured");
    let family = service.spec.kind.family().filter(|_| is_it)?;
    Some(Cause::IpFamilyNotSupported {
        family: family.as_str(),
    })
}

/// Returns source and source Service of the objects under a key.
fn holder(case: &Case<'_>) -> Option<(SourceName, ObjectKey)> {
    let service = case.world.local().service(case.key).map(|it| &it.owner);
    let slices = case
        .world
        .local()
        .slices_of(case.key)
        .map(|(_, it)| &it.owner);
    let owner = service.into_iter().chain(slices).next()?;
    Some((owner.source.clone()?, owner.service.clone()?))
}

impl Obstacle {
    fn cause(&self, resource: Resource, object: &ObjectKey) -> Cause {
        let local = (resource, object.clone());
        match self {
            Self::Occupied => Cause::AlreadyExists { local },
            Self::NamespaceMissing => Cause::NamespaceNotFound {
                namespace: object.namespace().into(),
            },
            Self::NamespaceRefused(message) => Cause::NamespaceCreationFailed {
                namespace: object.namespace().into(),
                message: message.clone(),
            },
            Self::Refused(message) => Cause::WriteRejected {
                local,
                message: message.clone(),
            },
            Self::Overruled => Cause::MutatedOnWrite { local },
            Self::Terminating(finalizers) => Cause::DeletionBlocked {
                local,
                finalizers: finalizers.clone(),
            },
        }
    }
}
