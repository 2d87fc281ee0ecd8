//! The core/v1 Endpoints of a mirror, where they are wanted beside its slices.

use proto_types::label;

use super::{Case, Fate, Plan, fate};
use crate::diff::Verdict;
use crate::local::Obstacle;
use crate::mirror::{EndpointsSpec, Marks, MirrorEndpoints, MirrorService, Observed};
use crate::policy::CoreEndpoints;
use crate::service::{Family, Kind};
use crate::slice::SliceSpec;

use proto_types::Resource;

/// Plans the Endpoints by what was planned for Service and slices, and marks the Service
/// that has some: after a restart it says where to look for those to be removed.
pub(super) fn endpoints(case: &Case<'_>, plan: &mut Plan) {
    let local = case.world.local();
    let observed = local.endpoints(case.key);
    let verdict = verdict(case, plan, observed);
    let has_some = observed.is_some() || (!local.knows_endpoints() && local.is_marked(case.key));
    if let Verdict::Want(service) = &mut plan.service
        && (has_some || matches!(verdict, Verdict::Want(_)))
    {
        let marks = std::mem::take(&mut service.marks);
        service.marks = marks.annotation(label::CORE_ENDPOINTS, "true");
    }
    plan.endpoints = verdict;
}

fn verdict(
    case: &Case<'_>,
    plan: &Plan,
    observed: Option<&Observed<MirrorEndpoints>>,
) -> Verdict<MirrorEndpoints> {
    if !case.world.local().knows_endpoints() {
        return Verdict::Unknown;
    }
    match (&plan.service, observed) {
        (Verdict::Want(service), _) if may_have_some(case, service) => {
            let family = family(case, service);
            case.note("EndpointsWritten", || {
                let family = family.as_str();
                format!("Endpoints are wanted beside the slices, and show the {family} ones")
            });
            let marks = Marks::endpoints(&service.marks, &service.spec.kind);
            Verdict::Want(shown(case, plan, marks, family))
        }
        (Verdict::Want(_) | Verdict::Absent, Some(_)) => {
            case.note("EndpointsNotRequired", || {
                "the Endpoints go: none are wanted beside the slices".to_owned()
            });
            Verdict::Absent
        }
        (Verdict::Want(_) | Verdict::Absent, None) => Verdict::Absent,
        (Verdict::Unknown, Some(observed)) => left(case, plan, observed),
        (Verdict::Unknown, None) => Verdict::Unknown,
    }
}

/// Nothing is decided about the Service. Its slices may have aged, though; and where
/// there is none, its Endpoints are of no use.
fn left(
    case: &Case<'_>,
    plan: &Plan,
    observed: &Observed<MirrorEndpoints>,
) -> Verdict<MirrorEndpoints> {
    let service = case.world.local().service(case.key);
    let Some(service) = service else {
        return match fate(case, &observed.owner) {
            Fate::Goes => Verdict::Absent,
            Fate::Stays | Fate::StaysBecause(_) => Verdict::Unknown,
        };
    };
    let (Some(service), Some(shows), false) =
        (&service.shows, &observed.shows, plan.slices.is_empty())
    else {
        return Verdict::Unknown;
    };
    let family = family(case, service);
    Verdict::Want(shown(case, plan, shows.marks.clone(), family))
}

fn may_have_some(case: &Case<'_>, service: &MirrorService) -> bool {
    let local = case.world.local();
    let obstacle = local.obstacle(Resource::Services, case.key.object());
    let policy = case.world.policy();
    let mut claims = case.world.claims(case.key);
    let is_wanted = claims
        .next()
        .is_some_and(|it| policy.source(it.rank).endpoints == CoreEndpoints::Written);
    is_wanted
        && !matches!(service.spec.kind, Kind::External(_))
        && obstacle != Some(&Obstacle::Occupied)
}

/// Returns the Endpoints that the EndpointSlices of the plan amount to.
fn shown(case: &Case<'_>, plan: &Plan, marks: Marks, family: Family) -> MirrorEndpoints {
    let wanted = plan.slices.values().filter_map(|verdict| match verdict {
        Verdict::Want(slice) => Some(&slice.spec),
        Verdict::Absent | Verdict::Unknown => None,
    });
    let stays = case.world.local().slices_of(case.key);
    let stays = stays.filter(|(slice, _)| {
        let verdict = plan.slices.get(*slice);
        matches!(verdict, None | Some(Verdict::Unknown))
    });
    let stays = stays.filter_map(|(_, it)| Some(&it.shows.as_ref()?.spec));
    let slices: Vec<&SliceSpec> = wanted.chain(stays).collect();
    MirrorEndpoints {
        marks,
        spec: EndpointsSpec::of_slices(family, slices.into_iter()),
        has_strays: false,
    }
}

/// The family that comes first in the Service here, as its API server has decided.
fn family(case: &Case<'_>, service: &MirrorService) -> Family {
    let here = case.world.local().service(case.key);
    let here = here.and_then(|it| it.shows.as_ref()?.spec.kind.family());
    here.or_else(|| service.spec.kind.family())
        .unwrap_or(Family::V4)
}
