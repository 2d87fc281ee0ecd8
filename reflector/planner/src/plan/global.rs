//! Global Services: Services of many clusters that become one.
//!
//! ```text
//!  east   demo/web ─┐
//!  west   demo/web ─┼─▶ members, the oldest first ─merge─▶ one Service, and of each
//!  here   demo/web ─┘                                      member its own slices
//! ```
//!
//! Invariants:
//!
//! * A global Service is a function of its members alone, so that every cluster that knows the same
//!   members has the same.
//! * A member that is not synced counts with its last known state, which is recorded on the managed
//!   Service. The reflector deletes the Service only if no member is left and none is unknown.
//! * If two members disagree, the older one takes precedence. The other one is reported, and
//!   receives no traffic for a port that has another meaning there.

mod collect;
mod member;
mod merge;
mod mode;
mod modes;
mod order;
mod ports;
mod record;
mod tiers;
mod topology;

use proto_types::name::MAX_LABEL;
use proto_types::{ObjectKey, Resource, label};

use super::slices::{Shape, leftover, wanted_slices};
use super::{OrphanAction, Plan, PlanContext, collision, orphan_action, problem_of};
use crate::diff::Desired;
use crate::index::Claim;
use crate::local::WriteFailure;
use crate::mirror::{
    GLOBAL_CLUSTERS, MirrorService, MirrorSlice, Observed, OwnershipMetadata, Role, TOPOLOGY_HINTS,
    TOPOLOGY_MODE,
};
use crate::name::{GlobalPlacement, Placement, SourceName};
use crate::policy::MissingNamespaces;
use crate::problem::{Problem, ProblemCause};
use crate::service::{ServiceKind, ServiceSpec};

use member::{Member, Members};
use merge::{Merged, merge};
pub(crate) use modes::{adoption, is_announced};
use ports::NewPorts;

/// Owner of the Service under a global name.
enum Holder {
    /// Ours, if it is there.
    Ours,
    /// The local cluster's own, which is a member.
    Local,
    /// It is not known yet.
    Unknown,
}

/// Returns the desired state under the key of a global Service, or `None` if it is none.
pub(crate) fn plan(context: &PlanContext<'_>) -> Option<Plan> {
    let mut members = collect::members(context)?;
    if let Some(frozen) = modes::frozen(context) {
        return Some(frozen);
    }
    modes::settle(context, &mut members);
    let holder = holder(context, &members);
    let mut plan = match holder {
        Holder::Unknown => Plan::default(),
        Holder::Ours | Holder::Local if members.all.is_empty() => vacant(context, &members),
        Holder::Ours | Holder::Local => inhabited(context, &members, &holder),
    };
    plan.problems.extend(members.problems);
    if let Some(first) = context.member_claims().next() {
        let policy = context.index.policy();
        let mirrors = context.index.claims(context.key);
        let mirrors = mirrors.filter(|it| policy.role(it.rank) == Role::Mirror);
        let losers = mirrors.map(|loser| collision(context, first, loser));
        plan.problems.extend(losers);
    }
    Some(plan)
}

/// Returns the owner. If global Services have the names of their members, the Service of the local
/// cluster can have that name.
fn holder(context: &PlanContext<'_>, members: &Members<'_>) -> Holder {
    let policy = context.index.policy();
    let same_name = policy
        .global()
        .is_some_and(|it| it.placement == GlobalPlacement::SameName);
    if !same_name {
        return Holder::Ours;
    }
    let is_local = |member: &Member<'_>| member.rank.is_some_and(|rank| policy.is_local(rank));
    if members.all.iter().any(is_local) {
        context.note("LocalMember", || {
            "the local cluster's own Service is a member, and is left to it".to_owned()
        });
        return Holder::Local;
    }
    let mut local = policy.member_ranks().filter(|rank| policy.is_local(*rank));
    let is_known = local.all(|rank| context.index.source(rank).services.is_synced());
    if is_known || context.index.local().service(context.key).is_some() {
        return Holder::Ours;
    }
    context.note("LocalUnknown", || {
        "nothing is decided before the local cluster's own Services are listed".to_owned()
    });
    Holder::Unknown
}

/// Plans for a global Service without known members.
fn vacant(context: &PlanContext<'_>, members: &Members<'_>) -> Plan {
    let mut plan = Plan::default();
    if !members.unknown.is_empty() {
        context.note("MayHaveMembers", || {
            "it stays: a source that cannot be asked may be a member".to_owned()
        });
    } else if context.index.local().service(context.key).is_some() {
        context.note("NoMembers", || {
            "it goes: every source was asked, and none has it".to_owned()
        });
        plan.service = Desired::Absent;
    }
    leave(context, members, &mut plan);
    plan
}

fn inhabited(context: &PlanContext<'_>, members: &Members<'_>, holder: &Holder) -> Plan {
    let mut plan = Plan::default();
    let name = context.key.object().name();
    if MAX_LABEL < name.len() {
        context.note("NameTooLong", || {
            format!("{MAX_LABEL} characters are allowed")
        });
        let too_long = |member: &Member<'_>| Problem {
            source: member.name.clone().into_owned(),
            object: members.service.clone(),
            cause: ProblemCause::NameTooLong { name: name.into() },
        };
        plan.problems.extend(members.all.iter().map(too_long));
        return plan;
    }
    let ordered = ordered(context, members, holder);
    let specs: Vec<&ServiceSpec> = ordered.iter().map(|it| &*it.spec).collect();
    let frame = match holder {
        Holder::Local => NewPorts::Fixed,
        Holder::Ours | Holder::Unknown => NewPorts::Union,
    };
    let Some(merged) = merge(&specs, frame) else {
        return plan;
    };
    report(context, members, &ordered, &merged, &mut plan);
    if let Holder::Ours = holder {
        plan.service = Desired::Present(service(context, members, &merged.spec));
        plan.namespace_for = creator(context, members);
        let local = context.index.local();
        let occupied = local.write_failure(Resource::Services, context.key.object());
        if occupied == Some(&WriteFailure::Occupied) {
            // Managed EndpointSlices would become part of an unmanaged Service.
            context.note("AlreadyExists", || {
                "a Service that is not ours has the name: our slices leave it".to_owned()
            });
            let ours = local.slices_of(context.key);
            plan.slices = ours.map(|(it, _)| (it.clone(), Desired::Absent)).collect();
            return plan;
        }
    }
    slices(context, members, (&ordered, &merged), &mut plan);
    let recalled = tiers::stand_by(context, members, &mut plan);
    topology::prefer(
        context,
        members,
        merged.spec.traffic_distribution.as_deref(),
        &mut plan,
    );
    leave(context, members, &mut plan);
    for (slice, recalled) in recalled {
        let is_left = plan.slices.get(&slice) != Some(&Desired::Absent);
        if is_left {
            plan.slices.insert(slice, Desired::Present(recalled));
        }
    }
    plan
}

/// The members, with the local cluster's own Service first where it stays as it is.
fn ordered<'m, 'a>(
    context: &PlanContext<'_>,
    members: &'m Members<'a>,
    holder: &Holder,
) -> Vec<&'m Member<'a>> {
    let mut ordered: Vec<_> = members.all.iter().collect();
    if let Holder::Local = holder {
        let policy = context.index.policy();
        // Stable, so that the others stay in their order.
        ordered.sort_by_key(|it| !it.rank.is_some_and(|rank| policy.is_local(rank)));
    }
    ordered
}

fn report(
    context: &PlanContext<'_>,
    members: &Members<'_>,
    ordered: &[&Member<'_>],
    merged: &Merged,
    plan: &mut Plan,
) {
    for difference in &merged.conflicts {
        let source = ordered[difference.member].name.clone().into_owned();
        let winner = ordered[difference.winner].name.clone().into_owned();
        let problem = Problem {
            source,
            object: members.service.clone(),
            cause: ProblemCause::Conflict {
                global: context.key.object().clone(),
                winner,
                conflict: difference.conflict.clone(),
            },
        };
        context.note("Conflict", || problem.to_string());
        plan.problems.push(problem);
    }
}

/// Returns the member for whose mirror a missing namespace is created.
fn creator(context: &PlanContext<'_>, members: &Members<'_>) -> Option<SourceName> {
    let ranks = members.all.iter().filter_map(|it| it.rank);
    let mut policies = ranks.map(|rank| context.index.policy().source(rank));
    let creator = policies.find(|it| it.missing_namespaces == MissingNamespaces::Created);
    creator.map(|it| it.name.clone())
}

fn service(context: &PlanContext<'_>, members: &Members<'_>, spec: &ServiceSpec) -> MirrorService {
    let mut clusters: Vec<_> = members.all.iter().map(|it| it.name.as_str()).collect();
    clusters.sort_unstable();
    let mut spec = spec.clone();
    let observed = context.index.local().service(context.key);
    if let Some(shows) = observed.and_then(|it| it.shows.as_ref()) {
        merge::keep_address(&mut spec, &shows.spec);
    }
    context.note("Merged", || {
        let (first, clusters) = (&members.all[0].name, clusters.join(", "));
        format!("it shows what {clusters} have, and where they differ what {first} says")
    });
    let marks = OwnershipMetadata::global_service(&members.service)
        .annotation(GLOBAL_CLUSTERS, &clusters.join(","))
        .annotation(label::MEMBERS, &record::written(&members.all));
    let marks = match topology::is_local_first(context, members) {
        true => marks
            // The same in both, or an API server refuses them.
            .annotation(TOPOLOGY_HINTS, "Auto")
            .annotation(TOPOLOGY_MODE, "Auto"),
        false => marks,
    };
    let hand_over = modes::hand_over(context, members);
    let marks = match &hand_over {
        _ if !context.index.policy().is_by_mode() => marks,
        None => modes::marks(marks, modes::labels(context, members)),
        Some(_) => OwnershipMetadata {
            labels: modes::labels(context, members),
            ..OwnershipMetadata::default()
        },
    };
    MirrorService {
        marks,
        spec,
        has_unexpected_fields: false,
        hand_over,
    }
}

/// The slices of those members that are known.
fn slices(
    context: &PlanContext<'_>,
    members: &Members<'_>,
    (ordered, merged): (&[&Member<'_>], &Merged),
    plan: &mut Plan,
) {
    let policy = context.index.policy();
    let doubles = doubles(context, members);
    for (member, routes) in ordered.iter().zip(&merged.routes) {
        let (Some(rank), true) = (member.rank, member.serves) else {
            continue;
        };
        if let Some(problem) = doubles.iter().find(|it| it.source == *member.name) {
            context.note("DuplicateCluster", || problem.to_string());
            plan.problems.push(problem.clone());
            continue;
        }
        let same_name = Placement::Global(GlobalPlacement::SameName);
        if policy.is_local(rank) && policy.source(rank).placement == same_name {
            // Kubernetes' own slices are under that name.
            continue;
        }
        let claim = Claim {
            rank,
            service: members.service.clone(),
        };
        let shape = Shape {
            kind: &merged.spec.kind,
            routes: Some(routes),
        };
        wanted_slices(context, &claim, plan, shape);
    }
}

/// Members whose cluster is another member's too: the local one, or else the first of the
/// configuration publishes its endpoints.
fn doubles(context: &PlanContext<'_>, members: &Members<'_>) -> Vec<Problem> {
    let policy = context.index.policy();
    let known = members.all.iter().filter_map(|member| {
        let rank = member.rank?;
        let cluster = context.index.source(rank).cluster.as_deref()?;
        Some((!policy.is_local(rank), rank, cluster, &*member.name))
    });
    let mut known: Vec<_> = known.collect();
    known.sort_unstable();
    let double = known.iter().enumerate().filter_map(|(i, it)| {
        let (_, _, cluster, name) = *it;
        let first = known[..i].iter().find(|it| it.2 == cluster)?;
        Some(Problem {
            source: name.clone(),
            object: members.service.clone(),
            cause: ProblemCause::DuplicateCluster {
                other: format!("source {}", first.3).into(),
                cluster: cluster.into(),
            },
        })
    });
    double.collect()
}

/// Decides about EndpointSlices that no member requests.
fn leave(context: &PlanContext<'_>, members: &Members<'_>, plan: &mut Plan) {
    for (slice, observed) in context.index.local().slices_of(context.key) {
        if plan.slices.contains_key(slice) {
            continue;
        }
        match leaves(context, members, (slice, observed)) {
            OrphanAction::Delete => {
                plan.slices.insert(slice.clone(), Desired::Absent);
            }
            OrphanAction::Keep => {}
            OrphanAction::KeepBecause(cause) => {
                let problem = problem_of(&observed.owner, context.key, cause);
                plan.problems.extend(problem);
            }
        }
    }
}

fn leaves(
    context: &PlanContext<'_>,
    members: &Members<'_>,
    (slice, observed): (&ObjectKey, &Observed<MirrorSlice>),
) -> OrphanAction {
    let owner = &observed.owner;
    let member = members.all.iter();
    let member = member
        .clone()
        .find(|it| Some(&*it.name) == owner.source.as_ref());
    if owner.role == Role::Mirror {
        return orphan_action(context, owner);
    }
    if owner.slice.is_none() && context.index.local().service(context.key).is_none() {
        context.note("AdoptionPending", || {
            format!("slice {slice} of a replaced program stays until its Service is ours")
        });
        return OrphanAction::Keep;
    }
    match member.map(|it| it.rank) {
        Some(Some(rank)) => {
            let claim = Claim {
                rank,
                service: members.service.clone(),
            };
            let kind = ServiceKind::Virtual(crate::service::Families::Unstated);
            leftover(context, &claim, (slice, observed), &kind)
        }
        Some(None) => {
            context.note("LastKnownSliceUsed", || {
                format!("slice {slice} stays: its source cannot be asked")
            });
            OrphanAction::Keep
        }
        None if owner
            .source
            .as_ref()
            .is_some_and(|it| members.unknown.contains(it)) =>
        {
            OrphanAction::Keep
        }
        None => orphan_action(context, owner),
    }
}
