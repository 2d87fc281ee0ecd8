//! All that is known, and which plans an update touches.

mod claims;
mod contest;
mod endpoints;
mod failback;
mod judge;
mod left_behind;
mod losses;
mod reconfigure;
mod sources;
mod waits;

use std::collections::{BTreeSet, HashMap, HashSet};

use ipnet::IpNet;
use proto_types::{ObjectKey, Resource};

use crate::adopt::Met;
use crate::endpoints::SourceEndpoints;
use crate::hold::Moment;
use crate::local::{Local, LocalChange, Obstacle};
use crate::mirror::{MirrorEndpoints, MirrorService, MirrorSlice, Role};
use crate::name::{LocalKey, SourceName};
use crate::policy::{Policy, Rank};
use crate::rejected::OptionalField;
use crate::service::Kind;
use crate::source::{Change, Source, SourceService, SourceSlice, UpstreamContact};

use claims::Claims;
use contest::Contests;
use failback::Failbacks;
pub(crate) use failback::FailingBack;
pub use judge::Doubt;
pub use left_behind::selector_of_left_behind;
use losses::{By, Judging};

/// All that is known. Plans depend on it alone, and never on what happened last.
///
/// It holds the policy, because the claims are made by the policy's names: a plan
/// by another policy would contradict them.
#[derive(Debug)]
pub struct World {
    policy: Policy,
    /// By rank.
    sources: Vec<Source>,
    local: Local,
    claims: Claims,
    failbacks: Failbacks,
    contests: Contests,
    doubts: Vec<Doubt>,
    /// Services that are new, and until when their slices may be on their way.
    awaited: HashMap<(Rank, ObjectKey), Moment>,
    now: Moment,
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

/// Something new.
#[derive(Debug, Clone)]
pub enum Update {
    /// Of a source's Services.
    Services(SourceName, Change<SourceService>),
    /// Of a source's slices.
    Slices(SourceName, Change<SourceSlice>),
    /// Of a source's Endpoints, where they stand for its slices.
    Endpoints(SourceName, Change<SourceEndpoints>),
    /// Of a source's Services that join global ones.
    MemberServices(SourceName, Change<SourceService>),
    /// Of the slices of these.
    MemberSlices(SourceName, Change<SourceSlice>),
    /// Of the Endpoints of these, where they stand for slices.
    MemberEndpoints(SourceName, Change<SourceEndpoints>),
    /// Contact of a source with the API server behind it.
    Upstream(SourceName, UpstreamContact),
    /// Which cluster a source is.
    Identified(SourceName, Box<str>),
    /// Which namespaces of a member keep their Services to themselves: all of them. It is
    /// told before the first of its Services.
    OptedOut(SourceName, BTreeSet<Box<str>>),
    /// Of our Services here.
    LocalServices(LocalChange<MirrorService>),
    /// Of our slices here.
    LocalSlices(LocalChange<MirrorSlice>),
    /// Of our Endpoints here.
    LocalEndpoints(LocalChange<MirrorEndpoints>),
    /// A write was in vain.
    Blocked(Resource, ObjectKey, Obstacle),
    /// The local API server rejects a value of an optional field, with these words.
    FieldRejected(OptionalField, Box<str>, Box<str>),
    /// Where a mirror was to be created, somebody else's Service is.
    Met(Box<Met>),
    /// Mirrors that a predecessor left of a source.
    LeftBehind(SourceName, Vec<Met>),
    /// The CIDRs of the local cluster that its API server reports: all of them.
    LocalRanges(Vec<IpNet>),
    /// Time passed.
    Tick(Moment),
}

/// The keys whose plans an update may have changed.
pub type Touched = HashSet<LocalKey>;

impl World {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let sources = policy.ranks().map(|_| Source::default()).collect();
        Self {
            claims: Claims::new(&policy),
            policy,
            sources,
            local: Local::default(),
            failbacks: Failbacks::new(),
            contests: Contests::new(),
            doubts: Vec::new(),
            awaited: HashMap::new(),
            now: Moment::default(),
        }
    }

    /// What was configured.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What is known of a source.
    #[must_use]
    pub fn source(&self, rank: Rank) -> &Source {
        &self.sources[rank.index()]
    }

    /// What is observed here.
    #[must_use]
    pub const fn local(&self) -> &Local {
        &self.local
    }

    /// Returns the time of the last tick.
    #[must_use]
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// What is to be listed once more, each once: the next list decides.
    pub fn doubts(&mut self) -> Vec<Doubt> {
        std::mem::take(&mut self.doubts)
    }

    /// Takes over something new; returns the keys to plan again.
    pub fn update(&mut self, update: Update) -> Touched {
        let touched = self.take(update);
        self.forget_obstacles(&touched);
        self.judge_failbacks(&touched);
        touched
    }

    fn take(&mut self, update: Update) -> Touched {
        match update {
            Update::Services(name, change) => {
                self.hear_services(self.policy.rank(&name, Role::Mirror), change)
            }
            Update::Slices(name, change) => {
                self.hear_slices(self.policy.rank(&name, Role::Mirror), change)
            }
            Update::MemberServices(name, change) => {
                self.hear_services(self.policy.rank(&name, Role::Member), change)
            }
            Update::MemberSlices(name, change) => {
                self.hear_slices(self.policy.rank(&name, Role::Member), change)
            }
            Update::Endpoints(name, change) => {
                self.hear_endpoints(self.policy.rank(&name, Role::Mirror), change)
            }
            Update::MemberEndpoints(name, change) => {
                self.hear_endpoints(self.policy.rank(&name, Role::Member), change)
            }
            Update::Upstream(name, contact) => self.hear_upstream(&name, contact),
            Update::Identified(name, cluster) => {
                let mut touched = self.identify(self.policy.rank(&name, Role::Mirror), &cluster);
                touched.extend(self.identify(self.policy.rank(&name, Role::Member), &cluster));
                touched
            }
            Update::OptedOut(name, namespaces) => {
                self.opt_out(self.policy.rank(&name, Role::Member), namespaces)
            }
            Update::LocalServices(change) => {
                let subject = self.local.subject_of_service(&change, &self.policy);
                self.update_ours(subject, |local, policy| {
                    local.update_services(change, policy)
                })
            }
            Update::LocalSlices(change) => {
                let subject = self.local.subject_of_slice(&change, &self.policy);
                self.update_ours(subject, |local, policy| local.update_slices(change, policy))
            }
            Update::LocalEndpoints(change) => self.hear_local_endpoints(change),
            Update::Blocked(resource, key, obstacle) => self.block(resource, key, obstacle),
            Update::FieldRejected(field, value, message) => {
                self.local.rejected.insert(field, value, message, self.now);
                Touched::new()
            }
            Update::Met(met) => self.meet(&met),
            Update::LeftBehind(name, met) => {
                self.adopt_left_behind(self.policy.rank(&name, Role::Mirror), met)
            }
            Update::LocalRanges(ranges) => self.learn_ranges(ranges),
            Update::Tick(now) => self.tick(now),
        }
    }

    /// Slices leave a Service that turns out to be somebody else's.
    fn block(&mut self, resource: Resource, key: ObjectKey, obstacle: Obstacle) -> Touched {
        let is_known = self.local.obstacle(resource, &key) == Some(&obstacle);
        self.local
            .set_obstacle(resource, key.clone(), obstacle, self.now);
        match resource {
            Resource::Services if !is_known => Touched::from([LocalKey::new(key)]),
            Resource::Services | Resource::EndpointSlices | Resource::Endpoints => Touched::new(),
        }
    }

    fn update_local(
        &mut self,
        update: impl FnOnce(&mut Local, &Policy) -> Vec<LocalKey>,
    ) -> Touched {
        let was_listed = self.local.is_listed();
        let concerned = update(&mut self.local, &self.policy);
        if was_listed || !self.local.is_listed() {
            // What an object was made for, it says by the name in its source.
            let aliases = concerned.iter().flat_map(|it| self.aliases_of(it));
            let mut touched: Touched = aliases.cloned().collect();
            touched.extend(concerned);
            return touched;
        }
        self.record_clusters();
        // Now lists can be judged that came before there was anything to compare.
        for rank in self.policy.ranks() {
            self.judge_services(rank, &HashSet::new(), Judging::LastList);
            self.judge_slices(rank, Judging::LastList);
        }
        self.keys()
    }

    fn learn_ranges(&mut self, ranges: Vec<IpNet>) -> Touched {
        if self.policy.learned_ranges == ranges {
            return Touched::new();
        }
        self.policy.learned_ranges = ranges;
        self.keys()
    }

    fn tick(&mut self, now: Moment) -> Touched {
        let before = std::mem::replace(&mut self.now, now);
        self.doubt_what_was_held();
        let mut touched = self.step_failbacks();
        touched.extend(self.end_awaiting(before));
        touched.extend(self.end_contests(before));
        self.local.forget_old_obstacles(now);
        touched.extend(self.end_waits());
        if self.local.rejected.expire(now) {
            touched.extend(self.keys());
        }
        for rank in self.policy.ranks() {
            touched.extend(self.judge_age(rank));
        }
        touched
    }

    /// Those of a source's Services that are exported, by where they go. A slice
    /// may come before its Service, and is planned with it.
    fn claimed(&self, rank: Rank, services: &[ObjectKey]) -> Touched {
        let keys = services.iter().map(|it| self.home(rank, it));
        let mut keys: Touched = keys.filter(|key| self.claims.has(key)).collect();
        let strays = services.iter().flat_map(|it| self.local.strays_of(it));
        keys.extend(strays);
        keys
    }

    /// Everything here that may depend on whether a source can be asked.
    fn homes_of(&self, rank: Rank) -> Touched {
        let name = &self.policy.source(rank).name;
        let role = self.policy.role(rank);
        let mut homes: Touched = self.local.homes_of(name, role).into_iter().collect();
        homes.extend(self.orphans());
        if role == Role::Member {
            homes.extend(self.globals_of(rank));
        }
        homes
    }

    /// Whether anybody is known to be a member of a global Service. A name is none.
    fn is_inhabited(&self, key: &LocalKey) -> bool {
        self.claims(key).any(|claim| {
            let known = self.source(claim.rank).services.known();
            let content = known.and_then(|it| it.get(&claim.service)?.as_ref().ok());
            content.is_some_and(|it| !matches!(it.spec.kind, Kind::External(_)))
        })
    }

    /// The global Services here that say that a source is a member, or that have
    /// none, and those that wait to learn whether the local cluster is one.
    fn globals_of(&self, rank: Rank) -> Touched {
        let name = &self.policy.source(rank).name;
        let globals = self.local.services();
        let globals = globals.filter(|(_, it)| it.owner.role == Role::Member);
        let globals = globals.map(|(key, it)| (LocalKey::new(key.clone()), it));
        let concerned = globals.filter(|(key, it)| {
            it.names(name) || self.has_removed_member(it) || !self.is_inhabited(key)
        });
        let mut keys: Touched = concerned.map(|(key, _)| key).collect();
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
