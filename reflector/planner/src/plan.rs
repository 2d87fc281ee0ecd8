//! What should exist under one local key. Pure, and total: it never fails.

use std::collections::BTreeMap;

use proto_types::name::MAX_LABEL;
use proto_types::{ObjectKey, Resource, label};

use crate::diff::{Verdict, diff};
use crate::local::Obstacle;
use crate::mirror::{MIRROR_PREFIX, MIRRORED, Marks, MirrorService, MirrorSlice, Observed, Owner};
use crate::name::{LocalKey, Placement, SourceName, slice_name};
use crate::policy::{RemovedSources, SourcePolicy};
use crate::problem::{Cause, Problem};
use crate::service::{Kind, ServiceSpec};
use crate::source::{SliceContent, Source};
use crate::world::{Claim, World};

/// What should exist under one local key. A slice that is not named stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The Service.
    pub service: Verdict<MirrorService>,
    /// Its slices, by their keys.
    pub slices: BTreeMap<ObjectKey, Verdict<MirrorSlice>>,
    /// What people should know.
    pub problems: Vec<Problem>,
}

/// What becomes of a mirror that nothing asks for.
enum Fate {
    Goes,
    Stays,
    StaysBecause(Cause),
}

/// What should exist under a key.
#[must_use]
pub fn plan(world: &World, key: &LocalKey) -> Plan {
    // What is not known to exist cannot be told from what was never made.
    if !world.local().is_listed() {
        return Plan::default();
    }
    let mut claims = world.claims(key);
    let mut plan = match claims.next() {
        Some(winner) => {
            let mut plan = contested(world, key, winner);
            let losers = claims.map(|loser| collision(world, key, winner, loser));
            plan.problems.extend(losers);
            plan
        }
        None => abandoned(world, key),
    };
    let obstacles = obstacles(world, key, &plan);
    plan.problems.extend(obstacles);
    plan
}

/// Someone wants the key. Who holds it may stay only while he cannot be asked.
fn contested(world: &World, key: &LocalKey, winner: &Claim) -> Plan {
    let holder = world.local().service(key).map(|it| &it.owner);
    let other = holder.filter(|it| {
        let source = it.source.as_ref();
        source.is_some_and(|name| {
            let rank = world.policy().rank(name);
            rank.is_some_and(|rank| rank != winner.rank)
        })
    });
    match other.map(|owner| (owner, fate(world, key, owner))) {
        None | Some((_, Fate::Goes)) => claimed(world, key, winner),
        Some((_, Fate::Stays)) => Plan::default(),
        Some((owner, Fate::StaysBecause(cause))) => Plan {
            problems: problem_of(owner, key, cause).into_iter().collect(),
            ..Plan::default()
        },
    }
}

fn claimed(world: &World, key: &LocalKey, winner: &Claim) -> Plan {
    let source = world.source(winner.rank);
    let policy = world.policy().source(winner.rank);
    let mut plan = Plan::default();
    let known = source.services.known();
    match known.and_then(|services| services.get(&winner.service)) {
        // A claim goes with its Service.
        None => {}
        Some(Err(error)) => {
            let object = (Resource::Services, winner.service.clone());
            let error = error.clone();
            plan.report(policy, winner, Cause::Undecodable { object, error });
        }
        Some(Ok(_)) if MAX_LABEL < key.object().name().len() => {
            let name = key.object().name().into();
            plan.report(policy, winner, Cause::NameTooLong { name });
        }
        Some(Ok(spec)) => {
            plan.service = Verdict::Want(mirror(policy, winner, spec));
            slices(world, key, winner, &mut plan);
        }
    }
    plan
}

fn mirror(policy: &SourcePolicy, winner: &Claim, spec: &ServiceSpec) -> MirrorService {
    let marks = Marks::service(&policy.name, &winner.service);
    let marks = match &policy.placement {
        Placement::SameName => marks,
        Placement::Prefixed { prefix, .. } => marks
            .label(MIRRORED, "true")
            .label(MIRROR_PREFIX, prefix.as_str()),
    };
    MirrorService {
        marks,
        spec: spec.clone(),
        has_strays: false,
    }
}

/// Plans the slices of a Service that is wanted.
fn slices(world: &World, key: &LocalKey, winner: &Claim, plan: &mut Plan) {
    let occupied = world.local().obstacle(Resource::Services, key.object());
    let (Verdict::Want(service), false) = (&plan.service, occupied == Some(&Obstacle::Occupied))
    else {
        // Our slices would become part of somebody else's Service.
        let ours = world.local().slices_of(key);
        let ours = ours.map(|(slice, _)| (slice.clone(), Verdict::Absent));
        plan.slices = ours.collect();
        return;
    };
    let kind = service.spec.kind.clone();
    if !matches!(kind, Kind::External(_)) {
        wanted_slices(world, key, winner, plan, &kind);
    }
    for (slice, observed) in world.local().slices_of(key) {
        if plan.slices.contains_key(slice) {
            continue;
        }
        match leftover(world, key, winner, (slice, observed), &kind) {
            Fate::Goes => {
                plan.slices.insert(slice.clone(), Verdict::Absent);
            }
            Fate::Stays => {}
            Fate::StaysBecause(cause) => {
                plan.report(world.policy().source(winner.rank), winner, cause);
            }
        }
    }
}

fn wanted_slices(world: &World, key: &LocalKey, winner: &Claim, plan: &mut Plan, kind: &Kind) {
    let source: &Source = world.source(winner.rank);
    let policy = world.policy().source(winner.rank);
    let known = source.slices.known().into_iter();
    for (original, content) in known.flat_map(|slices| slices.of(&winner.service)) {
        let name = slice_name(&policy.name, original);
        let slice = ObjectKey::new(key.object().namespace(), &name);
        if taken(world, winner, &slice, original) {
            let local = (Resource::EndpointSlices, slice.clone());
            plan.report(policy, winner, Cause::Occupied { local });
            plan.slices.insert(slice, Verdict::Unknown);
            continue;
        }
        let verdict = match content {
            Ok(content) => {
                plan.report_left_out(policy, winner, original, content);
                let mut marks = Marks::slice(&policy.name, &winner.service, key)
                    .annotation(label::SOURCE_SLICE, original.name());
                if matches!(kind, Kind::Headless(_)) {
                    marks = marks.label(label::HEADLESS, "");
                }
                Verdict::Want(MirrorSlice {
                    marks,
                    spec: content.spec.clone(),
                    last_change: content.last_change.clone(),
                    has_strays: false,
                })
            }
            Err(error) => {
                let object = (Resource::EndpointSlices, original.clone());
                let error = error.clone();
                plan.report(policy, winner, Cause::Undecodable { object, error });
                Verdict::Unknown
            }
        };
        plan.slices.insert(slice, verdict);
    }
}

/// Whether a slice's name is another source's already. The hash in the name makes
/// that an accident or an attack; either must not cost the other its slice.
fn taken(world: &World, winner: &Claim, slice: &ObjectKey, original: &ObjectKey) -> bool {
    let Some(Observed { owner, .. }) = world.local().slice(slice) else {
        return false;
    };
    let rank = owner.source.as_ref().and_then(|it| world.policy().rank(it));
    let other = rank.is_some_and(|rank| rank != winner.rank);
    other && owner.slice.as_ref() != Some(original)
}

/// What becomes of a slice that is not among the wanted ones.
fn leftover(
    world: &World,
    key: &LocalKey,
    winner: &Claim,
    (slice, observed): (&ObjectKey, &Observed<MirrorSlice>),
    kind: &Kind,
) -> Fate {
    let source = world.source(winner.rank);
    let others = observed.owner.source.as_ref() != Some(&world.policy().source(winner.rank).name);
    let external = matches!(kind, Kind::External(_));
    if !external && !source.slices.is_synced() {
        // What would take its place is not known yet.
        return Fate::Stays;
    }
    if others {
        return match fate(world, key, &observed.owner) {
            // He who lost the Service has no use for its slices.
            Fate::Goes | Fate::StaysBecause(Cause::SourceRemoved) => Fate::Goes,
            fate @ (Fate::Stays | Fate::StaysBecause(_)) => fate,
        };
    }
    if !external && source.slice_brake.holds(slice) {
        let local = (Resource::EndpointSlices, slice.clone());
        return Fate::StaysBecause(Cause::Held { local });
    }
    Fate::Goes
}

/// Nobody wants the key.
fn abandoned(world: &World, key: &LocalKey) -> Plan {
    let mut plan = Plan::default();
    if let Some(observed) = world.local().service(key) {
        match fate(world, key, &observed.owner) {
            Fate::Goes => plan.service = Verdict::Absent,
            Fate::Stays => {}
            Fate::StaysBecause(cause) => {
                plan.problems
                    .extend(problem_of(&observed.owner, key, cause));
            }
        }
    }
    for (slice, observed) in world.local().slices_of(key) {
        match fate(world, key, &observed.owner) {
            Fate::Goes => {
                plan.slices.insert(slice.clone(), Verdict::Absent);
            }
            Fate::Stays => {}
            Fate::StaysBecause(cause) => {
                plan.problems
                    .extend(problem_of(&observed.owner, key, cause));
            }
        }
    }
    plan.problems.dedup();
    plan
}

/// What becomes of an object under a key that its source does not ask for.
fn fate(world: &World, key: &LocalKey, owner: &Owner) -> Fate {
    let Some(name) = &owner.source else {
        return Fate::Stays;
    };
    let Some(rank) = world.policy().rank(name) else {
        return match world.policy().removed_sources {
            RemovedSources::Keep => Fate::StaysBecause(Cause::SourceRemoved),
            RemovedSources::Delete => Fate::Goes,
        };
    };
    let source = world.source(rank);
    if !source.services.is_synced() {
        return Fate::Stays;
    }
    if source.service_brake.holds(key.object()) {
        let local = (Resource::Services, key.object().clone());
        return Fate::StaysBecause(Cause::Held { local });
    }
    Fate::Goes
}

fn collision(world: &World, key: &LocalKey, winner: &Claim, loser: &Claim) -> Problem {
    Problem {
        source: world.policy().source(loser.rank).name.clone(),
        object: loser.service.clone(),
        cause: Cause::Collision {
            local: key.object().clone(),
            winner: world.policy().source(winner.rank).name.clone(),
            service: winner.service.clone(),
        },
    }
}

/// What was tried in vain, as far as it is still to be done.
fn obstacles(world: &World, key: &LocalKey, plan: &Plan) -> Vec<Problem> {
    let local = world.local();
    let winner = world.claims(key).next().map(|winner| {
        let source = world.policy().source(winner.rank).name.clone();
        (source, winner.service.clone())
    });
    let Some((source, original)) = winner.or_else(|| holder(world, key)) else {
        return Vec::new();
    };
    let service =
        diff(&plan.service, local.service(key)).map(|_| (Resource::Services, key.object()));
    let slices = plan.slices.iter().filter_map(|(slice, verdict)| {
        diff(verdict, local.slice(slice)).map(|_| (Resource::EndpointSlices, slice))
    });
    let undone = service.into_iter().chain(slices);
    let obstacles = undone.filter_map(|(resource, object)| {
        let obstacle = local.obstacle(resource, object)?;
        Some(Problem {
            source: source.clone(),
            object: original.clone(),
            cause: obstacle.cause(resource, object),
        })
    });
    obstacles.collect()
}

/// Whose the Service under a key is, or else its slices.
fn holder(world: &World, key: &LocalKey) -> Option<(SourceName, ObjectKey)> {
    let service = world.local().service(key).map(|it| &it.owner);
    let slices = world.local().slices_of(key).map(|(_, it)| &it.owner);
    let owner = service.into_iter().chain(slices).next()?;
    Some((owner.source.clone()?, owner.service.clone()?))
}

fn problem_of(owner: &Owner, key: &LocalKey, cause: Cause) -> Option<Problem> {
    let object = owner.service.as_ref().unwrap_or_else(|| key.object());
    Some(Problem {
        source: owner.source.clone()?,
        object: object.clone(),
        cause,
    })
}

impl Plan {
    fn report(&mut self, policy: &SourcePolicy, claim: &Claim, cause: Cause) {
        self.problems.push(Problem {
            source: policy.name.clone(),
            object: claim.service.clone(),
            cause,
        });
    }

    fn report_left_out(
        &mut self,
        policy: &SourcePolicy,
        claim: &Claim,
        original: &ObjectKey,
        content: &SliceContent,
    ) {
        if let Some(left_out) = &content.left_out {
            let cause = Cause::AddressRefused {
                slice: original.name().into(),
                address: left_out.address.clone(),
                n_endpoints: left_out.n_endpoints,
            };
            self.report(policy, claim, cause);
        }
    }
}

impl Obstacle {
    fn cause(&self, resource: Resource, object: &ObjectKey) -> Cause {
        let local = (resource, object.clone());
        match self {
            Self::Occupied => Cause::Occupied { local },
            Self::NamespaceMissing => Cause::NamespaceMissing {
                namespace: object.namespace().into(),
            },
            Self::Refused(message) => Cause::Refused {
                local,
                message: message.clone(),
            },
            Self::Overruled => Cause::Overruled { local },
        }
    }
}
