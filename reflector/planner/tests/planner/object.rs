//! Objects, as sources say them. A builder says what matters to the test.

use bytes::Bytes;
use proto_types::{ObjectKey, RawObject, Resource};
use serde_json::{Value, json};

/// A Service that is reached by a virtual address.
pub(crate) fn service(key: &str) -> Value {
    let key = ObjectKey::parse(key).unwrap();
    json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {
            "name": key.name(), "namespace": key.namespace(), "uid": "u", "resourceVersion": "1",
            "labels": {"exported": "yes"}, "annotations": {"team": "shop"},
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": "10.1.1.1", "clusterIPs": ["10.1.1.1"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "selector": {"app": key.name()}, "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
        },
    })
}

/// A slice of a Service, with endpoints at these addresses.
pub(crate) fn slice(key: &str, service: &str, addresses: &[&str]) -> Value {
    let key = ObjectKey::parse(key).unwrap();
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|address| {
            json!({
                "addresses": [address], "nodeName": "node-1", "zone": "a",
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "name": "p", "namespace": key.namespace()},
            })
        })
        .collect();
    json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": key.name(), "namespace": key.namespace(), "uid": "u", "resourceVersion": "1",
            "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "T1"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": endpoints,
    })
}

/// The object, with `value` at a JSON pointer whose parent is there.
pub(crate) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[field.replace("~1", "/")] = value;
    object
}

pub(crate) fn raw(resource: Resource, object: &Value) -> RawObject {
    RawObject::parse(resource, &Bytes::from(object.to_string())).unwrap()
}
