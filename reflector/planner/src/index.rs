//! All that is known, and which plans a change touches. Changes enter by
//! [`update`](crate::update).

mod claims;
mod contest;
mod endpoints;
mod evidence;
mod failback;
mod left_behind;
mod losses;
mod reconfigure;
mod sources;
mod waits;

use std::collections::{BTreeSet, HashMap, HashSet};

use ipnet::IpNet;
use proto_types::{ObjectKey, Resource};

use crate::hold::MonotonicTime;
use crate::local::{LocalState, WriteFailure};
use crate::mirror::Role;
use crate::name::MirrorKey;
use crate::policy::{Policy, Rank};
use crate::rejected::OptionalField;
use crate::service::ServiceKind;
use crate::source::Source;

use claims::Claims;
use contest::Contests;
pub(crate) use contest::Subject;
pub use evidence::RelistRequest;
use failback::Failbacks;
pub(crate) use failback::{FailingBack, STEPS};
pub use left_behind::selector_of_left_behind;
use losses::{By, Judging};

/// All that is known. Plans depend on it alone, and never on what happened last.
///
/// It holds the policy, because the claims are made by the policy's names: a plan
/// by another policy would contradict them.
#[derive(Debug)]
pub struct Index {
    policy: Policy,
    /// By rank.
    sources: Vec<Source>,
    local: LocalState,
    claims: Claims,
    failbacks: Failbacks,
    contests: Contests,
    doubts: Vec<RelistRequest>,
    /// Services that are new, and until when their slices may be on their way.
    awaited: HashMap<(Rank, ObjectKey), MonotonicTime>,
    now: MonotonicTime,
}

/// A source's Service whose mirror belongs to some local key.
///
/// Claims order by rank, then by key: the first one wins, in every order of events.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// The source.
    pub rank: Rank,
    /// The Service there.
    pub service: ObjectKey,
}

/// The keys whose plans an update may have changed.
pub type AffectedKeys = HashSet<MirrorKey>;

impl Index {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let sources = policy.ranks().map(|_| Source::default()).collect();
        Self {
            claims: Claims::new(&policy),
            policy,
            sources,
            local: LocalState::default(),
            failbacks: Failbacks::new(),
            contests: Contests::new(),
            doubts: Vec::new(),
            awaited: HashMap::new(),
            now: MonotonicTime::default(),
        }
    }

    /// Returns the policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the known state of a source.
    #[must_use]
    pub fn source(&self, rank: Rank) -> &Source {
        &self.sources[rank.index()]
    }

    /// Returns the observed objects of the local cluster.
    #[must_use]
    pub const fn local(&self) -> &LocalState {
        &self.local
    }

    /// Returns the time of the last tick.
    #[must_use]
    pub const fn now(&self) -> MonotonicTime {
        self.now
    }

    /// Takes the relists that are due, each once.
    pub fn relist_requests(&mut self) -> Vec<RelistRequest> {
        std::mem::take(&mut self.doubts)
    }

    /// Records the obstacle of an object. EndpointSlices are removed from a Service that is
    /// unmanaged.
    pub(crate) fn block(
        &mut self,
        resource: Resource,
        key: ObjectKey,
        write_failure: WriteFailure,
    ) -> AffectedKeys {
        let is_known = self.local.write_failure(resource, &key) == Some(&write_failure);
        self.local
            .set_obstacle(resource, key.clone(), write_failure, self.now);
        match resource {
            Resource::Services if !is_known => AffectedKeys::from([MirrorKey::new(key)]),
            Resource::Services | Resource::EndpointSlices | Resource::Endpoints => {
                AffectedKeys::new()
            }
        }
    }

    pub(crate) fn update_local(
        &mut self,
        update: impl FnOnce(&mut LocalState, &Policy) -> Vec<MirrorKey>,
    ) -> AffectedKeys {
        let was_listed = self.local.is_listed();
        let concerned = update(&mut self.local, &self.policy);
        if was_listed || !self.local.is_listed() {
            // What an object was made for, it says by the name in its source.
            let aliases = concerned.iter().flat_map(|it| self.aliases_of(it));
            let mut affected: AffectedKeys = aliases.cloned().collect();
            affected.extend(concerned);
            return affected;
        }
        self.record_clusters();
        // Now lists can be judged that came before there was anything to compare.
        for rank in self.policy.ranks() {
            self.evaluate_services(rank, &HashSet::new(), Judging::LastList);
            self.evaluate_slices(rank, Judging::LastList);
        }
        self.keys()
    }

    pub(crate) fn set_local_cidrs(&mut self, ranges: Vec<IpNet>) -> AffectedKeys {
        if self.policy.learned_ranges == ranges {
            return AffectedKeys::new();
        }
        self.policy.learned_ranges = ranges;
        self.keys()
    }

    pub(crate) fn tick(&mut self, now: MonotonicTime) -> AffectedKeys {
        let before = std::mem::replace(&mut self.now, now);
        self.request_relists_of_held();
        let mut affected = self.step_failbacks();
        affected.extend(self.end_awaiting(before));
        affected.extend(self.end_contests(before));
        self.local.drop_old_write_failures(now);
        affected.extend(self.end_waits());
        if self.local.rejected.expire(now) {
            affected.extend(self.keys());
        }
        for rank in self.policy.ranks() {
            affected.extend(self.evaluate_staleness(rank));
        }
        affected
    }

    /// Records that the local API server rejects a value of an optional field.
    pub(crate) fn reject_field(
        &mut self,
        field: OptionalField,
        value: Box<str>,
        message: Box<str>,
    ) {
        self.local.rejected.insert(field, value, message, self.now);
    }

    /// Applies a change to the local objects and the policy that belongs to them.
    pub(crate) const fn local_mut(&mut self) -> (&mut LocalState, &Policy) {
        (&mut self.local, &self.policy)
    }

    /// Those of a source's Services that are exported, by where they go. A slice
    /// may come before its Service, and is planned with it.
    fn claimed(&self, rank: Rank, services: &[ObjectKey]) -> AffectedKeys {
        let keys = services.iter().map(|it| self.key_of(rank, it));
        let mut keys: AffectedKeys = keys.filter(|key| self.claims.has(key)).collect();
        let strays = services
            .iter()
            .flat_map(|it| self.local.displaced_mirrors_of(it));
        keys.extend(strays);
        keys
    }

    /// All local keys that may depend on the connection of a source.
    fn keys_of(&self, rank: Rank) -> AffectedKeys {
        let name = &self.policy.source(rank).name;
        let role = self.policy.role(rank);
        let mut homes: AffectedKeys = self.local.keys_of(name, role).into_iter().collect();
        homes.extend(self.orphans());
        if role == Role::Member {
            homes.extend(self.globals_of(rank));
        }
        homes
    }

    /// Returns whether a global Service has a known member. A Service of type ExternalName is none.
    fn is_inhabited(&self, key: &MirrorKey) -> bool {
        self.claims(key).any(|claim| {
            let known = self.source(claim.rank).services.known();
            let content = known.and_then(|it| it.get(&claim.service)?.as_ref().ok());
            content.is_some_and(|it| !matches!(it.spec.kind, ServiceKind::External(_)))
        })
    }

    /// The global Services of the local cluster that record a source as a member, or that have
    /// none, and those that wait to learn whether the local cluster is one.
    fn globals_of(&self, rank: Rank) -> AffectedKeys {
        let name = &self.policy.source(rank).name;
        let globals = self.local.services();
        let globals = globals.filter(|(_, it)| it.owner.role == Role::Member);
        let globals = globals.map(|(key, it)| (MirrorKey::new(key.clone()), it));
        let concerned = globals.filter(|(key, it)| {
            it.names(name) || self.has_removed_member(it) || !self.is_inhabited(key)
        });
        let mut keys: AffectedKeys = concerned.map(|(key, _)| key).collect();
        if self.policy.is_local(rank) {
            let is_joined = |claims: &BTreeSet<Claim>| {
                let mut claims = claims.iter();
                claims.any(|it| self.policy.role(it.rank) == Role::Member)
            };
            let joined = self
                .claims
                .admitted()
                .filter(|(_, claims)| is_joined(claims));
            keys.extend(joined.map(|(key, _)| key.clone()));
        }
        keys
    }

    fn source_mut(&mut self, rank: Rank) -> &mut Source {
        &mut self.sources[rank.index()]
    }
}
