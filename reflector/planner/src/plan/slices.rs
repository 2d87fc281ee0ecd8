//! The slices of a Service that is wanted.

use proto_types::{ObjectKey, Resource, label};

use super::routes::Routes;
use super::{Case, Fate, Plan, fate, held_because};
use crate::diff::Verdict;
use crate::import::Gate;
use crate::local::Obstacle;
use crate::mirror::{Marks, MirrorSlice, Observed, Role};
use crate::name::{global_slice_name, slice_name};
use crate::problem::Cause;
use crate::service::Kind;
use crate::source::{SliceContent, Source};
use crate::world::Claim;

/// Plans the slices of a Service that is wanted.
pub(super) fn slices(case: &Case<'_>, winner: &Claim, plan: &mut Plan) {
    let occupied = case
        .world
        .local()
        .obstacle(Resource::Services, case.key.object());
    let (Verdict::Want(service), false) = (&plan.service, occupied == Some(&Obstacle::Occupied))
    else {
        // Managed EndpointSlices would become part of an unmanaged Service.
        case.note("AlreadyExists", || {
            "a Service that is not ours has the name: our slices leave it".to_owned()
        });
        let ours = case.world.local().slices_of(case.key);
        let ours = ours.map(|(slice, _)| (slice.clone(), Verdict::Absent));
        plan.slices = ours.collect();
        return;
    };
    let kind = service.spec.kind.clone();
    if !matches!(kind, Kind::External(_)) {
        let shape = Shape {
            kind: &kind,
            routes: None,
        };
        wanted_slices(case, winner, plan, shape);
    }
    for (slice, observed) in case.world.local().slices_of(case.key) {
        if plan.slices.contains_key(slice) {
            continue;
        }
        match leftover(case, winner, (slice, observed), &kind) {
            Fate::Goes => {
                plan.slices.insert(slice.clone(), Verdict::Absent);
            }
            Fate::Stays => {}
            Fate::StaysBecause(cause) => {
                plan.report(case.world.policy().source(winner.rank), winner, cause);
            }
        }
    }
}

/// Target of the EndpointSlices of a source.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'a> {
    /// Kind of their Service.
    pub(crate) kind: &'a Kind,
    /// Mapping of their ports, if it is not the identity.
    pub(super) routes: Option<&'a Routes>,
}

/// Plans the slices that a source has for a Service.
pub(crate) fn wanted_slices(case: &Case<'_>, winner: &Claim, plan: &mut Plan, shape: Shape<'_>) {
    let source: &Source = case.world.source(winner.rank);
    let policy = case.world.policy().source(winner.rank);
    let known = source.slices.known().into_iter();
    let known: Vec<_> = known.flat_map(|it| it.of(&winner.service)).collect();
    let specs = known
        .iter()
        .filter_map(|(_, it)| Some(&it.as_ref().ok()?.spec));
    let own = case.world.policy().own(winner.rank);
    let mut gate = Gate::new(&policy.import, own, specs);
    let mut is_truncated = false;
    report_none(case, winner, known.len(), plan);
    for (original, content) in known {
        let name = match case.world.policy().role(winner.rank) {
            Role::Mirror => slice_name(&policy.name, original),
            Role::Member => global_slice_name(&policy.name, original),
        };
        let slice = ObjectKey::new(case.key.object().namespace(), &name);
        if taken(case, winner, &slice, original) {
            let local = (Resource::EndpointSlices, slice.clone());
            plan.report(policy, winner, Cause::AlreadyExists { local });
            plan.slices.insert(slice, Verdict::Unknown);
            continue;
        }
        let verdict = match content {
            Ok(content) => {
                plan.report_left_out(policy, winner, original, content);
                is_truncated |= content.is_truncated;
                let (spec, refusals) = gate.pass(original.name(), &content.spec);
                for refusal in refusals {
                    plan.refuse(case, winner, refusal);
                }
                case.note("SliceMirrored", || {
                    let n = spec.endpoints.len();
                    format!("slice {slice} shows {n} endpoints of the source's {original}")
                });
                let content = SliceContent {
                    spec,
                    ..content.without_left_out()
                };
                Verdict::Want(mirror(case, winner, (original, content), shape))
            }
            Err(error) => {
                case.note("InvalidSourceEndpointSlice", || {
                    format!("slice {slice} stays as it is: {original} cannot be read: {error}")
                });
                let object = (Resource::EndpointSlices, original.clone());
                let error = error.clone();
                plan.report(policy, winner, Cause::InvalidSourceObject { object, error });
                Verdict::Unknown
            }
        };
        plan.slices.insert(slice, verdict);
    }
    if let Some(refusal) = gate.close() {
        plan.refuse(case, winner, refusal);
    }
    if is_truncated {
        plan.report(policy, winner, Cause::EndpointsTruncated);
    }
}

/// Reports that a source exports no slice of a Service, if it is sure and stays so.
fn report_none(case: &Case<'_>, winner: &Claim, n_known: usize, plan: &mut Plan) {
    let source = case.world.source(winner.rank);
    let is_synced = source.slices.is_synced();
    let known = source.services.known();
    let content = known.and_then(|it| it.get(&winner.service)?.as_ref().ok());
    if content.is_none_or(|it| it.has_selector) {
        return;
    }
    // The problem of a mirror that cannot be written suffices.
    if n_known == 0
        && is_synced
        && case.world.local().service(case.key).is_some()
        && !case
            .world
            .may_have_slices_soon(winner.rank, &winner.service)
    {
        case.note("EndpointsNotExported", || {
            "the source exports no EndpointSlice of it".to_owned()
        });
        let policy = case.world.policy().source(winner.rank);
        plan.report(policy, winner, Cause::EndpointsNotExported);
    }
}

fn mirror(
    case: &Case<'_>,
    winner: &Claim,
    (original, content): (&ObjectKey, SliceContent),
    shape: Shape<'_>,
) -> MirrorSlice {
    let source = case.source(winner);
    let marks = match case.world.policy().role(winner.rank) {
        Role::Mirror => Marks::slice(source, &winner.service, case.key),
        Role::Member => Marks::global_slice(source, &winner.service, case.key),
    };
    let marks = marks.annotation(label::SOURCE_SLICE, original.name());
    let marks = match shape.kind {
        Kind::Headless(_) => marks.label(label::HEADLESS, ""),
        Kind::Virtual(_) | Kind::External(_) => marks,
    };
    let mut spec = case
        .world
        .age(winner.rank, &winner.service)
        .of(&content.spec);
    if let Some(routes) = shape.routes {
        spec.ports = routes.of(&spec.ports);
    }
    MirrorSlice {
        marks,
        spec,
        last_change: content.last_change,
        has_strays: false,
    }
}

/// Returns whether a slice's name is another source's already. The hash in the name makes that an
/// accident or an attack; either must not cost the other its slice.
fn taken(case: &Case<'_>, winner: &Claim, slice: &ObjectKey, original: &ObjectKey) -> bool {
    let Some(Observed { owner, .. }) = case.world.local().slice(slice) else {
        return false;
    };
    let rank = case.world.policy().rank_of(owner);
    let other = rank.is_some_and(|rank| rank != winner.rank);
    other && owner.slice.as_ref() != Some(original)
}

/// Decides about an EndpointSlice that is not planned.
pub(crate) fn leftover(
    case: &Case<'_>,
    winner: &Claim,
    (slice, observed): (&ObjectKey, &Observed<MirrorSlice>),
    kind: &Kind,
) -> Fate {
    let source = case.world.source(winner.rank);
    let others = case.world.policy().rank_of(&observed.owner) != Some(winner.rank);
    let external = matches!(kind, Kind::External(_));
    if !external && !source.slices.is_synced() {
        // What would take its place is not known yet.
        case.note("EndpointSlicesDisconnected", || {
            let state = source.slices.as_str();
            format!("slice {slice} stays: the source's slices are {state}")
        });
        return Fate::Stays;
    }
    if others {
        return match fate(case, &observed.owner) {
            // EndpointSlices of a source that lost the Service are of no use.
            Fate::Goes
            | Fate::StaysBecause(Cause::SourceRemoved | Cause::SourceMayBeRenamed { .. }) => {
                Fate::Goes
            }
            fate @ (Fate::Stays | Fate::StaysBecause(_)) => fate,
        };
    }
    if !external && are_unreadable(source, &winner.service) {
        case.note("InvalidSourceEndpoints", || {
            format!("slice {slice} stays: what is in its place cannot be read")
        });
        return Fate::Stays;
    }
    let held = source.slice_hold.holds(&winner.service);
    if let (Some(why), false, false) = (held, external, observed.owner.is_released) {
        let local = (Resource::EndpointSlices, slice.clone());
        let cause = held_because(case, local, why);
        case.note("SliceDeletionHeld", || cause.to_string());
        return Fate::StaysBecause(cause);
    }
    case.note("SliceNotExported", || {
        format!("slice {slice} goes: no slice of the source asks for it")
    });
    Fate::Goes
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
