//! Imports of Cilium and Submariner that are taken over.

use proto_types::ObjectKey;
use reflector_clusterset::{Predecessor, explain, plan};
use serde_json::{Value, json};

use crate::lab::{Lab, VERSION, id, web};

const OLD: &str = "2025-01-01T00:00:00Z";
const DERIVED: &str = "derived-scaifns3gd";

fn object(resource: &'static str, name: &str, value: Value, lab: &mut Lab) {
    let key = ObjectKey::new("demo", name);
    let mut value = value;
    value["metadata"]["name"] = json!(name);
    value["metadata"]["namespace"] = json!("demo");
    value["metadata"]["uid"] = json!(format!("theirs-{name}"));
    value["metadata"]["resourceVersion"] = json!("1");
    lab.objects.insert((resource, key), value);
}

/// As the operator of Cilium writes an import of a Service that the local cluster exports too.
fn cilium(lab: &mut Lab) {
    let import = json!({
        "metadata": {"annotations": {"multicluster.kubernetes.io/derived-service": DERIVED}},
        "spec": {"type": "ClusterSetIP", "ips": ["10.9.8.7"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
        "status": {"clusters": [{"cluster": "mesh-west"}, {"cluster": "west"}]},
    });
    object("serviceimports", "web", import, lab);
    let derived = json!({
        "metadata": {
            "labels": {"multicluster.kubernetes.io/service-name": "web",
                "multicluster.kubernetes.io/source-cluster": "east"},
            "annotations": {"service.cilium.io/global": "true"},
            "ownerReferences": [{"apiVersion": "multicluster.x-k8s.io/v1beta1",
                "kind": "ServiceImport", "name": "web", "uid": "theirs-web", "controller": true}],
        },
        "spec": {"type": "ClusterIP", "clusterIP": "10.9.8.7", "clusterIPs": ["10.9.8.7"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]},
    });
    object("services", DERIVED, derived, lab);
    slice(
        lab,
        "theirs",
        &json!({
            "endpointslice.kubernetes.io/managed-by": "endpointslice-mesh-controller.cilium.io",
            "kubernetes.io/service-name": DERIVED,
            "multicluster.kubernetes.io/source-cluster": "west",
        }),
    );
}

/// As Lighthouse writes an import, and the EndpointSlice of another cluster.
fn submariner(lab: &mut Lab) {
    let import = json!({
        "spec": {"type": "ClusterSetIP", "ips": ["243.0.0.7"], "ports": []},
        "status": {"clusters": [{"cluster": "west"}]},
    });
    object("serviceimports", "web", import, lab);
    slice(
        lab,
        "web-demo-west",
        &json!({
            "endpointslice.kubernetes.io/managed-by": "lighthouse-agent.submariner.io",
            "lighthouse.submariner.io/sourceNamespace": "demo",
            "multicluster.kubernetes.io/service-name": "web",
            "multicluster.kubernetes.io/source-cluster": "west",
        }),
    );
}

fn slice(lab: &mut Lab, name: &str, labels: &Value) {
    let slice = json!({
        "metadata": {"labels": labels}, "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": [{"addresses": ["10.2.0.1"]}],
    });
    object("endpointslices", name, slice, lab);
}

/// A lab with objects of a predecessor, which is to be taken over or not.
fn lab(write: fn(&mut Lab), adopt: Option<Predecessor>) -> Lab {
    let mut lab = Lab::new();
    let mut settings = lab.set.settings().clone();
    settings.adopt = adopt.into_iter().collect();
    lab.set.reconfigure(settings, &[].into());
    write(&mut lab);
    lab.list_local();
    for (name, resource) in [("web", VERSION.imports()), (DERIVED, services())] {
        let key = ObjectKey::new("demo", name);
        if lab.objects.contains_key(&(resource.plural, key.clone())) {
            lab.tell(resource, &key);
        }
    }
    lab
}

fn services() -> &'static proto_types::resource::ApiResource {
    proto_types::Resource::Services.names()
}

#[test]
fn an_import_of_cilium_is_taken_over_with_its_addresses() {
    let mut lab = lab(cilium, Some(Predecessor::Cilium));
    assert_eq!(lab.settle(), Vec::<String>::new(), "no cluster exports it");
    lab.exports("west", OLD, "10.2.0.1");
    let done = lab.settle();
    assert_eq!(
        done[..3],
        [
            "create endpointslice",
            "update service",
            "update serviceimport"
        ],
        "{done:?}"
    );
    assert!(
        done.contains(&"delete endpointslice".to_owned()),
        "{done:?}"
    );
    assert_eq!(lab.import().unwrap()["spec"]["ips"], json!(["10.9.8.7"]));
    let derived = &lab.objects[&("services", ObjectKey::new("demo", DERIVED))];
    assert_eq!(derived["spec"]["clusterIP"], "10.9.8.7");
    assert_eq!(
        derived["spec"]["selector"],
        json!({"heliograph.dev/no-endpoints": "true"})
    );
    let text = derived["metadata"].to_string();
    assert!(
        !text.contains("cilium") && !text.contains("ownerReferences"),
        "{text}"
    );
    let copies = lab.copies();
    assert_eq!(copies.len(), 1, "{copies:?}");
    // It is ours from then on, also when its export ends.
    lab.unexport("west");
    let done = lab.settle();
    assert!(lab.import().is_none(), "{done:?}: {:?}", lab.import());
}

#[test]
fn an_import_of_submariner_is_taken_over() {
    let mut lab = lab(submariner, Some(Predecessor::Submariner));
    lab.exports("west", OLD, "10.2.0.1");
    let done = lab.settle();
    assert_eq!(
        done[..2],
        ["create service", "create endpointslice"],
        "{done:?}"
    );
    assert!(
        done.contains(&"delete endpointslice".to_owned()),
        "{done:?}"
    );
    assert_eq!(lab.import().unwrap()["spec"]["ips"], json!(["10.9.9.9"]));
    assert_eq!(lab.copies().len(), 1);
}

#[test]
fn without_configuration_they_stay_as_they_are_and_the_remedy_is_told() {
    for (write, name, other) in [
        (cilium as fn(&mut Lab), "cilium", Predecessor::Submariner),
        (submariner, "submariner", Predecessor::Cilium),
    ] {
        for adopt in [None, Some(other)] {
            let mut lab = lab(write, adopt);
            lab.exports("west", OLD, "10.2.0.1");
            let before = lab.objects.clone();
            assert_eq!(lab.settle(), Vec::<String>::new());
            assert_eq!(lab.objects, before);
            let plan = plan(&lab.set, &web()).unwrap();
            let problems = explain(&lab.set, &web(), &plan, &[]).problems;
            assert_eq!(problems[0].reason, "ImportOccupied");
            let remedy = format!("clusterSet.adopt: [{name}]");
            assert!(problems[0].message.contains(&remedy), "{problems:?}");
        }
    }
}

#[test]
fn nothing_is_taken_over_before_its_clusters_are_known() {
    let mut lab = lab(cilium, Some(Predecessor::Cilium));
    let mut settings = lab.set.settings().clone();
    let all = settings.clusters.clone();
    // West is read again, so that nothing is known of it.
    settings.clusters.remove(&id("west"));
    lab.set.reconfigure(settings.clone(), &[].into());
    settings.clusters = all;
    lab.set.reconfigure(settings, &[].into());
    lab.exports("north", OLD, "10.3.0.1");
    assert_eq!(lab.settle(), Vec::<String>::new());
    lab.list("west");
    lab.exports("west", OLD, "10.2.0.1");
    assert!(lab.settle().contains(&"update serviceimport".to_owned()));
    assert_eq!(lab.copies().len(), 2);
}
