//! Global Services of semaphore-service-mirror become ours.

use proto_types::{ObjectKey, Resource};
use serde_json::json;

use super::{GLOBAL, pods, web};
use crate::lab::Lab;
use crate::object::{slice, with};

#[test]
fn semaphores_global_service_is_taken_over_with_its_address() {
    let mut lab = Lab::of_members();
    let key = ObjectKey::parse(GLOBAL).unwrap();
    let theirs = json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {
            "name": key.name(), "namespace": key.namespace(), "uid": "theirs",
            "labels": {"global-svc": "true"},
            "annotations": {
                "global-svc-clusters": "west,east",
                "service.kubernetes.io/topology-aware-hints": "auto",
            },
        },
        "spec": {"type": "ClusterIP", "clusterIP": "10.9.9.1", "ports": [
            {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080},
            {"name": "old", "protocol": "TCP", "port": 90, "targetPort": 9090},
        ]},
    });
    lab.cluster.put(&(Resource::Services, key), theirs);
    for cluster in ["east", "west"] {
        semaphores_slice(&mut lab, cluster);
    }
    lab.list("home", &[], &[]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    let global = lab.service(GLOBAL).clone();
    assert_eq!(global["metadata"]["uid"], "theirs");
    assert_eq!(global["spec"]["clusterIP"], "10.9.9.1");
    let annotations = &global["metadata"]["annotations"];
    assert_eq!(annotations["global-svc-clusters"], "east,west");
    assert!(
        annotations
            .get("service.kubernetes.io/topology-aware-hints")
            .is_none()
    );
    // West was not asked yet, and may have the port that east has not.
    let n_ports = |lab: &Lab| {
        lab.service(GLOBAL)["spec"]["ports"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(n_ports(&lab), 2);
    let left = |lab: &Lab| {
        let slices = lab.slices().into_iter();
        let left = slices.filter(|it| it.starts_with("mirrors/gl-old"));
        left.collect::<Vec<_>>()
    };
    assert_eq!(left(&lab), ["mirrors/gl-old-west"]);
    lab.list("west", &[web(2021)], &[pods("10.2.0.1")]);
    lab.settle();
    assert_eq!(n_ports(&lab), 1);
    assert_eq!(lab.service(GLOBAL)["metadata"]["uid"], "theirs");
    assert_eq!(left(&lab), Vec::<String>::new());
    // New slices were there before the old ones went.
    let log = &lab.cluster.log;
    let at = |it: &str| log.iter().position(|line| line.contains(it)).unwrap();
    let (made, gone) = (
        at("create EndpointSlice"),
        at("delete EndpointSlice mirrors/gl-old-east"),
    );
    assert!(made < gone, "{log:?}");
}

/// A slice of semaphore-service-mirror's.
fn semaphores_slice(lab: &mut Lab, cluster: &str) {
    let key = format!("mirrors/gl-old-{cluster}");
    let slice = slice(&key, "gl-demo-73736d-web", &["10.1.0.1"]);
    let labels = json!({
        "kubernetes.io/service-name": "gl-demo-73736d-web",
        "endpointslice.kubernetes.io/managed-by": "semaphore-service-mirror",
        "mirrored-endpoint-slice": "true",
        "mirror-endpointslice-sync-name": cluster,
    });
    let slice = with(slice, "/metadata/labels", labels);
    let key = ObjectKey::parse(&key).unwrap();
    for update in lab.cluster.put(&(Resource::EndpointSlices, key), slice) {
        lab.update(update);
    }
}
