//! Endpoints of a global Service that kube-proxy prefers.
//!
//! kube-proxy looks at hints alone, and only where every ready endpoint has one
//! (KEP-2433): so all of a Service's endpoints get one, or none does.

use proto_types::label;

use super::member::Members;
use crate::diff::Desired;
use crate::mirror::{MirrorSlice, Role};
use crate::name::SourceName;
use crate::plan::{Plan, PlanContext};
use crate::policy::{GlobalPolicy, PolicyRight};
use crate::slice::Endpoint;

/// Zone of the endpoints of other clusters while local ones are preferred. No node is in that zone,
/// so these endpoints serve all nodes if no local one is ready.
const ELSEWHERE: &str = "heliograph-elsewhere";

/// Preference for endpoints.
enum Preference<'a> {
    /// Nothing.
    None,
    /// Endpoints in the zone of the node.
    SameZone,
    /// Endpoints of the local cluster, whose nodes are in these zones.
    Local(&'a GlobalPolicy),
}

/// Gives the endpoints of a global Service their zones in the local cluster, and hints where there
/// is something to prefer.
pub(super) fn prefer(
    context: &PlanContext<'_>,
    members: &Members<'_>,
    distribution: Option<&str>,
    plan: &mut Plan,
) {
    let slices = plan
        .slices
        .values_mut()
        .filter_map(|verdict| match verdict {
            Desired::Present(slice) => Some(slice),
            Desired::Absent | Desired::Unknown => None,
        });
    let mut slices: Vec<_> = slices.collect();
    for slice in &mut slices {
        translate(context, slice);
    }
    let mut ready = slices.iter().flat_map(|it| it.spec.endpoints.iter());
    let preference = preference(context, members, distribution);
    let is_ours = matches!(plan.service, Desired::Present(_));
    let preference = match preference {
        // Kubernetes' own slices are there too, and have no such hints.
        Preference::Local(_) if !is_ours => Preference::None,
        Preference::SameZone if ready.any(|it| is_ready(it) && it.zone.is_none()) => {
            context.note("NoHints", || {
                "no endpoint gets a hint, because one has no zone".to_owned()
            });
            Preference::None
        }
        preference => preference,
    };
    for slice in slices {
        let is_local = context.index.policy().global().is_some_and(|global| {
            slice.marks.labels.get(label::SOURCE) == Some(global.cluster.as_str())
        });
        for endpoint in &mut slice.spec.endpoints {
            endpoint.hints = match preference {
                Preference::None => Box::default(),
                Preference::SameZone => endpoint.zone.iter().cloned().collect(),
                Preference::Local(global) if is_local => global.zones.clone(),
                Preference::Local(_) => Box::new([ELSEWHERE.into()]),
            };
        }
    }
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.ready != Some(false)
}

/// Returns whether endpoints of the local cluster are preferred: the first member that may
/// decide for all does.
pub(super) fn is_local_first(context: &PlanContext<'_>, members: &Members<'_>) -> bool {
    let policy = context.index.policy();
    let has_zones = policy.global().is_some_and(|it| !it.zones.is_empty());
    let mut all = members.all.iter();
    let first = all.find(|it| policy.has_right(&it.name, PolicyRight::Routing));
    has_zones && first.is_some_and(|it| it.local_first)
}

/// The first member that may decide for all does.
fn preference<'a>(
    context: &PlanContext<'a>,
    members: &Members<'_>,
    distribution: Option<&str>,
) -> Preference<'a> {
    let policy = context.index.policy();
    let mut all = members.all.iter();
    let first = all.find(|it| policy.has_right(&it.name, PolicyRight::Routing));
    let global = policy.global();
    match (first, global) {
        (Some(first), Some(global)) if is_local_first(context, members) => {
            context.note("LocalFirst", || {
                let name = &first.name;
                format!("source {name} asks for local endpoints first: they alone have hints for this cluster's zones")
            });
            Preference::Local(global)
        }
        (_, _) => match distribution {
            Some("PreferSameZone" | "PreferClose" | "PreferSameNode") => Preference::SameZone,
            Some(_) | None => Preference::None,
        },
    }
}

/// A source's zones have other names in the local cluster, where that is configured.
fn translate(context: &PlanContext<'_>, slice: &mut MirrorSlice) {
    let policy = context.index.policy();
    let source = slice.marks.labels.get(label::SOURCE);
    let source = source.and_then(|it| it.parse::<SourceName>().ok());
    let Some(rank) = source.and_then(|it| policy.rank(&it, Role::Member)) else {
        return;
    };
    let zones = policy.zones(rank);
    for endpoint in &mut slice.spec.endpoints {
        if let Some(ours) = endpoint.zone.as_deref().and_then(|it| zones.get(it)) {
            endpoint.zone = Some(ours.clone());
        }
    }
}
