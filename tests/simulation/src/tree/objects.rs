//! Objects that the sources export.

use serde_json::{Value, json};

use super::reader::NUMBER;
use crate::settings::NAMESPACE;
use crate::truth::EXPORT;

/// Returns an exported Service.
pub(super) fn service(service: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": format!("s{service}"),
            "namespace": NAMESPACE,
            "labels": { "app": format!("s{service}"), EXPORT.0: EXPORT.1 },
        },
        "spec": { "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] },
    })
}

/// Returns its slice, whose endpoints were replaced, one with each number.
pub(super) fn slice(service: usize, n_endpoints: usize, number: usize) -> Value {
    let endpoint = |i: usize| {
        let pod = (number + n_endpoints - 1 - i) / n_endpoints * n_endpoints + i;
        json!({
            "addresses": [format!("10.{}.{}.{}", service % 250, pod / 250 % 250, pod % 250)],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": format!("node-{}", pod % 30),
            "targetRef": {
                "kind": "Pod",
                "namespace": NAMESPACE,
                "name": format!("s{service}-6d4b75cb6d-{pod:05x}"),
                "uid": format!("{service:08x}-4a1b-9c2d-8a3b-{pod:012x}"),
            },
            "zone": format!("zone-{}", pod % 3),
        })
    };
    let endpoints: Vec<Value> = (0..n_endpoints).map(endpoint).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("s{service}-1"),
            "namespace": NAMESPACE,
            "labels": {
                "kubernetes.io/service-name": format!("s{service}"),
                EXPORT.0: EXPORT.1,
                NUMBER: number.to_string(),
            },
        },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": endpoints,
    })
}
