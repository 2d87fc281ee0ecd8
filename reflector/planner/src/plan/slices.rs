//! The slices of a Service that is wanted.

use proto_types::{ObjectKey, Resource, label};

use super::routes::Routes;
use super::{OrphanAction, Plan, PlanContext, held_because, orphan_action};
use crate::diff::Desired;
use crate::import::EndpointFilter;
use crate::index::Claim;
use crate::local::WriteFailure;
use crate::mirror::{MirrorSlice, Observed, OwnershipMetadata, Role};
use crate::name::{global_slice_name, slice_name};
use crate::problem::ProblemCause;
use crate::service::ServiceKind;
use crate::source::{SliceContent, Source};

/// Plans the slices of a Service that is wanted.
pub(super) fn slices(context: &PlanContext<'_>, winner: &Claim, plan: &mut Plan) {
    let occupied = context
        .index
        .local()
        .write_failure(Resource::Services, context.key.object());
    let (Desired::Present(service), false) =
        (&plan.service, occupied == Some(&WriteFailure::Occupied))
    else {
        // Managed EndpointSlices would become part of an unmanaged Service.
        context.note("AlreadyExists", || {
            "a Service that is not ours has the name: our slices leave it".to_owned()
        });
        let ours = context.index.local().slices_of(context.key);
        let ours = ours.map(|(slice, _)| (slice.clone(), Desired::Absent));
        plan.slices = ours.collect();
        return;
    };
    let kind = service.spec.kind.clone();
    if !matches!(kind, ServiceKind::External(_)) {
        let shape = Shape {
            kind: &kind,
            routes: None,
        };
        wanted_slices(context, winner, plan, shape);
    }
    for (slice, observed) in context.index.local().slices_of(context.key) {
        if plan.slices.contains_key(slice) {
            continue;
        }
        match leftover(context, winner, (slice, observed), &kind) {
            OrphanAction::Delete => {
                plan.slices.insert(slice.clone(), Desired::Absent);
            }
            OrphanAction::Keep => {}
            OrphanAction::KeepBecause(cause) => {
                plan.report(context.index.policy().source(winner.rank), winner, cause);
            }
        }
    }
}

/// Target of the EndpointSlices of a source.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'a> {
    /// Kind of their Service.
    pub(crate) kind: &'a ServiceKind,
    /// Mapping of their ports, if it is not the identity.
    pub(super) routes: Option<&'a Routes>,
}

/// Plans the slices that a source has for a Service.
pub(crate) fn wanted_slices(
    context: &PlanContext<'_>,
    winner: &Claim,
    plan: &mut Plan,
    shape: Shape<'_>,
) {
    let source: &Source = context.index.source(winner.rank);
    let policy = context.index.policy().source(winner.rank);
    let known = source.slices.known().into_iter();
    let known: Vec<_> = known.flat_map(|it| it.of(&winner.service)).collect();
    let specs = known
        .iter()
        .filter_map(|(_, it)| Some(&it.as_ref().ok()?.spec));
    let own = context.index.policy().own(winner.rank);
    let mut gate = EndpointFilter::new(&policy.import, own, specs);
    let mut is_truncated = false;
    report_none(context, winner, known.len(), plan);
    for (original, content) in known {
        let name = match context.index.policy().role(winner.rank) {
            Role::Mirror => slice_name(&policy.name, original),
            Role::Member => global_slice_name(&policy.name, original),
        };
        let slice = ObjectKey::new(context.key.object().namespace(), &name);
        if taken(context, winner, &slice, original) {
            let local = (Resource::EndpointSlices, slice.clone());
            plan.report(policy, winner, ProblemCause::AlreadyExists { local });
            plan.slices.insert(slice, Desired::Unknown);
            continue;
        }
        let verdict = match content {
            Ok(content) => {
                plan.report_left_out(policy, winner, original, content);
                is_truncated |= content.is_truncated;
                let (spec, refusals) = gate.pass(original.name(), &content.spec);
                for refusal in refusals {
                    plan.refuse(context, winner, refusal);
                }
                context.note("SliceMirrored", || {
                    let n = spec.endpoints.len();
                    format!("slice {slice} shows {n} endpoints of the source's {original}")
                });
                let content = SliceContent {
                    spec,
                    ..content.without_left_out()
                };
                Desired::Present(mirror(context, winner, (original, content), shape))
            }
            Err(error) => {
                context.note("InvalidSourceEndpointSlice", || {
                    format!("slice {slice} stays as it is: {original} cannot be read: {error}")
                });
                let object = (Resource::EndpointSlices, original.clone());
                let error = error.clone();
                let cause = ProblemCause::InvalidSourceObject { object, error };
                plan.report(policy, winner, cause);
                Desired::Unknown
            }
        };
        plan.slices.insert(slice, verdict);
    }
    if let Some(refusal) = gate.close() {
        plan.refuse(context, winner, refusal);
    }
    if is_truncated {
        plan.report(policy, winner, ProblemCause::EndpointsTruncated);
    }
}

/// Reports that a source exports no slice of a Service, if it is sure and stays so.
fn report_none(context: &PlanContext<'_>, winner: &Claim, n_known: usize, plan: &mut Plan) {
    let source = context.index.source(winner.rank);
    let is_synced = source.slices.is_synced();
    let known = source.services.known();
    let content = known.and_then(|it| it.get(&winner.service)?.as_ref().ok());
    if content.is_none_or(|it| it.has_selector) {
        return;
    }
    // The problem of a mirror that cannot be written suffices.
    if n_known == 0
        && is_synced
        && context.index.local().service(context.key).is_some()
        && !context
            .index
            .may_have_slices_soon(winner.rank, &winner.service)
    {
        context.note("EndpointsNotExported", || {
            "the source exports no EndpointSlice of it".to_owned()
        });
        let policy = context.index.policy().source(winner.rank);
        plan.report(policy, winner, ProblemCause::EndpointsNotExported);
    }
}

fn mirror(
    context: &PlanContext<'_>,
    winner: &Claim,
    (original, content): (&ObjectKey, SliceContent),
    shape: Shape<'_>,
) -> MirrorSlice {
    let source = context.source(winner);
    let marks = match context.index.policy().role(winner.rank) {
        Role::Mirror => OwnershipMetadata::slice(source, &winner.service, context.key),
        Role::Member => OwnershipMetadata::global_slice(source, &winner.service, context.key),
    };
    let marks = marks.annotation(label::SOURCE_SLICE, original.name());
    let marks = match shape.kind {
        ServiceKind::Headless(_) => marks.label(label::HEADLESS, ""),
        ServiceKind::Virtual(_) | ServiceKind::External(_) => marks,
    };
    let mut spec = context
        .index
        .age(winner.rank, &winner.service)
        .of(&content.spec);
    if let Some(routes) = shape.routes {
        spec.ports = routes.of(&spec.ports);
    }
    MirrorSlice {
        marks,
        spec,
        last_change: content.last_change,
        has_unexpected_fields: false,
    }
}

/// Returns whether a slice's name is another source's already. The hash in the name makes that an
/// accident or an attack; either must not cost the other its slice.
fn taken(
    context: &PlanContext<'_>,
    winner: &Claim,
    slice: &ObjectKey,
    original: &ObjectKey,
) -> bool {
    let Some(Observed { owner, .. }) = context.index.local().slice(slice) else {
        return false;
    };
    let rank = context.index.policy().rank_of(owner);
    let other = rank.is_some_and(|rank| rank != winner.rank);
    other && owner.slice.as_ref() != Some(original)
}

/// Decides about an EndpointSlice that is not planned.
pub(crate) fn leftover(
    context: &PlanContext<'_>,
    winner: &Claim,
    (slice, observed): (&ObjectKey, &Observed<MirrorSlice>),
    kind: &ServiceKind,
) -> OrphanAction {
    let source = context.index.source(winner.rank);
    let others = context.index.policy().rank_of(&observed.owner) != Some(winner.rank);
    let external = matches!(kind, ServiceKind::External(_));
    if !external && !source.slices.is_synced() {
        // What would take its place is not known yet.
        context.note("EndpointSlicesDisconnected", || {
            let state = source.slices.as_str();
            format!("slice {slice} stays: the source's slices are {state}")
        });
        return OrphanAction::Keep;
    }
    if others {
        return match orphan_action(context, &observed.owner) {
            // EndpointSlices of a source that lost the Service are of no use.
            OrphanAction::Delete
            | OrphanAction::KeepBecause(
                ProblemCause::SourceRemoved | ProblemCause::SourceMayBeRenamed { .. },
            ) => OrphanAction::Delete,
            fate @ (OrphanAction::Keep | OrphanAction::KeepBecause(_)) => fate,
        };
    }
    if !external && are_unreadable(source, &winner.service) {
        context.note("InvalidSourceEndpoints", || {
            format!("slice {slice} stays: what is in its place cannot be read")
        });
        return OrphanAction::Keep;
    }
    let held = source.slice_hold.holds(&winner.service);
    if let (Some(why), false, false) = (held, external, observed.owner.is_released) {
        let local = (Resource::EndpointSlices, slice.clone());
        let cause = held_because(context, local, why);
        context.note("SliceDeletionHeld", || cause.to_string());
        return OrphanAction::KeepBecause(cause);
    }
    context.note("SliceNotExported", || {
        format!("slice {slice} goes: no slice of the source asks for it")
    });
    OrphanAction::Delete
}

/// Returns whether nothing that the source has of a Service's endpoints can be read, or its
/// Endpoints cannot, which are all of them. They have the name of the Service.
fn are_unreadable(source: &Source, service: &ObjectKey) -> bool {
    let known = source.slices.known().into_iter();
    let mut parts: Vec<_> = known.flat_map(|it| it.of(service)).collect();
    let n_parts = parts.len();
    parts.retain(|(_, content)| content.is_err());
    let all = 0 < n_parts && parts.len() == n_parts;
    all || parts.iter().any(|(original, _)| *original == service)
}
