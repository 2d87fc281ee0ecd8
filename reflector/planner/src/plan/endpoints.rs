//! The core/v1 Endpoints of a mirror, where they are wanted beside its slices.

use proto_types::label;

use super::{OrphanAction, Plan, PlanContext, orphan_action};
use crate::diff::Desired;
use crate::local::WriteFailure;
use crate::mirror::{EndpointsSpec, MirrorEndpoints, MirrorService, Observed, OwnershipMetadata};
use crate::policy::CoreEndpoints;
use crate::service::{Family, ServiceKind};
use crate::slice::EndpointSliceSpec;

use proto_types::Resource;

/// Plans the Endpoints by what was planned for Service and slices, and marks the Service
/// that has some: after a restart it says where to look for those to be removed.
pub(super) fn endpoints(context: &PlanContext<'_>, plan: &mut Plan) {
    let local = context.index.local();
    let observed = local.endpoints(context.key);
    let verdict = verdict(context, plan, observed);
    let has_some = observed.is_some() || (!local.knows_endpoints() && local.is_marked(context.key));
    if let Desired::Present(service) = &mut plan.service
        && (has_some || matches!(verdict, Desired::Present(_)))
    {
        let marks = std::mem::take(&mut service.marks);
        service.marks = marks.annotation(label::CORE_ENDPOINTS, "true");
    }
    plan.endpoints = verdict;
}

fn verdict(
    context: &PlanContext<'_>,
    plan: &Plan,
    observed: Option<&Observed<MirrorEndpoints>>,
) -> Desired<MirrorEndpoints> {
    if !context.index.local().knows_endpoints() {
        return Desired::Unknown;
    }
    match (&plan.service, observed) {
        (Desired::Present(service), _) if may_have_some(context, service) => {
            let family = family(context, service);
            context.note("EndpointsWritten", || {
                let family = family.as_str();
                format!("Endpoints are wanted beside the slices, and show the {family} ones")
            });
            let marks = OwnershipMetadata::endpoints(&service.marks, &service.spec.kind);
            Desired::Present(shown(context, plan, marks, family))
        }
        (Desired::Present(_) | Desired::Absent, Some(_)) => {
            context.note("EndpointsNotRequired", || {
                "the Endpoints go: none are wanted beside the slices".to_owned()
            });
            Desired::Absent
        }
        (Desired::Present(_) | Desired::Absent, None) => Desired::Absent,
        (Desired::Unknown, Some(observed)) => left(context, plan, observed),
        (Desired::Unknown, None) => Desired::Unknown,
    }
}

/// Nothing is decided about the Service. Its slices may have aged, though; and where
/// there is none, its Endpoints are of no use.
fn left(
    context: &PlanContext<'_>,
    plan: &Plan,
    observed: &Observed<MirrorEndpoints>,
) -> Desired<MirrorEndpoints> {
    let service = context.index.local().service(context.key);
    let Some(service) = service else {
        return match orphan_action(context, &observed.owner) {
            OrphanAction::Delete => Desired::Absent,
            OrphanAction::Keep | OrphanAction::KeepBecause(_) => Desired::Unknown,
        };
    };
    let (Some(service), Some(shows), false) =
        (&service.shows, &observed.shows, plan.slices.is_empty())
    else {
        return Desired::Unknown;
    };
    let family = family(context, service);
    Desired::Present(shown(context, plan, shows.marks.clone(), family))
}

fn may_have_some(context: &PlanContext<'_>, service: &MirrorService) -> bool {
    let local = context.index.local();
    let write_failure = local.write_failure(Resource::Services, context.key.object());
    let policy = context.index.policy();
    let mut claims = context.index.claims(context.key);
    let is_wanted = claims
        .next()
        .is_some_and(|it| policy.source(it.rank).endpoints == CoreEndpoints::Written);
    is_wanted
        && !matches!(service.spec.kind, ServiceKind::External(_))
        && write_failure != Some(&WriteFailure::Occupied)
}

/// Returns the Endpoints that the EndpointSlices of the plan amount to.
fn shown(
    context: &PlanContext<'_>,
    plan: &Plan,
    marks: OwnershipMetadata,
    family: Family,
) -> MirrorEndpoints {
    let wanted = plan.slices.values().filter_map(|verdict| match verdict {
        Desired::Present(slice) => Some(&slice.spec),
        Desired::Absent | Desired::Unknown => None,
    });
    let stays = context.index.local().slices_of(context.key);
    let stays = stays.filter(|(slice, _)| {
        let verdict = plan.slices.get(*slice);
        matches!(verdict, None | Some(Desired::Unknown))
    });
    let stays = stays.filter_map(|(_, it)| Some(&it.shows.as_ref()?.spec));
    let slices: Vec<&EndpointSliceSpec> = wanted.chain(stays).collect();
    MirrorEndpoints {
        marks,
        spec: EndpointsSpec::of_slices(family, slices.into_iter()),
        has_unexpected_fields: false,
    }
}

/// The family that comes first in the local Service, as its API server has decided.
fn family(context: &PlanContext<'_>, service: &MirrorService) -> Family {
    let here = context.index.local().service(context.key);
    let here = here.and_then(|it| it.shows.as_ref()?.spec.kind.family());
    here.or_else(|| service.spec.kind.family())
        .unwrap_or(Family::V4)
}
