//! World, cluster, and the loop between them, as the reflector runs it.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use proto_types::{ObjectKey, Resource, ResourceVersion};
use reflector_planner::{
    Change, Exported, Index, LocalChange, LocalList, MirrorKey, MonotonicTime, Placement, Policy,
    Problem, Role, SourceName, SourcePolicy, SourceService, SourceSlice, Step, Update, plan, steps,
};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::object::raw;

pub(crate) struct Lab {
    pub(crate) index: Index,
    pub(crate) cluster: Cluster,
    dirty: BTreeSet<MirrorKey>,
    seconds: u64,
    /// What sources are said to export: mirrors, or members of global Services.
    pub(crate) role: Role,
}

pub(crate) fn name(source: &str) -> SourceName {
    source.parse().unwrap()
}

/// A source whose prefix is its name.
pub(crate) fn prefixed(source: &str) -> SourcePolicy {
    let placement = Placement::Prefixed {
        prefix: source.parse().unwrap(),
        namespace: "mirrors".parse().unwrap(),
    };
    SourcePolicy::new(name(source), placement)
}

pub(crate) fn same_name(source: &str) -> SourcePolicy {
    SourcePolicy::new(name(source), Placement::SameName)
}

pub(crate) fn policy(sources: Vec<SourcePolicy>) -> Policy {
    Policy::new(sources).unwrap()
}

impl Lab {
    /// A listed, empty local cluster, and sources of which nothing is known.
    pub(crate) fn new(sources: Vec<SourcePolicy>) -> Self {
        Self::over(Cluster::default(), policy(sources))
    }

    /// A reflector that starts on a cluster.
    pub(crate) fn over(cluster: Cluster, policy: Policy) -> Self {
        let mut lab = Self {
            index: Index::new(policy),
            cluster,
            dirty: BTreeSet::new(),
            seconds: 0,
            role: Role::Mirror,
        };
        lab.list_local();
        lab
    }

    /// Lists the local cluster.
    pub(crate) fn list_local(&mut self) {
        let revision = ResourceVersion::new(self.cluster.revision);
        let services = LocalList {
            revision,
            rewound: false,
            objects: self.cluster.list(),
        };
        let slices = LocalList {
            revision,
            rewound: false,
            objects: self.cluster.list(),
        };
        self.update(Update::LocalServices(LocalChange::Listed(services)));
        self.update(Update::LocalSlices(LocalChange::Listed(slices)));
        if self.index.concerns_endpoints() {
            let endpoints = LocalList {
                revision,
                rewound: false,
                objects: self.cluster.list(),
            };
            self.update(Update::LocalEndpoints(LocalChange::Listed(endpoints)));
        }
    }

    /// The same cluster, and a reflector that starts again.
    pub(crate) fn restarted(self) -> Self {
        let policy = self.index.policy().clone();
        Self {
            role: self.role,
            ..Self::over(self.cluster, policy)
        }
    }

    pub(crate) fn update(&mut self, update: Update) {
        self.dirty.extend(self.index.update(update));
    }

    pub(crate) fn reconfigure(&mut self, policy: Policy, anew: &HashSet<SourceName>) {
        self.dirty.extend(self.index.reconfigure(policy, anew));
    }

    pub(crate) fn identify(&mut self, source: &str, cluster: &str) {
        self.update(Update::Identified(name(source), cluster.into()));
    }

    fn services_of(&self, source: &str, change: Change<SourceService>) -> Update {
        match self.role {
            Role::Mirror => Update::Services(name(source), change),
            Role::Member => Update::MemberServices(name(source), change),
        }
    }

    fn slices_of(&self, source: &str, change: Change<SourceSlice>) -> Update {
        match self.role {
            Role::Mirror => Update::Slices(name(source), change),
            Role::Member => Update::MemberSlices(name(source), change),
        }
    }

    fn read(&self, service: &Value) -> Exported<SourceService> {
        let service = raw(Resource::Services, service);
        match self.role {
            Role::Mirror => Exported::service(&service),
            Role::Member => Exported::member(&service),
        }
    }

    pub(crate) fn list_services(&mut self, source: &str, services: &[Value]) {
        let services = services.iter().map(|it| self.read(it)).collect();
        self.update(self.services_of(source, Change::Listed(services)));
    }

    /// A list that no API server confirmed.
    pub(crate) fn list_in_part(&mut self, source: &str, services: &[Value], slices: &[Value]) {
        let services = services.iter().map(|it| self.read(it)).collect();
        self.update(self.services_of(source, Change::ListedInPart(services)));
        let read = |it| Exported::slice(&raw(Resource::EndpointSlices, it));
        let listed = Change::ListedInPart(slices.iter().map(read).collect());
        self.update(self.slices_of(source, listed));
    }

    pub(crate) fn list_slices(&mut self, source: &str, slices: &[Value]) {
        let read = |it| Exported::slice(&raw(Resource::EndpointSlices, it));
        let listed = Change::Listed(slices.iter().map(read).collect());
        self.update(self.slices_of(source, listed));
    }

    /// Both lists.
    pub(crate) fn list(&mut self, source: &str, services: &[Value], slices: &[Value]) {
        self.list_services(source, services);
        self.list_slices(source, slices);
    }

    /// Both lists. What they would delete in mass is confirmed at once.
    pub(crate) fn list_confirmed(&mut self, source: &str, services: &[Value], slices: &[Value]) {
        self.list(source, services, slices);
        self.wait(0);
        if !self.doubts().is_empty() {
            self.list(source, services, slices);
        }
    }

    /// Both lists, and the same again when a deletion hold is over.
    pub(crate) fn list_twice(&mut self, source: &str, services: &[Value], slices: &[Value]) {
        self.list(source, services, slices);
        self.wait(60);
        self.doubts();
        self.list(source, services, slices);
    }

    /// Endpoints, where they stand for slices.
    pub(crate) fn list_endpoints(&mut self, source: &str, endpoints: &[Value]) {
        let read = |it| Exported::endpoints(&raw(Resource::Endpoints, it));
        let listed = Change::Listed(endpoints.iter().map(read).collect());
        self.update(Update::Endpoints(name(source), listed));
    }

    pub(crate) fn apply_service(&mut self, source: &str, service: &Value) {
        let service = self.read(service);
        self.update(self.services_of(source, Change::Applied(service)));
    }

    pub(crate) fn apply_slice(&mut self, source: &str, slice: &Value) {
        let slice = Exported::slice(&raw(Resource::EndpointSlices, slice));
        self.update(self.slices_of(source, Change::Applied(slice)));
    }

    pub(crate) fn delete_service(&mut self, source: &str, key: &str) {
        let key = ObjectKey::parse(key).unwrap();
        self.update(self.services_of(source, Change::Deleted(key)));
    }

    pub(crate) fn delete_slice(&mut self, source: &str, key: &str) {
        let key = ObjectKey::parse(key).unwrap();
        self.update(self.slices_of(source, Change::Deleted(key)));
    }

    pub(crate) fn lose(&mut self, source: &str) {
        self.update(self.services_of(source, Change::Lost));
        self.update(self.slices_of(source, Change::Lost));
    }

    /// The same, before anything was heard of it.
    pub(crate) fn lose_source(&mut self, source: &str) {
        self.lose(source);
        assert!(self.index.policy().rank(&name(source), self.role).is_some());
    }

    /// It lived until now.
    pub(crate) fn end(&mut self, source: &str) {
        self.update(self.services_of(source, Change::Ended));
        self.update(self.slices_of(source, Change::Ended));
    }

    pub(crate) fn reconnect(&mut self, source: &str) {
        self.update(self.services_of(source, Change::Connected));
        self.update(self.slices_of(source, Change::Connected));
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.pass(self.seconds + seconds);
    }

    /// Since the start.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.seconds = seconds;
        self.update(Update::Tick(MonotonicTime(Duration::from_secs(seconds))));
    }

    /// What is to be listed once more.
    pub(crate) fn doubts(&mut self) -> Vec<String> {
        let doubts = self.index.relist_requests().into_iter();
        let said = doubts.map(|it| format!("{:?} of {}", it.resource, it.source));
        said.collect()
    }

    /// Somebody edits an object here.
    pub(crate) fn edit(&mut self, resource: Resource, key: &str, edit: impl FnOnce(&mut Value)) {
        let id = (resource, ObjectKey::parse(key).unwrap());
        let mut object = self.cluster.objects[&id].clone();
        edit(&mut object);
        for update in self.cluster.put(&id, object) {
            self.update(update);
        }
    }

    /// Somebody deletes an object here.
    pub(crate) fn remove(&mut self, resource: Resource, key: &str) {
        let key = ObjectKey::parse(key).unwrap();
        self.cluster
            .objects
            .remove(&(resource, key.clone()))
            .unwrap();
        self.cluster.revision += 1;
        let revision = ResourceVersion::new(self.cluster.revision);
        self.update(match resource {
            Resource::Services => Update::LocalServices(LocalChange::Deleted(key, revision)),
            Resource::EndpointSlices => Update::LocalSlices(LocalChange::Deleted(key, revision)),
            Resource::Endpoints => Update::LocalEndpoints(LocalChange::Deleted(key, revision)),
        });
    }

    /// Tries again what was in vain.
    pub(crate) fn retry(&mut self, key: &ObjectKey) {
        self.dirty.insert(MirrorKey::new(key.clone()));
    }

    /// How many keys are to be planned again.
    pub(crate) fn n_dirty(&self) -> usize {
        self.dirty.len()
    }

    /// Plans what was touched until there is nothing to do; returns the writes.
    /// Then nothing else must be left to do either: what is touched is enough.
    pub(crate) fn settle(&mut self) -> Vec<String> {
        let before = self.cluster.log.len();
        for _ in 0..20 {
            let keys = std::mem::take(&mut self.dirty);
            for key in &keys {
                self.perform(key);
            }
            if self.dirty.is_empty() {
                break;
            }
        }
        assert!(self.dirty.is_empty(), "it does not settle");
        for key in self.keys() {
            let left = self.steps(&key);
            let left: Vec<_> = left.iter().filter(|it| !self.is_blocked(it)).collect();
            assert!(left.is_empty(), "{key} was not touched: {left:?}");
        }
        self.cluster.log[before..].to_vec()
    }

    /// Plans once what was touched, as far as it is known now.
    pub(crate) fn work(&mut self) {
        for key in std::mem::take(&mut self.dirty) {
            self.perform(&key);
            // What was in vain is tried again.
            if !self.steps(&key).is_empty() {
                self.dirty.insert(key);
            }
        }
    }

    fn perform(&mut self, key: &MirrorKey) {
        let mut has_service = true;
        for step in self.steps(key) {
            if step.needs_service() && !has_service {
                continue;
            }
            let updates = self.cluster.perform(&step);
            let in_vain = updates
                .iter()
                .any(|it| matches!(it, Update::Blocked(..) | Update::Met(_)));
            has_service &= !(in_vain && step.makes_service());
            for update in updates {
                self.update(update);
            }
        }
    }

    fn steps(&self, key: &MirrorKey) -> Vec<Step> {
        steps(&plan(&self.index, key), key, self.index.local())
    }

    fn is_blocked(&self, step: &Step) -> bool {
        let write_failure =
            |resource, key| self.index.local().write_failure(resource, key).is_some();
        write_failure(step.resource, &step.key)
    }

    /// Every key that anything belongs to.
    fn keys(&self) -> BTreeSet<MirrorKey> {
        let mut keys = BTreeSet::new();
        for rank in self.index.policy().ranks() {
            let services = self.index.source(rank).services.known();
            let services = services.into_iter().flat_map(|it| it.keys());
            keys.extend(services.map(|it| self.index.policy().local(rank, it)));
        }
        for (resource, key) in self.cluster.objects.keys() {
            if *resource == Resource::Services {
                keys.insert(MirrorKey::new(key.clone()));
            }
        }
        let slices = self.index.local().slices();
        keys.extend(slices.filter_map(|(_, slice)| slice.owner.attached_to.clone()));
        keys
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let plans = self.keys().into_iter().map(|key| plan(&self.index, &key));
        let problems: BTreeSet<_> = plans.flat_map(|plan| plan.problems).collect();
        problems.into_iter().collect()
    }

    /// The names of all Services here.
    pub(crate) fn services(&self) -> Vec<String> {
        self.names(Resource::Services)
    }

    /// The names of all slices here.
    pub(crate) fn slices(&self) -> Vec<String> {
        self.names(Resource::EndpointSlices)
    }

    fn names(&self, resource: Resource) -> Vec<String> {
        let keys = self.cluster.objects.keys();
        let keys = keys.filter(|(it, _)| *it == resource);
        keys.map(|(_, key)| key.to_string()).collect()
    }

    pub(crate) fn service(&self, key: &str) -> &Value {
        let key = ObjectKey::parse(key).unwrap();
        &self.cluster.objects[&(Resource::Services, key)]
    }

    /// The only slice here.
    pub(crate) fn slice(&self) -> &Value {
        let slices = self.slices();
        assert_eq!(slices.len(), 1, "{slices:?}");
        let key = ObjectKey::parse(&slices[0]).unwrap();
        &self.cluster.objects[&(Resource::EndpointSlices, key)]
    }
}
