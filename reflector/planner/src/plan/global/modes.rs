//! Modes of members while a workload moves from one cluster to another: they decide which members
//! serve, and whether the Service under their name is managed.
//!
//! | a Service says | and so |
//! |---|---|
//! | nothing | the first one alone serves: the local cluster's own, else the oldest |
//! | `union` | it serves together with all others that do not say nothing |
//! | `source` | it serves, and as soon as one of its endpoints is ready, alone |
//! | `receiver` | it serves while no other does, and then gives itself up |
//! | `singular` | it stays in its cluster |
//!
//! Invariants:
//!
//! * The reflector changes no unmanaged Service that does not request it. A Service that is handed
//!   over has the mode `union` or `receiver`, and becomes managed only if another cluster serves.
//! * A managed Service that is to serve in this cluster, as `union` or as the `source` of a
//!   receiver, is given to the local cluster and is unmanaged from then on.

use proto_types::{Labels, label};

use super::collect::members;
use super::member::{Member, Members};
use super::mode::{Mode, mode_of};
use super::tiers;
use crate::adopt::{Adoption, Met};
use crate::mirror::{HandOver, Marks};
use crate::name::LocalKey;
use crate::plan::{Case, Plan};
use crate::problem::{Cause, HandoverBlocker, Problem};
use crate::source::Exported;
use crate::world::World;

/// Modes in the order in which members serve.
const TIERS: [&[Mode]; 3] = [
    &[Mode::Source],
    &[Mode::Union, Mode::Plain, Mode::Singular],
    &[Mode::Receiver],
];

/// Suffix of the temporary Services of k8s-endpoints-sync-controller.
const MAKESHIFT: &str = "-syndicate";

/// Returns a plan without changes if the mode of the existing Service is `singular`.
pub(super) fn frozen(case: &Case<'_>) -> Option<Plan> {
    let observed = case.world.local().service(case.key)?;
    let mode = observed.owner.mode.as_deref().and_then(Mode::parse);
    if !case.world.policy().is_by_mode() || mode != Some(Mode::Singular) {
        return None;
    }
    case.note("ReplicationDisabled", || {
        format!(
            "what is here stays as it is: it is annotated {}=singular",
            label::MODE
        )
    });
    let annotated = format!("{} here", case.key.object());
    let problems = case.member_claims().map(|claim| Problem {
        source: case.source(claim).clone(),
        object: claim.service.clone(),
        cause: Cause::ReplicationDisabled {
            annotated: annotated.as_str().into(),
        },
    });
    Some(Plan {
        problems: problems.collect(),
        ..Plan::default()
    })
}

/// Removes members without a part in the global Service, and decides which of the others serve.
pub(super) fn settle(case: &Case<'_>, members: &mut Members<'_>) {
    let policy = case.world.policy();
    if !policy.is_by_mode() {
        return;
    }
    let is_local = |it: &Member<'_>| it.rank.is_some_and(|rank| policy.is_local(rank));
    let mut told = Vec::new();
    if members.service.name().ends_with(MAKESHIFT) {
        let others = members.all.drain(..).filter(|it| !is_local(it));
        told.extend(others.map(|it| (it.name.into_owned(), Cause::TemporaryService)));
        return tell(case, members, told);
    }
    members.all.retain(|it| {
        let stays = it.mode != Mode::Singular || is_local(it);
        if !stays {
            let annotated = "it".into();
            told.push((
                it.name.clone().into_owned(),
                Cause::ReplicationDisabled { annotated },
            ));
        }
        stays
    });
    let own = members.all.iter().find(|it| is_local(it));
    let Some(lead) = own.or(members.all.first()).cloned() else {
        return tell(case, members, told);
    };
    members.all.retain(|it| {
        let stays = it.name == lead.name || (lead.mode.shares() && it.mode.shares());
        if !stays {
            let cause = Cause::DuplicateService {
                local: case.key.object().clone(),
                winner: lead.name.clone().into_owned(),
            };
            told.push((it.name.clone().into_owned(), cause));
        }
        stays
    });
    if let (Some(own), Some(successor)) = (
        members.all.iter().find(|it| is_local(it)),
        successor(case, members),
    ) {
        match giving_up(own, successor) {
            None => {}
            Some(Ok(())) => {
                case.note("HandoverStarted", || {
                    let name = &successor.name;
                    format!("the local cluster's own Service gives itself up for that of {name}")
                });
                members.all.retain(|it| !is_local(it));
            }
            Some(Err(why)) => {
                told.push((
                    own.name.clone().into_owned(),
                    Cause::HandoverBlocked { why },
                ));
            }
        }
    }
    choose(case, members);
    tell(case, members, told);
}

/// Decides which members serve: those up to the first position with a ready endpoint.
fn choose(case: &Case<'_>, members: &mut Members<'_>) {
    let is_ready = |it: &&Member<'_>| 0 < tiers::count(case, members, it).0;
    let tier = |it: &Member<'_>| TIERS.iter().position(|tier| tier.contains(&it.mode));
    let ready = members.all.iter().filter(is_ready).map(tier);
    let Some(last) = ready.min().flatten() else {
        return;
    };
    for member in &mut members.all {
        member.serves = tier(member) <= Some(last);
        if !member.serves {
            case.note("MemberOnStandby", || {
                let (name, mode) = (&member.name, member.mode.as_str());
                format!("source {name} says {mode} and does not serve: another does")
            });
        }
    }
}

fn tell(case: &Case<'_>, members: &mut Members<'_>, told: Vec<(crate::SourceName, Cause)>) {
    for (source, cause) in told {
        let object = members.service.clone();
        let problem = Problem {
            source,
            object,
            cause,
        };
        case.note(problem.cause.reason(), || problem.to_string());
        members.problems.push(problem);
    }
}

/// A source that serves, as is known now.
fn successor<'m, 'a>(case: &Case<'_>, members: &'m Members<'a>) -> Option<&'m Member<'a>> {
    let is_followed = |it: &Member<'_>| {
        let source = it.rank.map(|rank| case.world.source(rank));
        source.is_some_and(|it| it.services.is_synced() && it.slices.is_synced())
    };
    let mut sources = members.all.iter().filter(|it| it.mode == Mode::Source);
    sources.find(|it| is_followed(it) && 0 < tiers::count(case, members, it).0)
}

/// Returns whether a Service gives itself up for another; if it would and cannot, why not.
fn giving_up(own: &Member<'_>, successor: &Member<'_>) -> Option<Result<(), HandoverBlocker>> {
    if !own.mode.yields() {
        return None;
    }
    Some(if own.content.is_some_and(|it| it.is_exposed) {
        Err(HandoverBlocker::Exposed)
    } else if successor.spec.must_replace(&own.spec) {
        Err(HandoverBlocker::Kind)
    } else {
        Ok(())
    })
}

/// Returns the handover of a managed Service to the local cluster, if its mode requests one.
pub(super) fn hand_over(case: &Case<'_>, members: &Members<'_>) -> Option<HandOver> {
    let local = case.world.local();
    let observed = local.service(case.key)?;
    if !case.world.policy().is_by_mode()
        || local.adoption(case.key).is_some()
        || members.all.iter().any(|it| it.mode == Mode::Source)
    {
        return None;
    }
    let said = observed.owner.mode.as_deref().and_then(Mode::parse);
    let first = members.all.first()?;
    let is_followed = first
        .rank
        .map(|rank| case.world.source(rank).services.is_synced());
    let content = first.content.filter(|_| is_followed == Some(true))?;
    let (mode, selector) = match first.mode {
        // Another cluster may have taken over already.
        Mode::Union if said == Some(Mode::Source) => (Mode::Source, content.selector.clone()),
        Mode::Union => (Mode::Union, content.selector.clone()),
        Mode::Receiver => (Mode::Source, Labels::new()),
        Mode::Plain | Mode::Source | Mode::Singular => return None,
    };
    case.note("HandoverCompleted", || {
        let (name, said, mode) = (&first.name, first.mode.as_str(), mode.as_str());
        format!("source {name} says {said}: this becomes the local cluster's own, as {mode}")
    });
    Some(HandOver {
        mode: mode.as_str(),
        selector,
    })
}

/// The labels of the first member, which come along as far as they may.
pub(super) fn labels(case: &Case<'_>, members: &Members<'_>) -> Labels {
    let observed = case.world.local().service(case.key);
    let observed = observed.and_then(|it| it.shows.as_ref());
    let first = members.all.first();
    let known = first.and_then(|it| Some((it.rank?, it.content?)));
    match known {
        Some((rank, content)) => {
            let carry = &case.world.policy().source(rank).import.carry;
            carry.labels_of(&content.labels)
        }
        None => observed
            .map(|it| it.marks.carried_labels())
            .unwrap_or_default(),
    }
}

/// The marks of a Service that is ours, with its labels, and with the one by which
/// k8s-endpoints-sync-controller knows a replica, which may still run elsewhere.
pub(super) fn marks(marks: Marks, mut labels: Labels) -> Marks {
    labels.insert(label::REPLICATED.to_owned(), "true".to_owned());
    marks.carrying(labels, Labels::new())
}

/// Returns the adoption of an existing Service: a replica of k8s-endpoints-sync-controller, or a
/// Service that its mode hands over.
pub(crate) fn adoption(world: &World, key: &LocalKey, met: &Met) -> Option<Adoption> {
    let content = Exported::member(&met.service).object?.ok()?;
    let is_replica =
        |labels: &Labels| labels.get(label::REPLICATED).map(String::as_str) == Some("true");
    if is_replica(&met.service.labels) {
        let endpoints = met.endpoints.as_ref().filter(|it| is_replica(&it.labels));
        return content
            .selector
            .is_empty()
            .then(|| Adoption::with(endpoints));
    }
    let case = Case::new(world, key);
    let members = members(&case)?;
    let successor = successor(&case, &members)?;
    let own = Member {
        mode: mode_of(&content)?.ok()?,
        spec: std::borrow::Cow::Borrowed(&content.spec),
        content: Some(&content),
        ..successor.clone()
    };
    let gives_up = giving_up(&own, successor)?.is_ok();
    gives_up.then(|| Adoption::with(None))
}

/// Returns whether a Service that was met says of itself that it is a member, which is to be heard
/// from its API server soon.
pub(crate) fn is_announced(met: &Met) -> bool {
    let content = Exported::member(&met.service).object.and_then(Result::ok);
    let mode = content.and_then(|it| mode_of(&it)?.ok());
    mode.is_some_and(Mode::shares)
}
