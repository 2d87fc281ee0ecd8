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
use super::mode::{SyndicateMode, mode_of};
use super::tiers;
use crate::adopt::{Adoption, ExistingObject};
use crate::index::Index;
use crate::mirror::{HandOver, OwnershipMetadata};
use crate::name::MirrorKey;
use crate::plan::{Plan, PlanContext};
use crate::problem::{HandoverBlocker, Problem, ProblemCause};
use crate::source::Exported;

/// Modes in the order in which members serve.
const TIERS: [&[SyndicateMode]; 3] = [
    &[SyndicateMode::Source],
    &[
        SyndicateMode::Union,
        SyndicateMode::Plain,
        SyndicateMode::Singular,
    ],
    &[SyndicateMode::Receiver],
];

/// Suffix of the temporary Services of k8s-endpoints-sync-controller.
const MAKESHIFT: &str = "-syndicate";

/// Returns a plan without changes if the mode of the existing Service is `singular`.
pub(super) fn frozen(context: &PlanContext<'_>) -> Option<Plan> {
    let observed = context.index.local().service(context.key)?;
    let mode = observed
        .owner
        .mode
        .as_deref()
        .and_then(SyndicateMode::parse);
    if !context.index.policy().is_by_mode() || mode != Some(SyndicateMode::Singular) {
        return None;
    }
    context.note("ReplicationDisabled", || {
        format!(
            "what is here stays as it is: it is annotated {}=singular",
            label::SYNDICATE_MODE
        )
    });
    let annotated = format!("{} here", context.key.object());
    let problems = context.member_claims().map(|claim| Problem {
        source: context.source(claim).clone(),
        object: claim.service.clone(),
        cause: ProblemCause::ReplicationDisabled {
            annotated: annotated.as_str().into(),
        },
    });
    Some(Plan {
        problems: problems.collect(),
        ..Plan::default()
    })
}

/// Removes members without a part in the global Service, and decides which of the others serve.
pub(super) fn settle(context: &PlanContext<'_>, members: &mut Members<'_>) {
    let policy = context.index.policy();
    if !policy.is_by_mode() {
        return;
    }
    let is_local = |it: &Member<'_>| it.rank.is_some_and(|rank| policy.is_local(rank));
    let mut told = Vec::new();
    if members.service.name().ends_with(MAKESHIFT) {
        let others = members.all.drain(..).filter(|it| !is_local(it));
        told.extend(others.map(|it| (it.name.into_owned(), ProblemCause::TemporaryService)));
        return report(context, members, told);
    }
    members.all.retain(|it| {
        let stays = it.mode != SyndicateMode::Singular || is_local(it);
        if !stays {
            let annotated = "it".into();
            told.push((
                it.name.clone().into_owned(),
                ProblemCause::ReplicationDisabled { annotated },
            ));
        }
        stays
    });
    let own = members.all.iter().find(|it| is_local(it));
    let Some(lead) = own.or(members.all.first()).cloned() else {
        return report(context, members, told);
    };
    members.all.retain(|it| {
        let stays = it.name == lead.name || (lead.mode.shares() && it.mode.shares());
        if !stays {
            let cause = ProblemCause::DuplicateService {
                local: context.key.object().clone(),
                winner: lead.name.clone().into_owned(),
            };
            told.push((it.name.clone().into_owned(), cause));
        }
        stays
    });
    if let (Some(own), Some(successor)) = (
        members.all.iter().find(|it| is_local(it)),
        successor(context, members),
    ) {
        match giving_up(own, successor) {
            None => {}
            Some(Ok(())) => {
                context.note("HandoverStarted", || {
                    let name = &successor.name;
                    format!("the local cluster's own Service gives itself up for that of {name}")
                });
                members.all.retain(|it| !is_local(it));
            }
            Some(Err(why)) => {
                told.push((
                    own.name.clone().into_owned(),
                    ProblemCause::HandoverBlocked { why },
                ));
            }
        }
    }
    choose(context, members);
    report(context, members, told);
}

/// Decides which members serve: those up to the first position with a ready endpoint.
fn choose(context: &PlanContext<'_>, members: &mut Members<'_>) {
    let is_ready = |it: &&Member<'_>| 0 < tiers::count(context, members, it).0;
    let tier = |it: &Member<'_>| TIERS.iter().position(|tier| tier.contains(&it.mode));
    let ready = members.all.iter().filter(is_ready).map(tier);
    let Some(last) = ready.min().flatten() else {
        return;
    };
    for member in &mut members.all {
        member.serves = tier(member) <= Some(last);
        if !member.serves {
            context.note("MemberOnStandby", || {
                let (name, mode) = (&member.name, member.mode.as_str());
                format!("source {name} says {mode} and does not serve: another does")
            });
        }
    }
}

fn report(
    context: &PlanContext<'_>,
    members: &mut Members<'_>,
    told: Vec<(crate::SourceName, ProblemCause)>,
) {
    for (source, cause) in told {
        let object = members.service.clone();
        let problem = Problem {
            source,
            object,
            cause,
        };
        context.note(problem.cause.reason(), || problem.to_string());
        members.problems.push(problem);
    }
}

/// A source that serves, as is known now.
fn successor<'m, 'a>(
    context: &PlanContext<'_>,
    members: &'m Members<'a>,
) -> Option<&'m Member<'a>> {
    let is_followed = |it: &Member<'_>| {
        let source = it.rank.map(|rank| context.index.source(rank));
        source.is_some_and(|it| it.services.is_synced() && it.slices.is_synced())
    };
    let mut sources = members
        .all
        .iter()
        .filter(|it| it.mode == SyndicateMode::Source);
    sources.find(|it| is_followed(it) && 0 < tiers::count(context, members, it).0)
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
pub(super) fn hand_over(context: &PlanContext<'_>, members: &Members<'_>) -> Option<HandOver> {
    let local = context.index.local();
    let observed = local.service(context.key)?;
    if !context.index.policy().is_by_mode()
        || local.adoption(context.key).is_some()
        || members
            .all
            .iter()
            .any(|it| it.mode == SyndicateMode::Source)
    {
        return None;
    }
    let said = observed
        .owner
        .mode
        .as_deref()
        .and_then(SyndicateMode::parse);
    let first = members.all.first()?;
    let is_followed = first
        .rank
        .map(|rank| context.index.source(rank).services.is_synced());
    let content = first.content.filter(|_| is_followed == Some(true))?;
    let (mode, selector) = match first.mode {
        // Another cluster may be active already.
        SyndicateMode::Union if said == Some(SyndicateMode::Source) => {
            (SyndicateMode::Source, content.selector.clone())
        }
        SyndicateMode::Union => (SyndicateMode::Union, content.selector.clone()),
        SyndicateMode::Receiver => (SyndicateMode::Source, Labels::new()),
        SyndicateMode::Plain | SyndicateMode::Source | SyndicateMode::Singular => return None,
    };
    context.note("HandoverCompleted", || {
        let (name, said, mode) = (&first.name, first.mode.as_str(), mode.as_str());
        format!("source {name} says {said}: this becomes the local cluster's own, as {mode}")
    });
    Some(HandOver {
        mode: mode.as_str(),
        selector,
    })
}

/// The labels of the first member, which come along as far as they may.
pub(super) fn labels(context: &PlanContext<'_>, members: &Members<'_>) -> Labels {
    let observed = context.index.local().service(context.key);
    let observed = observed.and_then(|it| it.shows.as_ref());
    let first = members.all.first();
    let known = first.and_then(|it| Some((it.rank?, it.content?)));
    match known {
        Some((rank, content)) => {
            let carry = &context.index.policy().source(rank).import.carry;
            carry.labels_of(&content.labels)
        }
        None => observed
            .map(|it| it.marks.carried_labels())
            .unwrap_or_default(),
    }
}

/// The marks of a managed Service, with its labels, and with the one by which
/// k8s-endpoints-sync-controller knows a replica, which may still run elsewhere.
pub(super) fn marks(marks: OwnershipMetadata, mut labels: Labels) -> OwnershipMetadata {
    labels.insert(label::SYNDICATE_LABEL, "true");
    marks.carrying(&labels, &Labels::new())
}

/// Returns the adoption of an existing Service: a replica of k8s-endpoints-sync-controller, or a
/// Service that its mode hands over.
pub(crate) fn adoption(index: &Index, key: &MirrorKey, met: &ExistingObject) -> Option<Adoption> {
    let content = Exported::member(&met.service).object?.ok()?;
    let is_replica = |labels: &Labels| labels.get(label::SYNDICATE_LABEL) == Some("true");
    if is_replica(&met.service.labels) {
        let endpoints = met.endpoints.as_ref().filter(|it| is_replica(&it.labels));
        return content
            .selector
            .is_empty()
            .then(|| Adoption::with(endpoints));
    }
    let context = PlanContext::new(index, key);
    let members = members(&context)?;
    let successor = successor(&context, &members)?;
    let own = Member {
        mode: mode_of(&content)?.ok()?,
        spec: std::borrow::Cow::Borrowed(&content.spec),
        content: Some(&content),
        ..successor.clone()
    };
    let gives_up = giving_up(&own, successor)?.is_ok();
    gives_up.then(|| Adoption::with(None))
}

/// Returns whether an existing Service is marked as a member, which is to be heard from its API
/// server soon.
pub(crate) fn is_announced(met: &ExistingObject) -> bool {
    let content = Exported::member(&met.service).object.and_then(Result::ok);
    let mode = content.and_then(|it| mode_of(&it)?.ok());
    mode.is_some_and(SyndicateMode::shares)
}
