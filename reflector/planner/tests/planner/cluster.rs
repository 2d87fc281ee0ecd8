//! An API server as far as the planner can tell.

use std::collections::BTreeMap;

use proto_types::{ObjectKey, Resource, ResourceVersion};
use reflector_planner::{
    ExistingObject, LocalChange, LocalObject, Mirror, Step, Update, Version, Write, WriteFailure,
};
use serde_json::{Value, json};

use crate::object::raw;

/// Objects with uids and resource versions, and all writes that were done.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) objects: BTreeMap<(Resource, ObjectKey), Value>,
    pub(crate) revision: u64,
    pub(crate) log: Vec<String>,
}

impl Cluster {
    /// Does a step; returns what is known by it.
    pub(crate) fn perform(&mut self, step: &Step) -> Vec<Update> {
        let id = (step.resource, step.key.clone());
        let (verb, kind) = (step.write.verb(), step.resource.kind());
        self.log.push(format!("{verb} {kind} {}", step.key));
        match &step.write {
            Write::Create(body) => self.create(&id, serde_json::from_slice(body).unwrap()),
            Write::Update(body) => self.update(&id, serde_json::from_slice(body).unwrap()),
            Write::Delete(version) | Write::Clear(version) => self.delete(&id, version),
            Write::Replace(version, body) => {
                let mut updates = self.delete(&id, version);
                updates.extend(self.create(&id, serde_json::from_slice(body).unwrap()));
                updates
            }
        }
    }

    fn create(&mut self, id: &(Resource, ObjectKey), object: Value) -> Vec<Update> {
        if let Some(there) = self.objects.get(id) {
            return match applied(id, there) {
                Some(update) => vec![update],
                None => vec![self.met(id, there)],
            };
        }
        let uid = format!("uid-{}", self.revision);
        self.put(id, with_meta(object, "uid", json!(uid)))
    }

    fn met(&self, id: &(Resource, ObjectKey), there: &Value) -> Update {
        if id.0 != Resource::Services {
            return Update::Blocked(id.0, id.1.clone(), WriteFailure::Occupied);
        }
        let endpoints = self.objects.get(&(Resource::Endpoints, id.1.clone()));
        Update::Met(Box::new(ExistingObject {
            service: raw(id.0, there),
            endpoints: endpoints.map(|it| raw(Resource::Endpoints, it)),
        }))
    }

    fn update(&mut self, id: &(Resource, ObjectKey), object: Value) -> Vec<Update> {
        let there = &self.objects[id];
        for field in ["uid", "resourceVersion"] {
            assert_eq!(
                there["metadata"][field], object["metadata"][field],
                "conflict"
            );
        }
        let immutable = ["/addressType", "/spec/ipFamilies/0"];
        for field in immutable {
            assert_eq!(
                there.pointer(field),
                object.pointer(field),
                "{field} changed"
            );
        }
        let was_none = there["spec"]["clusterIP"] == "None";
        assert_eq!(was_none, object["spec"]["clusterIP"] == "None");
        self.put(id, object)
    }

    fn delete(&mut self, id: &(Resource, ObjectKey), version: &Version) -> Vec<Update> {
        let there = self.objects.remove(id).unwrap();
        assert_eq!(there["metadata"]["uid"], *version.uid);
        assert_eq!(
            there["metadata"]["resourceVersion"],
            version.revision.to_string()
        );
        self.revision += 1;
        let (key, uid) = (id.1.clone(), version.uid.clone());
        vec![match id.0 {
            Resource::Services => Update::LocalServices(LocalChange::Gone(key, uid)),
            Resource::Endpoints => Update::LocalEndpoints(LocalChange::Gone(key, uid)),
            Resource::EndpointSlices => Update::LocalSlices(LocalChange::Gone(key, uid)),
        }]
    }

    /// Stores an object, as anyone may; returns what a watch would tell.
    pub(crate) fn put(&mut self, id: &(Resource, ObjectKey), object: Value) -> Vec<Update> {
        self.revision += 1;
        let object = with_meta(object, "resourceVersion", json!(self.revision.to_string()));
        let object = match id.0 {
            Resource::Services => service_defaults(object),
            Resource::EndpointSlices => slice_rules(object),
            Resource::Endpoints => object,
        };
        let update = applied(id, &object);
        let before = self.objects.insert(id.clone(), object);
        let was_ours = before.is_some_and(|it| applied(id, &it).is_some());
        if was_ours && update.is_none() && id.0 == Resource::Services {
            let revision = ResourceVersion::new(self.revision);
            let lost = LocalChange::Deleted(id.1.clone(), revision);
            return vec![Update::LocalServices(lost)];
        }
        update.into_iter().collect()
    }

    /// All objects of a resource that a watch for ours would list.
    pub(crate) fn list<T: Mirror>(&self) -> Vec<(ObjectKey, LocalObject<T>)> {
        let objects = self.objects.iter().filter(|((it, _), object)| {
            *it == T::RESOURCE
                && object["metadata"]["labels"]
                    .get("heliograph.dev/source")
                    .is_some()
        });
        objects
            .map(|((_, key), object)| (key.clone(), LocalObject::read(&raw(T::RESOURCE, object))))
            .collect()
    }
}

fn applied((resource, key): &(Resource, ObjectKey), object: &Value) -> Option<Update> {
    let raw = raw(*resource, object);
    match resource {
        Resource::Services => match LocalObject::read(&raw) {
            LocalObject::Unmanaged => None,
            ours @ LocalObject::Managed(_) => Some(Update::LocalServices(LocalChange::Applied(
                key.clone(),
                ours,
            ))),
        },
        Resource::Endpoints => match LocalObject::read(&raw) {
            LocalObject::Unmanaged => None,
            ours @ LocalObject::Managed(_) => Some(Update::LocalEndpoints(LocalChange::Applied(
                key.clone(),
                ours,
            ))),
        },
        Resource::EndpointSlices => match LocalObject::read(&raw) {
            LocalObject::Unmanaged => None,
            ours @ LocalObject::Managed(_) => {
                Some(Update::LocalSlices(LocalChange::Applied(key.clone(), ours)))
            }
        },
    }
}

fn with_meta(mut object: Value, field: &str, value: Value) -> Value {
    object["metadata"][field] = value;
    object
}

/// What an API server with both families fills in.
fn service_defaults(mut object: Value) -> Value {
    let name = object["metadata"]["name"].as_str().unwrap();
    assert!(name.len() <= 63, "{name}");
    let spec = &mut object["spec"];
    let selector = spec.get("selector").cloned().unwrap_or_default();
    let is_ours = object["metadata"]["labels"]
        .get("heliograph.dev/source")
        .is_some();
    let parked = json!({"heliograph.dev/no-endpoints": "true"});
    assert!(!is_ours || selector.is_null() || selector == parked);
    let spec = &mut object["spec"];
    let fill = |spec: &mut Value, field: &str, value: Value| {
        if spec.get(field).is_none() {
            spec[field] = value;
        }
    };
    fill(spec, "sessionAffinity", json!("None"));
    if spec["type"] != "ExternalName" {
        fill(spec, "clusterIP", json!("10.9.9.9"));
        fill(spec, "internalTrafficPolicy", json!("Cluster"));
        let headless = spec["clusterIP"] == "None";
        let policy = if headless {
            "RequireDualStack"
        } else {
            "SingleStack"
        };
        fill(spec, "ipFamilyPolicy", json!(policy));
        let families = match spec["ipFamilyPolicy"].as_str() {
            Some("SingleStack") => json!(["IPv4"]),
            _ => json!(["IPv4", "IPv6"]),
        };
        fill(spec, "ipFamilies", families);
        if spec["ipFamilyPolicy"] != "SingleStack" {
            spec["ipFamilies"] = json!(["IPv4", "IPv6"]);
        }
    }
    object["metadata"]["managedFields"] = json!([{"manager": "heliograph"}]);
    object
}

/// What an API server refuses.
fn slice_rules(object: Value) -> Value {
    for endpoint in object["endpoints"].as_array().unwrap() {
        for address in endpoint["addresses"].as_array().unwrap() {
            assert_ne!(
                address, "127.0.0.1",
                "the API server refuses the whole slice"
            );
        }
    }
    object
}
