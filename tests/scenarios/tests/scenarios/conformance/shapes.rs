//! Objects with every field that can be written, one way or another.

use crate::lab::{Cluster, EXPORT};
use anyhow::Context;
use serde_json::{Value, json};

/// Creates them.
pub(super) async fn create(cluster: &Cluster) -> anyhow::Result<()> {
    for (name, spec) in services() {
        let finalizers: &[&str] = match name {
            "shape-owned" => &["example.org/hold"],
            _ => &[],
        };
        let metadata = json!({
            "name": name,
            "labels": { EXPORT: "true", "empty": "", "a.b/c": "d" },
            "annotations": { "text": "<&>\u{2028}é\n\t\"\\", "z": "1", "Z": "2" },
            "finalizers": finalizers,
        });
        let service = json!({ "metadata": metadata, "spec": spec });
        cluster
            .post("/api/v1/namespaces/demo/services", &service.to_string())
            .await?;
    }
    let status = json!({ "status": {
        "loadBalancer": { "ingress": [
            { "ip": "192.0.2.9", "ipMode": "Proxy", "ports": [
                { "port": 443, "protocol": "TCP" },
                { "port": 80, "protocol": "TCP", "error": "example.org/Broken" },
            ] },
            { "hostname": "lb.example.org" },
        ] },
        "conditions": [{
            "type": "Ready", "status": "True", "observedGeneration": 3, "reason": "Ok",
            "message": "", "lastTransitionTime": "2020-02-29T12:00:00Z",
        }],
    } });
    cluster
        .patch(
            "/api/v1/namespaces/demo/services/shape-balanced/status",
            &status.to_string(),
        )
        .await?;
    // Deleted, and held by its finalizer: it has a deletionTimestamp.
    cluster.delete_service("demo/shape-owned").await?;
    create_slices(cluster).await?;
    create_endpoints(cluster).await
}

fn services() -> Vec<(&'static str, Value)> {
    vec![
        ("shape-owned", json!({ "ports": [{ "port": 80 }] })),
        (
            "shape-sticky",
            json!({
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": 7 } },
                "ports": [
                    { "name": "a", "port": 80, "targetPort": "named", "appProtocol": "kubernetes.io/h2c" },
                    { "name": "b", "port": 65535, "protocol": "SCTP", "targetPort": 1 },
                ],
                "selector": { "z": "1", "a": "2" },
                "publishNotReadyAddresses": true,
                "internalTrafficPolicy": "Local",
                "trafficDistribution": "PreferClose",
                "externalIPs": ["192.0.2.7", "192.0.2.1"],
            }),
        ),
        (
            "shape-balanced",
            json!({
                "type": "LoadBalancer",
                "loadBalancerClass": "example.org/lb",
                "allocateLoadBalancerNodePorts": false,
                "loadBalancerSourceRanges": ["192.0.2.0/24"],
                "loadBalancerIP": "192.0.2.8",
                "externalTrafficPolicy": "Local",
                "ports": [{ "port": 443 }],
            }),
        ),
        (
            "shape-nodes",
            json!({ "type": "NodePort", "ports": [{ "port": 443 }] }),
        ),
        (
            "shape-nowhere",
            json!({ "clusterIP": "None", "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"] }),
        ),
    ]
}

async fn create_slices(cluster: &Cluster) -> anyhow::Result<()> {
    let path = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices";
    let reference = json!({ "kind": "Pod", "namespace": "demo", "name": "p", "uid": "u",
        "apiVersion": "v1", "resourceVersion": "7", "fieldPath": "x" });
    for (name, rest) in [
        (
            "shape-full",
            json!({ "addressType": "IPv4", "ports": [
                    { "name": "", "port": 80 }, { "name": "b", "appProtocol": "x", "protocol": "UDP" },
                ], "endpoints": [
                    { "addresses": ["10.9.0.1"], "nodeName": "n1", "zone": "z", "hostname": "h",
                      "conditions": { "ready": false, "serving": true, "terminating": true },
                      "hints": { "forZones": [{ "name": "z" }], "forNodes": [{ "name": "n1" }] },
                      "targetRef": reference.clone(), "deprecatedTopology": { "b": "1", "a": "2" } },
                    { "addresses": ["10.9.0.2"], "conditions": {} },
                    { "addresses": ["10.9.0.3"], "hints": {} },
                ] }),
        ),
        (
            "shape-names",
            json!({ "addressType": "FQDN", "endpoints": [{ "addresses": ["a.example.org", "b.example.org"] }] }),
        ),
        (
            "shape-unset",
            json!({ "addressType": "IPv4", "ports": [{}], "endpoints": [{ "addresses": ["10.9.0.9"] }] }),
        ),
        (
            "shape-ports",
            json!({ "addressType": "IPv4", "ports": [
                { "name": "a", "port": 1 }, { "name": "b" }, { "protocol": "UDP" }, { "name": "d", "port": 4 },
            ], "endpoints": [] }),
        ),
        (
            "shape-six",
            json!({ "addressType": "IPv6", "ports": [], "endpoints": [] }),
        ),
    ] {
        let mut slice = rest;
        slice["metadata"] = json!({ "name": name, "labels": { EXPORT: "true" }, "ownerReferences": [{
            "apiVersion": "v1", "kind": "Service", "name": "manual", "uid": "x",
            "controller": true, "blockOwnerDeletion": false,
        }] });
        // The garbage collector removes what nobody owns.
        if name != "shape-names" {
            slice["metadata"]
                .as_object_mut()
                .context("a map")?
                .remove("ownerReferences");
        }
        cluster.post(path, &slice.to_string()).await?;
    }
    Ok(())
}

async fn create_endpoints(cluster: &Cluster) -> anyhow::Result<()> {
    let endpoints = json!({
        "metadata": { "name": "shape", "labels": { EXPORT: "true" } },
        "subsets": [
            {
                "addresses": [{ "ip": "10.9.0.1", "hostname": "h", "nodeName": "n1",
                    "targetRef": { "kind": "Pod", "name": "p" } }],
                "notReadyAddresses": [{ "ip": "10.9.0.2" }],
                "ports": [{ "name": "a", "port": 80, "appProtocol": "x" }, { "name": "b", "port": 53, "protocol": "UDP" }],
            },
            { "notReadyAddresses": [{ "ip": "10.9.0.3" }] },
        ],
    });
    let path = "/api/v1/namespaces/demo/endpoints";
    cluster.post(path, &endpoints.to_string()).await
}
