//! All that is known, and which plans an update touches.

use std::collections::{BTreeSet, HashMap, HashSet};

use proto_types::{ObjectKey, Resource};

use crate::adopt::{self, Met};
use crate::brake::Moment;
use crate::local::{Local, LocalChange, Obstacle};
use crate::mirror::{MirrorService, MirrorSlice, Observed, Owner};
use crate::name::{LocalKey, SourceName};
use crate::policy::{Policy, Rank};
use crate::source::{Change, Services, Slices, Source, SourceService, SourceSlice, SourceState};

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
    claims: HashMap<LocalKey, BTreeSet<Claim>>,
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
    /// Of our Services here.
    LocalServices(LocalChange<MirrorService>),
    /// Of our slices here.
    LocalSlices(LocalChange<MirrorSlice>),
    /// A write was in vain.
    Blocked(Resource, ObjectKey, Obstacle),
    /// Where a mirror was to be created, somebody else's Service is.
    Met(Box<Met>),
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
            policy,
            sources,
            local: Local::default(),
            claims: HashMap::new(),
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

    /// Who wants a key, the winner first.
    pub fn claims(&self, key: &LocalKey) -> impl Iterator<Item = &Claim> {
        self.claims.get(key).into_iter().flatten()
    }

    /// Takes over something new; returns the keys to plan again.
    pub fn update(&mut self, update: Update) -> Touched {
        match update {
            Update::Services(name, change) => match self.policy.rank(&name) {
                Some(rank) => {
                    if change.is_contact() {
                        self.source_mut(rank).services_heard = self.now;
                    }
                    let mut touched = self.update_services(rank, change);
                    touched.extend(self.judge_age(rank));
                    touched
                }
                None => Touched::new(),
            },
            Update::Slices(name, change) => match self.policy.rank(&name) {
                Some(rank) => {
                    if change.is_contact() {
                        self.source_mut(rank).slices_heard = self.now;
                    }
                    let mut touched = self.update_slices(rank, change);
                    touched.extend(self.judge_age(rank));
                    touched
                }
                None => Touched::new(),
            },
            Update::LocalServices(change) => {
                self.update_local(|local, policy| local.update_services(change, policy))
            }
            Update::LocalSlices(change) => {
                self.update_local(|local, policy| local.update_slices(change, policy))
            }
            Update::Blocked(resource, key, obstacle) => self.block(resource, key, obstacle),
            Update::Met(met) => self.meet(&met),
            Update::Tick(now) => self.tick(now),
        }
    }

    /// Slices leave a Service that turns out to be somebody else's.
    fn block(&mut self, resource: Resource, key: ObjectKey, obstacle: Obstacle) -> Touched {
        let is_known = self.local.obstacle(resource, &key) == Some(&obstacle);
        self.local.set_obstacle(resource, key.clone(), obstacle);
        match resource {
            Resource::Services if !is_known => Touched::from([LocalKey::new(key)]),
            Resource::Services | Resource::EndpointSlices | Resource::Endpoints => Touched::new(),
        }
    }

    /// The mirror of a program that this one replaces becomes ours; anything else
    /// stands in the way.
    fn meet(&mut self, met: &Met) -> Touched {
        let key = met.service.key.clone();
        let winner = self.claims(&LocalKey::new(key.clone())).next();
        let adopted = winner.and_then(|claim| {
            let policy = self.policy.source(claim.rank);
            let adoption = adopt::adoption(policy, met)?;
            let owner = Owner::new(policy.name.clone(), claim.service.clone());
            Some((Observed::adopted(&met.service, owner)?, adoption))
        });
        match adopted {
            Some(adopted) => {
                let concerned = self.local.adopt(key, adopted, &self.policy);
                concerned.into_iter().collect()
            }
            None => self.block(Resource::Services, key, Obstacle::Occupied),
        }
    }

    fn update_services(&mut self, rank: Rank, change: Change<SourceService>) -> Touched {
        match change {
            Change::Listed(services) => self.list_services(rank, services),
            Change::Applied(service) => match service.object {
                Some(spec) => {
                    if let Some(known) = self.source_mut(rank).services.known_mut() {
                        known.insert(service.key.clone(), spec);
                        return Touched::from([self.claim(rank, service.key)]);
                    }
                    Touched::new()
                }
                None => self.delete_service(rank, service.key),
            },
            Change::Deleted(key) => self.delete_service(rank, key),
            Change::Connected => {
                if self.source(rank).services.is_synced() {
                    return Touched::new();
                }
                self.source_mut(rank).services.resume();
                self.homes_of(rank)
            }
            Change::Heard => Touched::new(),
            Change::Ended | Change::Lost => {
                self.source_mut(rank).services.lose();
                Touched::new()
            }
        }
    }

    fn list_services(
        &mut self,
        rank: Rank,
        services: Vec<crate::source::Exported<SourceService>>,
    ) -> Touched {
        let services: Services = services
            .into_iter()
            .filter_map(|service| Some((service.key, service.object?)))
            .collect();
        let keys: Vec<_> = services.keys().cloned().collect();
        let state = &mut self.source_mut(rank).services;
        let before = std::mem::replace(state, SourceState::Synced(services));
        let mut touched = self.homes_of(rank);
        for key in before.known().into_iter().flat_map(|it| it.keys()) {
            touched.insert(self.unclaim(rank, key.clone()));
        }
        for key in keys {
            touched.insert(self.claim(rank, key));
        }
        self.judge_services(rank);
        touched
    }

    fn delete_service(&mut self, rank: Rank, key: ObjectKey) -> Touched {
        if let Some(known) = self.source_mut(rank).services.known_mut() {
            known.remove(&key);
        }
        Touched::from([self.unclaim(rank, key)])
    }

    fn update_slices(&mut self, rank: Rank, change: Change<SourceSlice>) -> Touched {
        let slices = &mut self.source_mut(rank).slices;
        let services = match change {
            Change::Listed(listed) => {
                let listed = SourceState::Synced(Slices::new(listed));
                let before = std::mem::replace(slices, listed);
                self.judge_slices(rank);
                let slices = &self.source(rank).slices;
                let known = [before.known(), slices.known()].into_iter().flatten();
                let services: Vec<_> = known.flat_map(Slices::services).cloned().collect();
                let mut touched = self.homes_of(rank);
                touched.extend(self.claimed(rank, &services));
                return touched;
            }
            Change::Applied(slice) => slices.known_mut().map(|known| known.set(slice)),
            Change::Deleted(key) => slices.known_mut().map(|known| known.remove(&key)),
            Change::Connected if slices.is_synced() => None,
            Change::Connected => {
                slices.resume();
                return self.homes_of(rank);
            }
            Change::Heard => None,
            Change::Ended | Change::Lost => {
                slices.lose();
                None
            }
        };
        self.claimed(rank, &services.unwrap_or_default())
    }

    fn update_local(
        &mut self,
        update: impl FnOnce(&mut Local, &Policy) -> Vec<LocalKey>,
    ) -> Touched {
        let was_listed = self.local.is_listed();
        let concerned = update(&mut self.local, &self.policy);
        if was_listed || !self.local.is_listed() {
            return concerned.into_iter().collect();
        }
        // Now lists can be judged that came before there was anything to compare.
        for rank in self.policy.ranks() {
            self.judge_services(rank);
            self.judge_slices(rank);
        }
        let services = self.local.services();
        let homes = services.map(|(key, _)| LocalKey::new(key.clone()));
        let homes = homes.chain(self.local.homes().cloned());
        homes.chain(self.claims.keys().cloned()).collect()
    }

    fn tick(&mut self, now: Moment) -> Touched {
        self.now = now;
        let hold = self.policy.hold;
        let mut touched = Touched::new();
        for source in &mut self.sources {
            for service in source.service_brake.tick(now, hold) {
                touched.insert(LocalKey::new(service));
            }
            for slice in source.slice_brake.tick(now, hold) {
                touched.extend(self.local.home_of(&slice, &self.policy));
            }
        }
        for rank in self.policy.ranks() {
            touched.extend(self.judge_age(rank));
        }
        touched
    }

    /// Finds out what a source's silence means now. Where that changed, all that it
    /// exports or has here is concerned.
    fn judge_age(&mut self, rank: Rank) -> Touched {
        let staleness = self.policy.source(rank).staleness;
        let source = self.source(rank);
        let age = staleness.age(source.contacts(), self.now);
        if age == source.age {
            return Touched::new();
        }
        let services = source.services.known().into_iter().flat_map(|it| it.keys());
        let mut touched: Touched = services.map(|it| self.policy.local(rank, it)).collect();
        touched.extend(self.homes_of(rank));
        self.source_mut(rank).age = age;
        touched
    }

    /// Compares a source's listed Services with its mirrors. Without a full
    /// picture of both there is nothing to judge.
    fn judge_services(&mut self, rank: Rank) {
        let SourceState::Synced(services) = &self.source(rank).services else {
            return;
        };
        if !self.local.is_listed() {
            return;
        }
        let name = &self.policy.source(rank).name;
        let mirrors = self.local.services();
        let mirrors = mirrors.filter(|(_, it)| it.owner.source.as_ref() == Some(name));
        let (mut gone, mut n_mirrors) = (HashSet::new(), 0);
        for (key, observed) in mirrors {
            n_mirrors += 1;
            let original = observed.owner.service.as_ref();
            if !original.is_some_and(|original| services.contains_key(original)) {
                gone.insert(key.clone());
            }
        }
        let now = self.now;
        let brake = &mut self.source_mut(rank).service_brake;
        brake.judge(&gone, n_mirrors, now);
    }

    fn judge_slices(&mut self, rank: Rank) {
        let SourceState::Synced(slices) = &self.source(rank).slices else {
            return;
        };
        if !self.local.is_listed() {
            return;
        }
        let name = &self.policy.source(rank).name;
        let mirrors = self.local.slices();
        let mirrors = mirrors.filter(|(_, it)| it.owner.source.as_ref() == Some(name));
        let (mut gone, mut n_mirrors) = (HashSet::new(), 0);
        for (key, observed) in mirrors {
            n_mirrors += 1;
            let original = observed.owner.slice.as_ref();
            if !original.is_some_and(|original| slices.contains(original)) {
                gone.insert(key.clone());
            }
        }
        let now = self.now;
        let brake = &mut self.source_mut(rank).slice_brake;
        brake.judge(&gone, n_mirrors, now);
    }

    fn claim(&mut self, rank: Rank, service: ObjectKey) -> LocalKey {
        let key = self.policy.local(rank, &service);
        let claims = self.claims.entry(key.clone()).or_default();
        claims.insert(Claim { rank, service });
        key
    }

    fn unclaim(&mut self, rank: Rank, service: ObjectKey) -> LocalKey {
        let key = self.policy.local(rank, &service);
        if let Some(claims) = self.claims.get_mut(&key) {
            claims.remove(&Claim { rank, service });
            if claims.is_empty() {
                self.claims.remove(&key);
            }
        }
        key
    }

    /// Those of a source's Services that are exported, by where they go. A slice
    /// may come before its Service, and is planned with it.
    fn claimed(&self, rank: Rank, services: &[ObjectKey]) -> Touched {
        let keys = services.iter().map(|it| self.policy.local(rank, it));
        keys.filter(|key| self.claims.contains_key(key)).collect()
    }

    fn homes_of(&self, rank: Rank) -> Touched {
        let name = &self.policy.source(rank).name;
        self.local.homes_of(name).into_iter().collect()
    }

    fn source_mut(&mut self, rank: Rank) -> &mut Source {
        &mut self.sources[rank.index()]
    }
}
