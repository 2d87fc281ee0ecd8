//! Clusters of a clusterset, and an API server in memory that performs actions.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proto_types::resource::ApiResource;
use proto_types::{ObjectKey, RawObject, Resource};
use reflector_clusterset::api::Version;
use reflector_clusterset::{
    Action, Change, ClusterId, ClusterSet, Export, ExportedService, LeftSlice, Observed, Request,
    Schema, Settings, Update, actions, export, plan,
};
use reflector_planner::import::LocalAddresses;
use reflector_planner::{MonotonicTime, RemovedSources};
use serde_json::{Value, json};

pub(crate) const NOW: &str = "2026-01-01T00:00:00Z";
pub(crate) const VERSION: Version = Version::V1Beta1;

/// The reflector of one cluster with its API server.
pub(crate) struct Lab {
    pub(crate) set: ClusterSet,
    pub(crate) objects: BTreeMap<(&'static str, ObjectKey), Value>,
    revision: u64,
    /// Fields that the ServiceImport schema does not have, as (part, field).
    pub(crate) drops: Vec<(&'static str, &'static str)>,
}

pub(crate) fn id(name: &str) -> ClusterId {
    name.parse().unwrap()
}

pub(crate) fn web() -> ObjectKey {
    ObjectKey::new("demo", "web")
}

pub(crate) fn raw(names: &'static ApiResource, object: &Value) -> RawObject {
    let json = Bytes::from(object.to_string());
    RawObject::parse(names, &json).unwrap()
}

/// A Service `demo/web` with these ports.
pub(crate) fn service(ports: &Value) -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "demo", "uid": "u", "resourceVersion": "1"},
        "spec": {
            "type": "ClusterIP", "clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "ports": ports, "selector": {"app": "web"},
            "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        },
    })
}

/// The Service `demo/web` with port http 80.
pub(crate) fn http() -> Value {
    service(&json!([{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]))
}

/// A ServiceExport `demo/web` of that time.
pub(crate) fn exported(created: &str) -> Value {
    json!({"metadata": {
        "name": "web", "namespace": "demo", "uid": "e", "resourceVersion": "1",
        "generation": 1, "creationTimestamp": created,
    }})
}

/// An EndpointSlice of `demo/web` with one address and port http.
pub(crate) fn slice(name: &str, address: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "demo", "uid": "s", "resourceVersion": "1",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}, "hostname": "pod-0"}],
    })
}

impl Lab {
    /// The reflector of cluster `east`, with the sources `west` and `north`. All of the
    /// local cluster is listed and empty.
    pub(crate) fn new() -> Self {
        let mut lab = Self::unlisted(RemovedSources::Keep);
        lab.list_local();
        for cluster in ["east", "west", "north"] {
            lab.list(cluster);
        }
        lab
    }

    pub(crate) fn unlisted(removed: RemovedSources) -> Self {
        Self::of(&["east", "west", "north"], removed)
    }

    /// The reflector of cluster `east` in a set of these clusters, of which nothing was listed.
    pub(crate) fn of(clusters: &[&str], removed: RemovedSources) -> Self {
        let clusters = clusters.iter();
        let clusters = clusters.map(|it| (id(it), crate::selection::decides()));
        Self {
            set: ClusterSet::new(Settings {
                name: "set".into(),
                local: id("east"),
                clusters: clusters.collect(),
                removed,
                deletion_hold: Duration::from_secs(60),
                confirm_deletions: false,
                allowed_namespaces: [].into(),
                adopt: [].into(),
                addresses: LocalAddresses::default(),
                failover: Vec::new(),
            }),
            objects: BTreeMap::new(),
            revision: 100,
            drops: Vec::new(),
        }
    }

    /// Lists the local objects that are there.
    pub(crate) fn list_local(&mut self) {
        self.set.update(Update::Namespaces(Change::Listed(vec![(
            "demo".into(),
            true,
        )])));
        let all = |plural: &'static str, names: &'static ApiResource, lab: &Self| {
            let objects = lab.objects.iter().filter(|((it, _), _)| *it == plural);
            objects.map(|(_, it)| raw(names, it)).collect::<Vec<_>>()
        };
        let imports = all("serviceimports", VERSION.imports(), self);
        let imports = imports
            .iter()
            .map(|it| (it.key.clone(), Observed::import(it)));
        self.set
            .update(Update::Imports(Change::Listed(imports.collect())));
        let services = all("services", Resource::Services.names(), self);
        let derived = services
            .iter()
            .filter_map(|it| Some((it.key.clone(), Observed::derived(it)?)));
        self.set
            .update(Update::Derived(Change::Listed(derived.collect())));
        let slices = all("endpointslices", Resource::EndpointSlices.names(), self);
        let copies = slices
            .iter()
            .filter_map(|it| Some((it.key.clone(), Observed::slice(it)?)));
        self.set
            .update(Update::Copies(Change::Listed(copies.collect())));
        let left = slices
            .iter()
            .filter_map(|it| Some((it.key.clone(), LeftSlice::read(it)?)));
        self.set
            .update(Update::Left(Change::Listed(left.collect())));
    }

    /// Lists a cluster that has nothing.
    pub(crate) fn list(&mut self, cluster: &str) {
        self.set
            .update(Update::Exports(id(cluster), Change::Listed(Vec::new())));
        self.set
            .update(Update::Services(id(cluster), Change::Listed(Vec::new())));
        self.set
            .update(Update::Slices(id(cluster), Change::Listed(Vec::new())));
    }

    pub(crate) fn export(&mut self, cluster: &str, object: &Value) {
        let object = raw(VERSION.exports(), object);
        let change = Change::Applied(object.key.clone(), Export::read(&object));
        self.set.update(Update::Exports(id(cluster), change));
        if id(cluster) == id("east") {
            let value = serde_json::from_slice(&object.json).unwrap();
            self.objects.insert(("serviceexports", object.key), value);
        }
    }

    pub(crate) fn unexport(&mut self, cluster: &str) {
        self.set
            .update(Update::Exports(id(cluster), Change::Deleted(web())));
    }

    pub(crate) fn service(&mut self, cluster: &str, object: &Value) {
        let object = raw(Resource::Services.names(), object);
        let change = Change::Applied(object.key.clone(), ExportedService::read(&object));
        self.set.update(Update::Services(id(cluster), change));
    }

    pub(crate) fn delete_service(&mut self, cluster: &str) {
        let change = Change::Deleted(web());
        self.set.update(Update::Services(id(cluster), change));
    }

    pub(crate) fn slice(&mut self, cluster: &str, object: &Value) {
        let object = raw(Resource::EndpointSlices.names(), object);
        let change = Change::Applied(object.key.clone(), export::slice(&object));
        self.set.update(Update::Slices(id(cluster), change));
    }

    /// An export of `demo/web` with a Service and an endpoint.
    pub(crate) fn exports(&mut self, cluster: &str, created: &str, address: &str) {
        self.service(cluster, &http());
        self.slice(cluster, &slice("web-1", address));
        self.export(cluster, &exported(created));
    }

    pub(crate) fn disconnect(&mut self, cluster: &str) {
        self.set
            .update(Update::Exports(id(cluster), Change::Disconnected));
        self.set
            .update(Update::Services(id(cluster), Change::Disconnected));
        self.set
            .update(Update::Slices(id(cluster), Change::Disconnected));
    }

    pub(crate) fn tick(&mut self, seconds: u64) {
        let now = MonotonicTime(Duration::from_secs(seconds));
        self.set.update(Update::Tick(now));
    }

    pub(crate) fn namespace(&mut self, name: &str, is_open: bool) {
        let change = Change::Applied(name.into(), is_open);
        self.set.update(Update::Namespaces(change));
    }

    /// Somebody else's import `demo/web`.
    pub(crate) fn foreign_import(&mut self) {
        let import = json!({
            "metadata": {"name": "web", "namespace": "demo", "uid": "f", "resourceVersion": "1"},
            "spec": {"type": "ClusterSetIP", "ports": []},
        });
        self.objects.insert(("serviceimports", web()), import);
        self.tell(VERSION.imports(), &web());
    }

    /// The actions that are due for an import.
    pub(crate) fn due(&self, key: &ObjectKey) -> Vec<Action> {
        let plan = plan(&self.set, key);
        plan.map(|it| actions(&self.set, key, &it, VERSION, NOW))
            .unwrap_or_default()
    }

    /// Performs all that is due until nothing is. Returns the actions in their order.
    pub(crate) fn settle(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        for _ in 0..10 {
            let mut keys: Vec<_> = self.set.keys().into_iter().collect();
            keys.sort();
            let due: Vec<_> = keys.iter().flat_map(|it| self.due(it)).collect();
            if due.is_empty() {
                return done;
            }
            for action in due {
                done.push(format!(
                    "{} {}",
                    action.request.verb(),
                    action.resource.singular
                ));
                self.perform(&action);
            }
        }
        panic!("no rest: {done:?}");
    }

    fn perform(&mut self, action: &Action) {
        self.revision += 1;
        let at = (action.resource.plural, action.key.clone());
        match &action.request {
            Request::Create(body) => {
                let mut object: Value = serde_json::from_slice(body).unwrap();
                object["metadata"]["uid"] = json!(format!("uid-{}", self.revision));
                object["metadata"]["creationTimestamp"] = json!(NOW);
                if action.resource.plural == "services" {
                    object["spec"]["clusterIP"] = json!("10.9.9.9");
                    object["spec"]["clusterIPs"] = json!(["10.9.9.9"]);
                    object["spec"]["ipFamilies"] = json!(["IPv4"]);
                }
                self.keep(action, "spec", &mut object);
                assert!(
                    self.objects.insert(at, object).is_none(),
                    "{action:?} exists"
                );
            }
            Request::Update(body) => {
                let mut object: Value = serde_json::from_slice(body).unwrap();
                let before = &self.objects[&at];
                if let Some(status) = before.get("status") {
                    object["status"] = status.clone();
                }
                self.keep(action, "spec", &mut object);
                self.objects.insert(at, object);
            }
            Request::UpdateStatus(body) => {
                let mut object: Value = serde_json::from_slice(body).unwrap();
                self.keep(action, "status", &mut object);
                self.objects.get_mut(&at).unwrap()["status"] = object["status"].clone();
            }
            Request::Delete(_) => {
                self.objects.remove(&at).unwrap();
            }
        }
        self.tell(action.resource, &action.key);
    }

    /// Drops fields that the schema does not have, and reports the answer.
    fn keep(&mut self, action: &Action, part: &str, object: &mut Value) {
        if action.resource.plural != "serviceimports" {
            return;
        }
        let sent = object.clone();
        let fields = self.drops.iter().filter(|(it, _)| *it == part);
        for (_, field) in fields {
            object[part].as_object_mut().unwrap().remove(*field);
        }
        let schema = Schema::compare(part, &sent, object);
        self.set.update(Update::Schema(schema));
    }

    /// Tells the reflector what there is now under a key of the local cluster.
    pub(crate) fn tell(&mut self, resource: &'static ApiResource, key: &ObjectKey) {
        let revision = self.revision.to_string();
        let object = self.objects.get_mut(&(resource.plural, key.clone()));
        let object = object.map(|it| {
            it["metadata"]["resourceVersion"] = json!(revision);
            raw(resource, it)
        });
        let update = match (resource.plural, object) {
            ("serviceimports", Some(it)) => {
                Update::Imports(Change::Applied(key.clone(), Observed::import(&it)))
            }
            ("serviceimports", None) => Update::Imports(Change::Deleted(key.clone())),
            ("services", Some(it)) => {
                let change = Change::Applied(key.clone(), ExportedService::read(&it));
                self.set.update(Update::Services(id("east"), change));
                match Observed::derived(&it) {
                    Some(derived) => Update::Derived(Change::Applied(key.clone(), derived)),
                    None => Update::Derived(Change::Deleted(key.clone())),
                }
            }
            ("services", None) => {
                self.set
                    .update(Update::Services(id("east"), Change::Deleted(key.clone())));
                Update::Derived(Change::Deleted(key.clone()))
            }
            ("endpointslices", Some(it)) => match Observed::slice(&it) {
                Some(copy) => Update::Copies(Change::Applied(key.clone(), copy)),
                None => {
                    let left = LeftSlice::read(&it).unwrap();
                    Update::Left(Change::Applied(key.clone(), left))
                }
            },
            ("endpointslices", None) => {
                self.set.update(Update::Left(Change::Deleted(key.clone())));
                Update::Copies(Change::Deleted(key.clone()))
            }
            ("serviceexports", Some(it)) => {
                let change = Change::Applied(key.clone(), Export::read(&it));
                Update::Exports(id("east"), change)
            }
            other => panic!("{other:?}"),
        };
        self.set.update(update);
    }

    /// The import `demo/web` of the local cluster.
    pub(crate) fn import(&self) -> Option<&Value> {
        self.objects.get(&("serviceimports", web()))
    }

    /// The copied EndpointSlices: cluster, address, and ports with their names.
    pub(crate) fn copies(&self) -> Vec<(String, String, Vec<String>)> {
        let slices = self
            .objects
            .iter()
            .filter(|((plural, _), _)| *plural == "endpointslices");
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let copies = slices.map(|(_, it)| {
            let ports = it["ports"].as_array().into_iter().flatten();
            let labels = &it["metadata"]["labels"];
            (
                text(&labels["multicluster.kubernetes.io/source-cluster"]),
                text(&it["endpoints"][0]["addresses"][0]),
                ports.map(|it| text(&it["name"])).collect(),
            )
        });
        copies.collect()
    }

    /// A condition of the local ServiceExport: status, reason and message.
    pub(crate) fn condition(&self, condition_type: &str) -> Option<(String, String, String)> {
        let export = self.objects.get(&("serviceexports", web()))?;
        condition(export, condition_type)
    }
}

pub(crate) fn condition(object: &Value, condition_type: &str) -> Option<(String, String, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let condition = conditions
        .iter()
        .find(|it| it["type"] == json!(condition_type))?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}
