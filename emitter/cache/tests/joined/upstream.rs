//! An upstream of Services and EndpointSlices.

use std::collections::BTreeMap;

use bytes::Bytes;
use proto_types::{ObjectKey, RawObject, Resource};

use crate::Step;

/// One event of the upstream; no object is a deletion.
pub(crate) type Event = (u64, ObjectKey, Option<RawObject>);

/// The upstream: all events of each resource, and the present.
#[derive(Default)]
pub(crate) struct Upstream {
    pub(crate) revision: u64,
    pub(crate) events: [Vec<Event>; 2],
    pub(crate) objects: [BTreeMap<ObjectKey, RawObject>; 2],
}

impl Upstream {
    pub(crate) fn apply(&mut self, resource: usize, key: ObjectKey, object: Option<RawObject>) {
        match &object {
            Some(object) => drop(self.objects[resource].insert(key.clone(), object.clone())),
            None => {
                if self.objects[resource].remove(&key).is_none() {
                    return;
                }
            }
        }
        self.events[resource].push((self.revision, key, object));
    }

    pub(crate) fn play(&mut self, step: &Step) {
        self.revision += 1;
        let revision = self.revision;
        match step {
            Step::Service { name, team } => {
                let object = service(*name, *team, revision);
                self.apply(0, object.key.clone(), Some(object));
            }
            Step::NoService { name } => self.apply(0, key("s", *name), None),
            Step::Slice { name, service } => {
                let object = slice(*name, *service, revision);
                self.apply(1, object.key.clone(), Some(object));
            }
            Step::NoSlice { name } => self.apply(1, key("e", *name), None),
            Step::Read { .. } | Step::List { .. } | Step::Move { .. } | Step::Take { .. } => {}
        }
    }
}

pub(crate) fn key(kind: &str, name: u8) -> ObjectKey {
    ObjectKey::new("a", &format!("{kind}{name}"))
}

pub(crate) fn service(name: u8, team: u8, revision: u64) -> RawObject {
    let json = format!(
        r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"s{name}","namespace":"a","uid":"u","resourceVersion":"{revision}","labels":{{"team":"{team}"}}}},"spec":{{}}}}"#
    );
    RawObject::parse(Resource::Services, &Bytes::from(json)).unwrap()
}

pub(crate) fn slice(name: u8, service: u8, revision: u64) -> RawObject {
    let json = format!(
        r#"{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{"name":"e{name}","namespace":"a","uid":"u","resourceVersion":"{revision}","labels":{{"kubernetes.io/service-name":"s{service}"}}}},"addressType":"IPv4","endpoints":[],"ports":[]}}"#
    );
    RawObject::parse(Resource::EndpointSlices, &Bytes::from(json)).unwrap()
}
