//! What should exist under one local key. Pure, and total: it never fails.

pub(crate) mod age;
mod case;
mod contended;
mod endpoints;
mod fate;
pub(crate) mod global;
mod obstacle;
pub(crate) mod removed;
mod routes;
pub(crate) mod slices;
mod unsupported;

use std::collections::BTreeMap;

use proto_types::name::MAX_LABEL;
use proto_types::{ObjectKey, Resource, label};

use crate::diff::Verdict;
use crate::import::{MIRROR_PREFIX, MIRRORED, Refusal};
use crate::mirror::{Marks, MirrorEndpoints, MirrorService, MirrorSlice, Owner, Role};
use crate::name::{LocalKey, Placement, SourceName};
use crate::policy::{MissingNamespaces, SourcePolicy};
use crate::problem::{Cause, Problem};
use crate::service::ServiceSpec;
use crate::slice::Oddity;
use crate::source::SliceContent;
use crate::world::{Claim, FailingBack, World};

pub(crate) use case::Case;
pub use case::Reason;
pub(crate) use fate::{Fate, fate, held_because};

use contended::{back_off, disputed};
use fate::abandoned;

/// Desired state under one local key. An EndpointSlice that is not named stays unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The Service.
    pub service: Verdict<MirrorService>,
    /// Its slices, by their keys.
    pub slices: BTreeMap<ObjectKey, Verdict<MirrorSlice>>,
    /// The Endpoints beside them.
    pub endpoints: Verdict<MirrorEndpoints>,
    /// For whose mirror the namespace is created, where it does not exist.
    pub namespace_for: Option<SourceName>,
    /// Problems to report.
    pub problems: Vec<Problem>,
    /// Clusters that still serve though earlier ones suffice.
    pub(crate) failing_back: FailingBack,
}

/// Returns the desired state under a key.
#[must_use]
pub fn plan(world: &World, key: &LocalKey) -> Plan {
    decide(&Case::new(world, key))
}

/// The same, with reasons where the case wants them.
pub(crate) fn decide(case: &Case<'_>) -> Plan {
    // An object that was never listed looks like one that was never created.
    if !case.world.local().is_listed() {
        case.note("LocalClusterNotSynced", || {
            "nothing is decided before the local cluster is listed".to_owned()
        });
        return Plan::default();
    }
    let refused = refused(case);
    let mut plan = global::plan(case).unwrap_or_else(|| mirrored(case));
    plan.problems.extend(refused);
    age::age(case, &mut plan);
    unsupported::weaken(case, &mut plan);
    endpoints::endpoints(case, &mut plan);
    let obstacles = obstacle::obstacles(case, &plan);
    plan.problems.extend(obstacles);
    plan.problems.extend(disputed(case));
    back_off(case, &mut plan);
    plan
}

/// Reports the denied claims of the key.
fn refused(case: &Case<'_>) -> Vec<Problem> {
    let refused = case.world.refused(case.key);
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

fn mirrored(case: &Case<'_>) -> Plan {
    let mut claims = case.world.claims(case.key);
    let Some(winner) = claims.next() else {
        case.note("NotExported", || {
            "no source is known to export it".to_owned()
        });
        return abandoned(case);
    };
    let mut plan = contested(case, winner);
    let losers = claims.map(|loser| collision(case, winner, loser));
    plan.problems.extend(losers);
    plan
}

/// Plans for the claim that takes precedence. The mirror of another source stays only while that
/// source is not synced.
fn contested(case: &Case<'_>, winner: &Claim) -> Plan {
    let name = case.source(winner);
    case.note("Selected", || {
        let service = &winner.service;
        format!("{service} of source {name} belongs here; no earlier source has one that does")
    });
    let holder = case.world.local().service(case.key).map(|it| &it.owner);
    let orphan = holder.filter(|it| {
        let is_configured = case.world.policy().rank_of(it).is_some();
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
        let rank = case.world.policy().rank_of(it);
        let is_winner = rank == Some(winner.rank) && it.service.as_ref() == Some(&winner.service);
        rank.is_some() && !is_winner
    });
    match other.map(|owner| (owner, fate(case, owner))) {
        None | Some((_, Fate::Goes)) => claimed(case, winner),
        Some((_, Fate::Stays)) => {
            case.note("ExistingMirrorKept", || {
                format!("source {name} waits: another source's mirror is here, and stays")
            });
            Plan::default()
        }
        Some((owner, Fate::StaysBecause(cause))) => Plan {
            problems: problem_of(owner, case.key, cause).into_iter().collect(),
            ..Plan::default()
        },
    }
}

fn claimed(case: &Case<'_>, winner: &Claim) -> Plan {
    let source = case.world.source(winner.rank);
    let policy = case.world.policy().source(winner.rank);
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
            plan.report(policy, winner, Cause::InvalidSourceObject { object, error });
        }
        Some(Ok(_)) if MAX_LABEL < case.key.object().name().len() => {
            let name = case.key.object().name().into();
            case.note("NameTooLong", || {
                format!("{MAX_LABEL} characters are allowed")
            });
            plan.report(policy, winner, Cause::NameTooLong { name });
        }
        Some(Ok(content)) => {
            let spec = &content.spec;
            case.note("Mirrored", || {
                format!("the mirror shows it, {}", spec.kind.in_words())
            });
            let (spec, refusal) = policy.import.cut(spec);
            if let Some(refusal) = refusal {
                plan.refuse(case, winner, refusal);
            }
            if let Err(refusal) = case.world.policy().alias(winner.rank, content) {
                plan.refuse(case, winner, refusal);
            }
            let mut mirror = mirror(case, winner, spec);
            let carry = &policy.import.carry;
            let labels = carry.labels_of(&content.labels);
            let annotations = carry.annotations_of(&content.annotations);
            mirror.marks = mirror.marks.carrying(labels, annotations);
            plan.service = Verdict::Want(mirror);
            plan.namespace_for = match policy.missing_namespaces {
                MissingNamespaces::Reported => None,
                MissingNamespaces::Created => Some(policy.name.clone()),
            };
            slices::slices(case, winner, &mut plan);
        }
    }
    plan
}

fn mirror(case: &Case<'_>, winner: &Claim, spec: ServiceSpec) -> MirrorService {
    let policy = case.world.policy().source(winner.rank);
    let marks = Marks::service(&policy.name, &winner.service);
    // What is not known now may have been.
    let observed = case.world.local().service(case.key);
    let observed = observed.filter(|it| it.owner.source.as_ref() == Some(&policy.name));
    let known = observed.and_then(|it| it.owner.cluster.as_ref());
    let marks = match case.world.source(winner.rank).cluster.as_ref().or(known) {
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
        has_strays: false,
        hand_over: None,
    }
}

pub(crate) fn collision(case: &Case<'_>, winner: &Claim, loser: &Claim) -> Problem {
    case.note("NameConflict", || {
        let (name, service) = (case.source(loser), &loser.service);
        format!("{service} of source {name} belongs here too, comes later, and is not mirrored")
    });
    Problem {
        source: case.source(loser).clone(),
        object: loser.service.clone(),
        cause: Cause::NameConflict {
            local: case.key.object().clone(),
            winner: case.source(winner).clone(),
            service: winner.service.clone(),
        },
    }
}

pub(crate) fn problem_of(owner: &Owner, key: &LocalKey, cause: Cause) -> Option<Problem> {
    let object = owner.service.as_ref().unwrap_or_else(|| key.object());
    Some(Problem {
        source: owner.source.clone()?,
        object: object.clone(),
        cause,
    })
}

impl Plan {
    pub(crate) fn report(&mut self, policy: &SourcePolicy, claim: &Claim, cause: Cause) {
        self.problems.push(Problem {
            source: policy.name.clone(),
            object: claim.service.clone(),
            cause,
        });
    }

    /// Something of a claim does not come in.
    pub(crate) fn refuse(&mut self, case: &Case<'_>, claim: &Claim, refusal: Refusal) {
        case.note(refusal.reason(), || refusal.to_string());
        let policy = case.world.policy().source(claim.rank);
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
                Oddity::Address => Cause::InvalidAddress {
                    slice,
                    address: example,
                    n_endpoints: left_out.count,
                },
                Oddity::Family | Oddity::HostName | Oddity::NoAddress => Cause::InvalidEndpoint {
                    slice,
                    example,
                    n_endpoints: left_out.count,
                    why: left_out.why.in_words(),
                },
                Oddity::PortName | Oddity::DuplicatePort => Cause::InvalidPort {
                    slice,
                    example,
                    n_ports: left_out.count,
                    why: left_out.why.in_words(),
                },
            };
            self.report(policy, claim, cause);
        }
    }
}
