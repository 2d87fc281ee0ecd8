//! Desired state of one local key. Pure, and total: it never fails.

mod context;
mod deletion;
mod endpoints;
mod external_changes;
pub(crate) mod global;
pub(crate) mod removed;
mod routes;
pub(crate) mod slices;
pub(crate) mod staleness;
mod unsupported;
mod write_failure;

use std::collections::BTreeMap;

use proto_types::name::MAX_LABEL;
use proto_types::{ObjectKey, Resource, label};

use crate::diff::Desired;
use crate::import::{ImportViolation, MIRROR_PREFIX, MIRRORED};
use crate::index::{Claim, FailingBack, Index};
use crate::mirror::{
    MirrorEndpoints, MirrorService, MirrorSlice, OwnershipMetadata, Role, SourceReference,
};
use crate::name::{MirrorKey, Placement, SourceName};
use crate::policy::{MissingNamespaces, SourcePolicy};
use crate::problem::{Problem, ProblemCause};
use crate::service::ServiceSpec;
use crate::slice::Oddity;
use crate::source::SliceContent;

pub(crate) use context::PlanContext;
pub use context::Reason;
pub(crate) use deletion::{OrphanAction, held_because, orphan_action};

use deletion::plan_deletion;
use external_changes::{back_off, disputed};

/// Desired state under one local key. An EndpointSlice that is not named stays unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The Service.
    pub service: Desired<MirrorService>,
    /// Its slices, by their keys.
    pub slices: BTreeMap<ObjectKey, Desired<MirrorSlice>>,
    /// The Endpoints beside them.
    pub endpoints: Desired<MirrorEndpoints>,
    /// For whose mirror the namespace is created, where it does not exist.
    pub namespace_for: Option<SourceName>,
    /// Problems to report.
    pub problems: Vec<Problem>,
    /// Clusters that still serve though earlier ones suffice.
    pub(crate) failing_back: FailingBack,
}

/// Returns the desired state under a key.
#[must_use]
pub fn plan(index: &Index, key: &MirrorKey) -> Plan {
    decide(&PlanContext::new(index, key))
}

/// The same, with reasons where the case wants them.
pub(crate) fn decide(case: &PlanContext<'_>) -> Plan {
    // An object that was never listed looks like one that was never created.
    if !case.index.local().is_listed() {
        case.note("LocalClusterNotSynced", || {
            "nothing is decided before the local cluster is listed".to_owned()
        });
        return Plan::default();
    }
    let refused = refused(case);
    let mut plan = global::plan(case).unwrap_or_else(|| mirrored(case));
    plan.problems.extend(refused);
    staleness::age(case, &mut plan);
    unsupported::weaken(case, &mut plan);
    endpoints::endpoints(case, &mut plan);
    let write_failures = write_failure::write_failures(case, &plan);
    plan.problems.extend(write_failures);
    plan.problems.extend(disputed(case));
    back_off(case, &mut plan);
    plan
}

/// Reports the denied claims of the key.
fn refused(case: &PlanContext<'_>) -> Vec<Problem> {
    let refused = case.index.refused(case.key);
    let problems = refused.map(|(claim, refusal)| Problem {
        source: case.source(claim).clone(),
        object: claim.service.clone(),
        cause: refusal.clone().into(),
    });
    let problems: Vec<_> = problems.collect();
    for problem in &problems {
        case.note(problem.cause.reason(), || problem.to_string());
    }
    problems
}

fn mirrored(case: &PlanContext<'_>) -> Plan {
    let mut claims = case.index.claims(case.key);
    let Some(winner) = claims.next() else {
        case.note("NotExported", || {
            "no source is known to export it".to_owned()
        });
        return plan_deletion(case);
    };
    let mut plan = contested(case, winner);
    let losers = claims.map(|loser| collision(case, winner, loser));
    plan.problems.extend(losers);
    plan
}

/// Plans for the claim that takes precedence. The mirror of another source stays only while that
/// source is not synced.
fn contested(case: &PlanContext<'_>, winner: &Claim) -> Plan {
    let name = case.source(winner);
    case.note("Selected", || {
        let service = &winner.service;
        format!("{service} of source {name} belongs here; no earlier source has one that does")
    });
    let holder = case.index.local().service(case.key).map(|it| &it.owner);
    let orphan = holder.filter(|it| {
        let is_configured = case.index.policy().rank_of(it).is_some();
        it.role == Role::Mirror && it.source.is_some() && !is_configured
    });
    if let Some((owner, cause)) =
        orphan.and_then(|it| Some((it, removed::precedes(case, it, winner)?)))
    {
        case.note("SourceMayBeRenamed", || cause.to_string());
        return Plan {
            problems: problem_of(owner, case.key, cause).into_iter().collect(),
            ..Plan::default()
        };
    }
    let other = holder.filter(|it| {
        let rank = case.index.policy().rank_of(it);
        let is_winner = rank == Some(winner.rank) && it.service.as_ref() == Some(&winner.service);
        rank.is_some() && !is_winner
    });
    match other.map(|owner| (owner, orphan_action(case, owner))) {
        None | Some((_, OrphanAction::Delete)) => claimed(case, winner),
        Some((_, OrphanAction::Keep)) => {
            case.note("ExistingMirrorKept", || {
                format!("source {name} waits: another source's mirror is here, and stays")
            });
            Plan::default()
        }
        Some((owner, OrphanAction::KeepBecause(cause))) => Plan {
            problems: problem_of(owner, case.key, cause).into_iter().collect(),
            ..Plan::default()
        },
    }
}

fn claimed(case: &PlanContext<'_>, winner: &Claim) -> Plan {
    let source = case.index.source(winner.rank);
    let policy = case.index.policy().source(winner.rank);
    let mut plan = Plan::default();
    let known = source.services.known();
    match known.and_then(|services| services.get(&winner.service)) {
        // A claim goes with its Service.
        None => {}
        Some(Err(error)) => {
            let object = (Resource::Services, winner.service.clone());
            let error = error.clone();
            case.note("InvalidSourceObject", || {
                format!("that Service cannot be read: {error}")
            });
            plan.report(
                policy,
                winner,
                ProblemCause::InvalidSourceObject { object, error },
            );
        }
        Some(Ok(_)) if MAX_LABEL < case.key.object().name().len() => {
            let name = case.key.object().name().into();
            case.note("NameTooLong", || {
                format!("{MAX_LABEL} characters are allowed")
            });
            plan.report(policy, winner, ProblemCause::NameTooLong { name });
        }
        Some(Ok(content)) => {
            let spec = &content.spec;
            case.note("Mirrored", || {
                format!("the mirror shows it, {}", spec.kind.describe())
            });
            let (spec, refusal) = policy.import.filter_ports(spec);
            if let Some(refusal) = refusal {
                plan.refuse(case, winner, refusal);
            }
            if let Err(refusal) = case.index.policy().alias(winner.rank, content) {
                plan.refuse(case, winner, refusal);
            }
            let mut mirror = mirror(case, winner, spec);
            let carry = &policy.import.carry;
            let labels = carry.labels_of(&content.labels);
            let annotations = carry.annotations_of(&content.annotations);
            mirror.marks = mirror.marks.carrying(&labels, &annotations);
            plan.service = Desired::Present(mirror);
            plan.namespace_for = match policy.missing_namespaces {
                MissingNamespaces::Reported => None,
                MissingNamespaces::Created => Some(policy.name.clone()),
            };
            slices::slices(case, winner, &mut plan);
        }
    }
    plan
}

fn mirror(case: &PlanContext<'_>, winner: &Claim, spec: ServiceSpec) -> MirrorService {
    let policy = case.index.policy().source(winner.rank);
    let marks = OwnershipMetadata::service(&policy.name, &winner.service);
    // What is not known now may have been.
    let observed = case.index.local().service(case.key);
    let observed = observed.filter(|it| it.owner.source.as_ref() == Some(&policy.name));
    let known = observed.and_then(|it| it.owner.cluster.as_ref());
    let marks = match case.index.source(winner.rank).cluster.as_ref().or(known) {
        Some(cluster) => marks.annotation(label::SOURCE_CLUSTER, cluster),
        None => marks,
    };
    let marks = match &policy.placement {
        Placement::SameName => match &policy.known_as {
            Some(url) if policy.marks_as_reflected => marks
                .annotation(label::REFLECTED, "true")
                .annotation(label::REFLECTED_FROM, url),
            Some(_) | None => marks,
        },
        Placement::Global(_) => marks,
        Placement::Prefixed { prefix, .. } => marks
            .label(MIRRORED, "true")
            .label(MIRROR_PREFIX, prefix.as_str()),
    };
    MirrorService {
        marks,
        spec,
        has_unexpected_fields: false,
        hand_over: None,
    }
}

pub(crate) fn collision(case: &PlanContext<'_>, winner: &Claim, loser: &Claim) -> Problem {
    case.note("NameConflict", || {
        let (name, service) = (case.source(loser), &loser.service);
        format!("{service} of source {name} belongs here too, comes later, and is not mirrored")
    });
    Problem {
        source: case.source(loser).clone(),
        object: loser.service.clone(),
        cause: ProblemCause::NameConflict {
            local: case.key.object().clone(),
            winner: case.source(winner).clone(),
            service: winner.service.clone(),
        },
    }
}

pub(crate) fn problem_of(
    owner: &SourceReference,
    key: &MirrorKey,
    cause: ProblemCause,
) -> Option<Problem> {
    let object = owner.service.as_ref().unwrap_or_else(|| key.object());
    Some(Problem {
        source: owner.source.clone()?,
        object: object.clone(),
        cause,
    })
}

impl Plan {
    pub(crate) fn report(&mut self, policy: &SourcePolicy, claim: &Claim, cause: ProblemCause) {
        self.problems.push(Problem {
            source: policy.name.clone(),
            object: claim.service.clone(),
            cause,
        });
    }

    /// Something of a claim does not come in.
    pub(crate) fn refuse(
        &mut self,
        case: &PlanContext<'_>,
        claim: &Claim,
        refusal: ImportViolation,
    ) {
        case.note(refusal.reason(), || refusal.to_string());
        let policy = case.index.policy().source(claim.rank);
        self.report(policy, claim, refusal.into());
    }

    fn report_left_out(
        &mut self,
        policy: &SourcePolicy,
        claim: &Claim,
        original: &ObjectKey,
        content: &SliceContent,
    ) {
        for left_out in &content.left_out {
            let slice = original.name().into();
            let example = left_out.example.clone();
            let cause = match left_out.why {
                Oddity::Address => ProblemCause::InvalidAddress {
                    slice,
                    address: example,
                    n_endpoints: left_out.count,
                },
                Oddity::Family | Oddity::HostName | Oddity::NoAddress => {
                    ProblemCause::InvalidEndpoint {
                        slice,
                        example,
                        n_endpoints: left_out.count,
                        why: left_out.why.describe(),
                    }
                }
                Oddity::PortName | Oddity::DuplicatePort => ProblemCause::InvalidPort {
                    slice,
                    example,
                    n_ports: left_out.count,
                    why: left_out.why.describe(),
                },
            };
            self.report(policy, claim, cause);
        }
    }
}
