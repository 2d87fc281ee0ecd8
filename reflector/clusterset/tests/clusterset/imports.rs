//! What imports, derived Services and EndpointSlices look like.

use serde_json::json;

use crate::lab::{Lab, condition, exported, http, id, service, slice, web};
use reflector_clusterset::{Change, Update};

#[test]
fn an_import_has_an_address_and_slices_before_it_is_written() {
    let mut lab = Lab::new();
    lab.exports("west", "2025-01-01T00:00:00Z", "10.2.0.1");
    assert_eq!(
        lab.settle(),
        [
            "create service",
            "create endpointslice",
            "create serviceimport",
            "update status serviceimport",
        ]
    );
    let import = lab.import().unwrap();
    assert_eq!(
        import["spec"],
        json!({
            "type": "ClusterSetIP", "ips": ["10.9.9.9"], "ipFamilies": ["IPv4"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
            "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        })
    );
    assert_eq!(import["status"]["clusters"], json!([{"cluster": "west"}]));
    assert_eq!(import["status"]["endpointSliceObjects"], json!("Present"));
    let derived = &import["metadata"]["annotations"]["multicluster.kubernetes.io/derived-service"];
    let slices = lab
        .objects
        .iter()
        .find(|((plural, _), _)| *plural == "endpointslices");
    let labels = &slices.unwrap().1["metadata"]["labels"];
    assert_eq!(labels["kubernetes.io/service-name"], *derived);
    assert_eq!(
        labels["multicluster.kubernetes.io/service-name"],
        json!("web")
    );
    assert_eq!(
        labels["multicluster.kubernetes.io/source-cluster"],
        json!("west")
    );
    let endpoint = &slices.unwrap().1["endpoints"][0];
    assert_eq!(endpoint["hostname"], json!("pod-0"));
}

#[test]
fn deletion_goes_in_reverse() {
    let mut lab = Lab::new();
    lab.exports("west", "2025-01-01T00:00:00Z", "10.2.0.1");
    lab.settle();
    lab.unexport("west");
    assert_eq!(
        lab.settle(),
        [
            "delete serviceimport",
            "delete endpointslice",
            "delete service"
        ]
    );
}

#[test]
fn exporters_import_too() {
    let mut lab = Lab::new();
    lab.exports("east", "2025-01-01T00:00:00Z", "10.1.0.1");
    lab.exports("west", "2025-01-02T00:00:00Z", "10.2.0.1");
    lab.settle();
    let copies = lab.copies();
    let clusters: Vec<_> = copies
        .iter()
        .map(|(cluster, ..)| cluster.as_str())
        .collect();
    assert_eq!(clusters, ["east", "west"]);
    lab.unexport("east");
    lab.settle();
    assert_eq!(
        lab.copies().len(),
        1,
        "endpoints that are not exported any more"
    );
    assert!(lab.import().is_some());
}

#[test]
fn a_headless_import_has_no_address() {
    let mut lab = Lab::new();
    let mut headless = http();
    headless["spec"]["clusterIP"] = json!("None");
    lab.service("west", &headless);
    lab.slice("west", &slice("web-1", "10.2.0.1"));
    lab.export("west", &exported("2025-01-01T00:00:00Z"));
    lab.settle();
    let spec = &lab.import().unwrap()["spec"];
    assert_eq!(spec["type"], json!("Headless"));
    assert!(spec.get("ips").is_none());
    assert!(!lab.objects.keys().any(|(plural, _)| *plural == "services"));
    let labels = lab
        .objects
        .iter()
        .find(|((plural, _), _)| *plural == "endpointslices");
    let labels = &labels.unwrap().1["metadata"]["labels"];
    assert!(labels.get("kubernetes.io/service-name").is_none());
}

#[test]
fn an_import_needs_its_namespace_and_comes_with_it() {
    let mut lab = Lab::new();
    lab.exports("west", "2025-01-01T00:00:00Z", "10.2.0.1");
    lab.namespace("demo", false);
    assert_eq!(lab.settle(), [""; 0]);
    lab.namespace("demo", true);
    lab.settle();
    assert!(lab.import().is_some());
}

#[test]
fn objects_of_other_writers_stay() {
    let mut lab = Lab::new();
    let import = json!({
        "metadata": {"name": "web", "namespace": "demo", "uid": "x", "resourceVersion": "7"},
        "spec": {"type": "ClusterSetIP", "ports": []},
    });
    lab.objects
        .insert(("serviceimports", web()), import.clone());
    lab.list_local();
    lab.exports("east", "2025-01-01T00:00:00Z", "10.1.0.1");
    assert_eq!(lab.settle(), ["update status serviceexport"]);
    let (status, reason, message) = lab.condition("Ready").unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Failed"));
    assert!(
        message.contains("was not written by this program"),
        "{message}"
    );
    assert_eq!(lab.import().unwrap()["spec"], import["spec"]);
}

#[test]
fn one_endpoint_is_one_write() {
    let mut lab = Lab::new();
    for cluster in ["east", "west", "north"] {
        lab.exports(cluster, "2025-01-01T00:00:00Z", "10.2.0.1");
    }
    lab.settle();
    lab.slice("west", &slice("web-1", "10.2.0.2"));
    assert_eq!(lab.settle(), ["update endpointslice"]);
}

#[test]
fn the_address_stays_while_exports_change() {
    let mut lab = Lab::new();
    lab.exports("west", "2025-01-01T00:00:00Z", "10.2.0.1");
    lab.settle();
    let before = lab.import().unwrap()["spec"]["ips"].clone();
    lab.exports("north", "2024-01-01T00:00:00Z", "10.3.0.1");
    lab.settle();
    lab.unexport("west");
    let two = json!([{"name": "http", "port": 80}, {"name": "more", "port": 81}]);
    lab.service("north", &service(&two));
    lab.settle();
    let spec = &lab.import().unwrap()["spec"];
    assert_eq!(spec["ips"], before);
    assert_eq!(spec["ports"].as_array().unwrap().len(), 2);
}

#[test]
fn a_rejected_write_is_a_condition() {
    let mut lab = Lab::new();
    lab.exports("east", "2025-01-01T00:00:00Z", "10.1.0.1");
    lab.settle();
    let why = "spec.ipFamilies: not configured";
    lab.set.update(Update::Rejected(web(), Some(why.into())));
    lab.settle();
    let ready = condition(lab.import().unwrap(), "Ready").unwrap();
    assert_eq!(
        (ready.0.as_str(), ready.1.as_str()),
        ("False", "IPFamilyNotSupported")
    );
    let (_, reason, message) = lab.condition("Ready").unwrap();
    assert_eq!(reason, "Failed");
    assert!(message.contains(why));
    lab.set.update(Update::Rejected(web(), None));
    lab.settle();
    assert_eq!(lab.condition("Ready").unwrap().1, "Ready");
}

#[test]
fn silent_clusters_are_named() {
    let mut lab = Lab::new();
    lab.exports("west", "2025-01-01T00:00:00Z", "10.2.0.1");
    lab.settle();
    lab.disconnect("west");
    lab.settle();
    let stale = condition(lab.import().unwrap(), "Stale").unwrap();
    assert_eq!(stale.0, "True");
    assert!(stale.2.contains("west"), "{}", stale.2);
    lab.set
        .update(Update::Exports(id("west"), Change::Connected));
    lab.set
        .update(Update::Services(id("west"), Change::Connected));
    lab.set
        .update(Update::Slices(id("west"), Change::Connected));
    lab.settle();
    assert_eq!(
        condition(lab.import().unwrap(), "Stale").unwrap().0,
        "False"
    );
}
