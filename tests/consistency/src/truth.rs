//! Upstream histories, and what a view shows at each of their resource versions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Namespace and name, as `namespace/name`.
pub type Key = String;

/// Objects that a view shows, with their resource versions.
pub type Shown = BTreeMap<Key, u64>;

/// All histories of an upstream; a restored backup begins a new one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Histories, oldest first.
    pub histories: Vec<History>,
}

/// One history: events in the order of their resource versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Events of all resources.
    pub events: Vec<Event>,
    /// Last resource version.
    pub end: u64,
}

/// One change of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Resource version.
    pub revision: u64,
    /// Resource, such as `services`.
    pub resource: String,
    /// Object.
    pub key: Key,
    /// Properties of the new version; absent for a deletion.
    pub version: Option<Version>,
}

/// Properties of an object that views look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Team of a Service.
    pub team: Option<String>,
    /// Service of an EndpointSlice.
    pub service: Option<Key>,
}

/// Selection of objects of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// Resource.
    pub resource: String,
    /// Namespaces; all if absent.
    pub namespaces: Option<BTreeSet<String>>,
    /// Team of the Service; any if absent.
    pub team: Option<String>,
}

impl History {
    /// Returns what a view shows at each resource version at which that changes, in order.
    #[must_use]
    pub fn shown(&self, view: &View) -> Vec<(u64, Shown)> {
        let mut state = State::default();
        let mut all = vec![(0, Shown::new())];
        for event in &self.events {
            state.apply(event);
            let shown = state.shown(view);
            if all.last().is_some_and(|(_, last)| *last != shown) {
                all.push((event.revision, shown));
            }
        }
        all
    }
}

#[derive(Default)]
struct State {
    services: BTreeMap<Key, (u64, Version)>,
    others: BTreeMap<(String, Key), (u64, Version)>,
}

impl State {
    fn apply(&mut self, event: &Event) {
        let Event {
            revision,
            resource,
            key,
            version,
        } = event;
        let place = (resource.clone(), key.clone());
        match (resource == "services", version) {
            (true, Some(version)) => {
                let version = (*revision, version.clone());
                self.services.insert(key.clone(), version);
            }
            (true, None) => drop(self.services.remove(key)),
            (false, Some(version)) => {
                self.others.insert(place, (*revision, version.clone()));
            }
            (false, None) => drop(self.others.remove(&place)),
        }
    }

    fn shown(&self, view: &View) -> Shown {
        if view.resource == "services" {
            let services = self.services.iter();
            let shown = services.filter(|(key, (_, version))| {
                in_namespace(view, key) && (view.team.is_none() || version.team == view.team)
            });
            return shown.map(|(key, (at, _))| (key.clone(), *at)).collect();
        }
        let others = self.others.iter();
        let shown = others.filter(|((resource, key), (_, version))| {
            let service = version.service.as_ref();
            let service = service.and_then(|service| self.services.get(service));
            let team = service.and_then(|(_, version)| version.team.clone());
            *resource == view.resource
                && in_namespace(view, key)
                && (view.team.is_none() || team == view.team)
        });
        shown
            .map(|((_, key), (at, _))| (key.clone(), *at))
            .collect()
    }
}

fn in_namespace(view: &View, key: &str) -> bool {
    let namespace = key.split('/').next().unwrap_or_default();
    let namespaces = view.namespaces.as_ref();
    namespaces.is_none_or(|all| all.contains(namespace))
}
