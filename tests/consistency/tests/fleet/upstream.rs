//! Upstream whose history is known: Services and EndpointSlices of three namespaces.

use std::collections::BTreeMap;

use bytes::Bytes;
use consistency::truth::{Event, Version};
use consistency::{History, Truth};
use proto_types::{RawObject, Resource, ResourceVersion};

pub(crate) const RESOURCES: [&str; 2] = ["services", "endpointslices"];
pub(crate) const NAMESPACES: u8 = 3;
const SERVICES: u8 = 5;
const SLICES: u8 = 10;

/// Change of one resource; no object is a deletion.
pub(crate) type Logged = (u64, String, Option<RawObject>);
type Objects = [BTreeMap<String, RawObject>; 2];

pub(crate) struct Upstream {
    pub(crate) truth: Truth,
    pub(crate) revision: u64,
    pub(crate) objects: Objects,
    /// Changes of each resource in the present history.
    pub(crate) log: [Vec<Logged>; 2],
    backup: Option<Backup>,
}

struct Backup {
    revision: u64,
    objects: Objects,
    log: [Vec<Logged>; 2],
    history: History,
}

impl Upstream {
    pub(crate) fn new() -> Self {
        Self {
            truth: Truth {
                histories: vec![History::default()],
            },
            revision: 100,
            objects: Objects::default(),
            log: Default::default(),
            backup: None,
        }
    }

    pub(crate) fn history(&self) -> usize {
        self.truth.histories.len() - 1
    }

    /// Changes something.
    pub(crate) fn churn(&mut self) {
        self.revision += fastrand::u64(1..4);
        let namespace = format!("n{}", fastrand::u8(..NAMESPACES));
        let service = format!("s{}", fastrand::u8(..SERVICES));
        let is_deletion = fastrand::u8(..10) < 3;
        if fastrand::u8(..10) < 4 {
            let team = ["a", "b"][usize::from(fastrand::bool())];
            let object = (!is_deletion).then(|| self.service(&namespace, &service, team));
            let version = Version {
                team: Some(team.to_owned()),
                service: None,
            };
            return self.apply(0, &format!("{namespace}/{service}"), object, version);
        }
        let name = format!("e{}", fastrand::u8(..SLICES));
        let object = (!is_deletion).then(|| self.slice(&namespace, &name, &service));
        let version = Version {
            team: None,
            service: Some(format!("{namespace}/{service}")),
        };
        self.apply(1, &format!("{namespace}/{name}"), object, version);
    }

    fn apply(&mut self, of: usize, key: &str, object: Option<RawObject>, version: Version) {
        match &object {
            Some(object) => drop(self.objects[of].insert(key.to_owned(), object.clone())),
            None if self.objects[of].remove(key).is_none() => return,
            None => {}
        }
        let version = object.is_some().then_some(version);
        self.log[of].push((self.revision, key.to_owned(), object));
        let history = self.truth.histories.last_mut().unwrap();
        history.events.push(Event {
            revision: self.revision,
            resource: RESOURCES[of].to_owned(),
            key: key.to_owned(),
            version,
        });
    }

    pub(crate) fn tick(&mut self) {
        self.revision += 1;
        let revision = self.revision;
        self.truth.histories.last_mut().unwrap().end = revision;
    }

    pub(crate) fn back_up(&mut self) {
        self.backup = Some(Backup {
            revision: self.revision,
            objects: self.objects.clone(),
            log: self.log.clone(),
            history: self.truth.histories.last().unwrap().clone(),
        });
    }

    /// Goes back to the backup, if there is one. The former history ends.
    pub(crate) fn restore(&mut self) -> bool {
        let Some(backup) = self.backup.take() else {
            return false;
        };
        self.tick();
        self.revision = backup.revision;
        self.objects = backup.objects;
        self.log = backup.log;
        self.truth.histories.push(backup.history);
        true
    }

    /// Returns the objects of a resource at a resource version.
    pub(crate) fn at(&self, of: usize, revision: u64) -> Vec<RawObject> {
        let mut objects = BTreeMap::new();
        for (_, key, object) in self.log[of].iter().take_while(|it| it.0 <= revision) {
            match object {
                Some(object) => drop(objects.insert(key, object.clone())),
                None => drop(objects.remove(key)),
            }
        }
        objects.into_values().collect()
    }

    fn service(&self, namespace: &str, name: &str, team: &str) -> RawObject {
        let revision = self.revision;
        let json = format!(
            r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"{namespace}","uid":"u","resourceVersion":"{revision}","labels":{{"team":"{team}"}}}},"spec":{{"type":"ClusterIP"}},"status":{{"loadBalancer":{{}}}}}}"#
        );
        RawObject::parse(Resource::Services, &Bytes::from(json)).unwrap()
    }

    fn slice(&self, namespace: &str, name: &str, service: &str) -> RawObject {
        let revision = self.revision;
        let json = format!(
            r#"{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{"name":"{name}","namespace":"{namespace}","uid":"u","resourceVersion":"{revision}","labels":{{"kubernetes.io/service-name":"{service}"}}}},"addressType":"IPv4","endpoints":null,"ports":null}}"#
        );
        RawObject::parse(Resource::EndpointSlices, &Bytes::from(json)).unwrap()
    }
}

/// Returns the last object of a key, with the resource version of its deletion.
pub(crate) fn deleted(log: &[Logged], position: usize) -> RawObject {
    let (revision, key, _) = &log[position];
    let last = log[..position].iter().rev().find(|it| it.1 == *key);
    let mut object = last.and_then(|it| it.2.clone()).unwrap();
    object.revision = ResourceVersion::new(*revision);
    object
}
