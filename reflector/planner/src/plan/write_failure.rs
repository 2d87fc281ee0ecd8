//! Plans for objects whose last write failed.

use proto_types::{ObjectKey, Resource};

use super::{Plan, PlanContext};
use crate::diff::{Desired, diff};
use crate::local::WriteFailure;
use crate::name::SourceName;
use crate::problem::{Problem, ProblemCause};

/// Returns what stands in the way of what is still to be written.
pub(super) fn write_failures(context: &PlanContext<'_>, plan: &Plan) -> Vec<Problem> {
    let local = context.index.local();
    let winner = context.index.claims(context.key).next().map(|winner| {
        let source = context.source(winner).clone();
        (source, winner.service.clone())
    });
    let Some((source, original)) = winner.or_else(|| holder(context)) else {
        return Vec::new();
    };
    let service = diff(&plan.service, local.service(context.key))
        .map(|_| (Resource::Services, context.key.object()));
    let slices = plan.slices.iter().filter_map(|(slice, verdict)| {
        diff(verdict, local.slice(slice)).map(|_| (Resource::EndpointSlices, slice))
    });
    let endpoints = diff(&plan.endpoints, local.endpoints(context.key))
        .map(|_| (Resource::Endpoints, context.key.object()));
    let undone = service.into_iter().chain(slices).chain(endpoints);
    let write_failures = undone.filter_map(|(resource, object)| {
        let write_failure = local.write_failure(resource, object)?;
        context.note("WriteFailed", || {
            format!(
                "{} {object} cannot be written: {}",
                resource.kind(),
                write_failure.describe()
            )
        });
        Some(Problem {
            source: source.clone(),
            object: original.clone(),
            cause: family_missing(plan, write_failure)
                .unwrap_or_else(|| write_failure.cause(resource, object)),
        })
    });
    write_failures.collect()
}

/// Returns the cause if the local cluster lacks an IP family. A mirror is not planned with another
/// family than the source Service, because its endpoints would not be reachable. Only the API
/// server has the IP families of the cluster.
fn family_missing(plan: &Plan, write_failure: &WriteFailure) -> Option<ProblemCause> {
    let (Desired::Present(service), WriteFailure::Refused(message)) =
        (&plan.service, write_failure)
    else {
        return None;
    };
    let is_it = message.contains("spec.ipFamilies") && message.contains("not configured");
    let family = service.spec.kind.family().filter(|_| is_it)?;
    Some(ProblemCause::IpFamilyNotSupported {
        family: family.as_str(),
    })
}

/// Returns source and source Service of the objects under a key.
fn holder(context: &PlanContext<'_>) -> Option<(SourceName, ObjectKey)> {
    let service = context
        .index
        .local()
        .service(context.key)
        .map(|it| &it.owner);
    let slices = context
        .index
        .local()
        .slices_of(context.key)
        .map(|(_, it)| &it.owner);
    let owner = service.into_iter().chain(slices).next()?;
    Some((owner.source.clone()?, owner.service.clone()?))
}

impl WriteFailure {
    fn cause(&self, resource: Resource, object: &ObjectKey) -> ProblemCause {
        let local = (resource, object.clone());
        match self {
            Self::Occupied => ProblemCause::AlreadyExists { local },
            Self::NamespaceMissing => ProblemCause::NamespaceNotFound {
                namespace: object.namespace().into(),
            },
            Self::NamespaceRefused(message) => ProblemCause::NamespaceCreationFailed {
                namespace: object.namespace().into(),
                message: message.clone(),
            },
            Self::Refused(message) => ProblemCause::WriteRejected {
                local,
                message: message.clone(),
            },
            Self::Overruled => ProblemCause::MutatedOnWrite { local },
            Self::Terminating(finalizers) => ProblemCause::DeletionBlocked {
                local,
                finalizers: finalizers.clone(),
            },
        }
    }
}
