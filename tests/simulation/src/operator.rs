//! People and controllers who work in a source cluster.

use std::sync::Arc;

use embedded_cluster::{EmbeddedCluster, Kind};
use serde_json::{Value, json};

use crate::plan::Work;
use crate::settings::{NAMESPACE, PRIVATE, Scene};
use crate::truth::{ALIAS, EXPORT};

/// Label that one Service of five has with the same value.
const PART: &str = "part";

/// People and controllers who work in one source cluster.
pub(crate) struct Operator {
    cluster: Arc<EmbeddedCluster>,
    /// Second number of the pods' addresses.
    network: u8,
    n_services: usize,
    n_pods: u16,
    /// `true` if Services have ServiceExports.
    has_exports: bool,
}

impl Operator {
    /// Prepares a cluster's Services.
    pub(crate) fn new(
        cluster: Arc<EmbeddedCluster>,
        network: u8,
        n_services: usize,
        scene: Scene,
    ) -> Self {
        let mut operator = Self {
            cluster,
            network,
            n_services: 0,
            n_pods: 0,
            has_exports: scene == Scene::Imports,
        };
        for _ in 0..n_services {
            operator.create();
        }
        operator
    }

    /// Works.
    pub(crate) fn work(&mut self, work: &Work) {
        match work {
            Work::Create => self.create(),
            Work::Delete(which) => self.with(*which, Self::delete),
            Work::Alias(which) => self.with(*which, Self::alias),
            Work::Toggle(which) => self.with(*which, Self::toggle),
            Work::Scale(which, n) => self.with(*which, |it, service| it.scale(service, *n)),
            Work::Roll(which) => self.with(*which, |it, service| {
                let n = it.n_endpoints(service);
                it.set(service, 0);
                it.set(service, n);
            }),
            Work::Port(which) => self.with(*which, Self::port),
            Work::Burst(n) => {
                for i in 0..*n {
                    match i % 4 {
                        0 => self.create(),
                        1 => self.work(&Work::Roll(i * 7)),
                        2 => self.work(&Work::Delete(i * 5)),
                        _ => self.work(&Work::Scale(i * 3, i % 5)),
                    }
                }
            }
            Work::Unslice => {
                for service in self.services() {
                    self.delete_slice(&service);
                }
            }
            Work::Reslice => {
                for service in self.services() {
                    self.reslice(&service);
                }
            }
            Work::Other(n) => other(&self.cluster, *n),
            Work::DeleteAllBut(n) => {
                for service in self.services().iter().skip(*n) {
                    self.delete(service);
                }
            }
        }
    }

    /// Lets one namespace keep its Services to itself, and creates one there.
    pub(crate) fn opt_out(&self) {
        self.put(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": PRIVATE, "labels": { "replicated": "false" } },
        }));
        self.put(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "secret", "namespace": PRIVATE },
            "spec": { "ports": [{ "name": "http", "port": 80 }] },
        }));
    }

    fn services(&self) -> Vec<Value> {
        let mut services = self.cluster.list(Kind::Services);
        services.retain(|it| it["metadata"]["namespace"] == NAMESPACE);
        services
    }

    fn with(&mut self, which: usize, act: impl FnOnce(&mut Self, &Value)) {
        let services = self.services();
        if !services.is_empty() {
            act(self, &services[which % services.len()]);
        }
    }

    fn create(&mut self) {
        let name = format!("s{}", self.n_services);
        let part = (self.n_services % 5).to_string();
        self.n_services += 1;
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": name, "namespace": NAMESPACE, "labels": { EXPORT.0: EXPORT.1, PART: part },
            },
            "spec": { "selector": { "app": name }, "ports": [{ "name": "http", "port": 80 }] },
        });
        self.put(service);
        self.export(&name, true);
        let stored = self.cluster.get(Kind::Services, NAMESPACE, &name);
        if let Some(stored) = stored {
            let n = 1 + self.n_services % 3;
            self.set(&stored, n);
        }
    }

    fn delete(&mut self, service: &Value) {
        let name = name(service);
        self.cluster.delete(Kind::Services, NAMESPACE, name);
        self.delete_slice(service);
        self.export(name, false);
    }

    /// Creates the ServiceExport of a Service, or deletes it.
    fn export(&self, name: &str, is_exported: bool) {
        if !self.has_exports {
            return;
        }
        match is_exported {
            false => {
                self.cluster.delete(Kind::ServiceExports, NAMESPACE, name);
            }
            true => self.put(json!({
                "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
                "metadata": { "name": name, "namespace": NAMESPACE },
            })),
        }
    }

    fn delete_slice(&self, service: &Value) {
        let slice = format!("{}-a", name(service));
        self.cluster.delete(Kind::EndpointSlices, NAMESPACE, &slice);
    }

    /// Replaces the slice of a Service by one of another name, with other endpoints.
    fn reslice(&mut self, service: &Value) {
        let slice = format!("{}-a", name(service));
        let Some(slice) = self.cluster.get(Kind::EndpointSlices, NAMESPACE, &slice) else {
            return;
        };
        let n = slice["endpoints"].as_array().map_or(0, Vec::len);
        let endpoints: Vec<Value> = (0..n).map(|_| self.endpoint()).collect();
        let mut other = whole(slice, "discovery.k8s.io/v1", "EndpointSlice");
        other["metadata"] = json!({
            "name": format!("{}-b", name(service)), "namespace": NAMESPACE,
            "labels": other["metadata"]["labels"],
        });
        other["endpoints"] = endpoints.into();
        self.put(other);
        self.delete_slice(service);
    }

    fn toggle(&mut self, service: &Value) {
        let mut service = service.clone();
        let labels = &mut service["metadata"]["labels"];
        let is_exported = labels[EXPORT.0] == EXPORT.1;
        labels[EXPORT.0] = if is_exported { "false" } else { EXPORT.1 }.into();
        let name = name(&service).to_owned();
        let slice = format!("{name}-a");
        let slice = self.cluster.get(Kind::EndpointSlices, NAMESPACE, &slice);
        let label = service["metadata"]["labels"][EXPORT.0].clone();
        self.put(whole(service, "v1", "Service"));
        self.export(&name, !is_exported);
        if let Some(mut slice) = slice {
            slice["metadata"]["labels"][EXPORT.0] = label;
            self.put(whole(slice, "discovery.k8s.io/v1", "EndpointSlice"));
        }
    }

    fn alias(&mut self, service: &Value) {
        let mut service = service.clone();
        let alias = format!("alias-{}", name(&service));
        service["metadata"]["annotations"][ALIAS] = alias.into();
        self.put(whole(service, "v1", "Service"));
    }

    fn port(&mut self, service: &Value) {
        let mut service = service.clone();
        let port = service["spec"]["ports"][0]["port"].as_u64().unwrap_or(80);
        service["spec"]["ports"][0]["port"] = (port % 1000 + 1).into();
        self.put(whole(service, "v1", "Service"));
    }

    fn n_endpoints(&self, service: &Value) -> usize {
        let slice = format!("{}-a", name(service));
        let slice = self.cluster.get(Kind::EndpointSlices, NAMESPACE, &slice);
        let endpoints = slice.as_ref().and_then(|it| it["endpoints"].as_array());
        endpoints.map_or(1, Vec::len)
    }

    fn scale(&mut self, service: &Value, n: usize) {
        let slice = format!("{}-a", name(service));
        let Some(mut slice) = self.cluster.get(Kind::EndpointSlices, NAMESPACE, &slice) else {
            return self.set(service, n);
        };
        let mut endpoints = slice["endpoints"].as_array().cloned().unwrap_or_default();
        endpoints.truncate(n);
        while endpoints.len() < n {
            endpoints.push(self.endpoint());
        }
        slice["endpoints"] = endpoints.into();
        self.put(whole(slice, "discovery.k8s.io/v1", "EndpointSlice"));
    }

    /// Gives a Service endpoints that are all new.
    fn set(&mut self, service: &Value, n: usize) {
        let name = name(service).to_owned();
        let endpoints: Vec<Value> = (0..n).map(|_| self.endpoint()).collect();
        let label = service["metadata"]["labels"][EXPORT.0].clone();
        let part = service["metadata"]["labels"][PART].clone();
        let port = service["spec"]["ports"][0]["port"].clone();
        self.put(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-a"), "namespace": NAMESPACE,
                "labels": { "kubernetes.io/service-name": name, EXPORT.0: label, PART: part },
            },
            "addressType": "IPv4",
            "ports": [{ "name": "http", "port": port, "protocol": "TCP" }],
            "endpoints": endpoints,
        }));
    }

    fn endpoint(&mut self) -> Value {
        self.n_pods += 1;
        let [high, low] = self.n_pods.to_be_bytes();
        let address = format!("10.{}.{high}.{low}", self.network);
        json!({ "addresses": [address], "conditions": { "ready": true } })
    }

    fn put(&self, object: Value) {
        let put = self.cluster.put(object);
        put.expect("what operators write is valid");
    }
}

/// Writes an object that no program reads, so many times.
pub(crate) fn other(cluster: &EmbeddedCluster, n_writes: usize) {
    for n in 0..n_writes {
        let written = cluster.put(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "other", "namespace": "default" },
            "data": { "n": n.to_string() },
        }));
        written.expect("a ConfigMap with a text is valid");
    }
}

fn name(service: &Value) -> &str {
    service["metadata"]["name"].as_str().unwrap_or_default()
}

/// An object that says what it is.
fn whole(mut object: Value, version: &str, kind: &str) -> Value {
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
}
