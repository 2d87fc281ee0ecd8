//! Exports that differ.

use serde_json::{Value, json};

use crate::lab::{Lab, exported, http, service, slice};

const OLD: &str = "2025-01-01T00:00:00Z";
const YOUNG: &str = "2025-01-02T00:00:00Z";

/// Exports of west (older) and of the local cluster, of these Services.
fn two(old: &Value, young: &Value) -> Lab {
    let mut lab = Lab::new();
    lab.service("west", old);
    lab.slice("west", &slice("web-1", "10.2.0.1"));
    lab.export("west", &exported(OLD));
    lab.service("east", young);
    lab.slice("east", &slice("web-1", "10.1.0.1"));
    lab.export("east", &exported(YOUNG));
    lab.settle();
    lab
}

fn spec(change: impl FnOnce(&mut Value)) -> Value {
    let mut service = http();
    change(&mut service["spec"]);
    service
}

#[test]
fn every_property_of_the_oldest_export_wins_and_the_conflict_is_told() {
    let plain = http();
    let cases: [(&str, Value, Value, &str, Value); 6] = [
        (
            "TypeConflict",
            plain.clone(),
            spec(|it| it["clusterIP"] = json!("None")),
            "type",
            json!("ClusterSetIP"),
        ),
        (
            "SessionAffinityConflict,SessionAffinityConfigConflict",
            spec(|it| it["sessionAffinity"] = json!("ClientIP")),
            plain.clone(),
            "sessionAffinity",
            json!("ClientIP"),
        ),
        (
            "InternalTrafficPolicyConflict",
            plain.clone(),
            spec(|it| it["internalTrafficPolicy"] = json!("Local")),
            "internalTrafficPolicy",
            json!("Cluster"),
        ),
        (
            "TrafficDistributionConflict",
            spec(|it| it["trafficDistribution"] = json!("PreferClose")),
            plain.clone(),
            "trafficDistribution",
            json!("PreferClose"),
        ),
        (
            "PortConflict",
            plain.clone(),
            service(&json!([{"name": "http", "port": 81}])),
            "ports",
            json!([{"name": "http", "port": 80, "protocol": "TCP"}]),
        ),
        (
            "IPFamilyConflict",
            spec(|it| {
                it["ipFamilies"] = json!(["IPv4", "IPv6"]);
                it["ipFamilyPolicy"] = json!("PreferDualStack");
            }),
            plain,
            "type",
            json!("ClusterSetIP"),
        ),
    ];
    for (reason, old, young, field, expected) in cases {
        let lab = two(&old, &young);
        let (status, found, message) = lab.condition("Conflict").unwrap();
        assert_eq!((status.as_str(), found.as_str()), ("True", reason));
        assert!(
            message.contains("cluster west") && message.contains("cluster east"),
            "{message}"
        );
        assert_eq!(lab.import().unwrap()["spec"][field], expected, "{reason}");
    }
}

#[test]
fn exported_maps_are_taken_whole_from_the_oldest() {
    let mut lab = Lab::new();
    for (cluster, created, labels) in [
        ("west", OLD, json!({"a": "1"})),
        ("east", YOUNG, json!({"a": "2", "b": "2"})),
    ] {
        lab.service(cluster, &http());
        let mut export = exported(created);
        export["spec"] = json!({"exportedLabels": labels});
        lab.export(cluster, &export);
    }
    lab.settle();
    assert_eq!(lab.condition("Conflict").unwrap().1, "LabelsConflict");
    let labels = &lab.import().unwrap()["metadata"]["labels"];
    assert_eq!(labels["a"], json!("1"));
    assert!(labels.get("b").is_none());
}

#[test]
fn ports_are_a_union_and_each_reaches_only_those_that_declare_it() {
    let old = service(&json!([{"name": "http", "port": 80}, {"name": "one", "port": 1}]));
    let young = service(&json!([{"name": "http", "port": 4242}, {"name": "two", "port": 2}]));
    let mut lab = two(&old, &young);
    let ports = lab.import().unwrap()["spec"]["ports"].clone();
    let names: Vec<_> = ports
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert_eq!(names, ["http", "one", "two"]);
    let of = |lab: &Lab, cluster: &str| {
        let copies = lab.copies().into_iter();
        copies
            .filter(|it| it.0 == cluster)
            .flat_map(|it| it.2)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&lab, "west"), ["http"]);
    assert_eq!(of(&lab, "east"), [""; 0], "http of east is another port");
    // The port of the same number under another name is the same port.
    lab.service("east", &service(&json!([{"name": "web", "port": 80}])));
    let mut renamed = slice("web-1", "10.1.0.1");
    renamed["ports"] = json!([{"name": "web", "protocol": "TCP", "port": 9090}]);
    lab.slice("east", &renamed);
    lab.settle();
    assert_eq!(of(&lab, "east"), ["http"]);
    assert_eq!(lab.condition("Conflict").unwrap().1, "PortConflict");
}

#[test]
fn a_port_without_a_name_gets_one_beside_others() {
    let lab = two(
        &service(&json!([{"port": 80}])),
        &service(&json!([{"name": "more", "port": 81}])),
    );
    let ports = &lab.import().unwrap()["spec"]["ports"];
    assert_eq!(ports[0]["name"], json!("tcp-80"));
    assert_eq!(ports[1]["name"], json!("more"));
}

#[test]
fn equally_old_exports_are_ordered_by_cluster() {
    let mut lab = Lab::new();
    lab.service(
        "west",
        &spec(|it| it["trafficDistribution"] = json!("PreferClose")),
    );
    lab.export("west", &exported(OLD));
    lab.service("east", &http());
    lab.export("east", &exported(OLD));
    lab.settle();
    assert!(
        lab.import().unwrap()["spec"]
            .get("trafficDistribution")
            .is_none()
    );
}

#[test]
fn agreement_is_not_claimed_before_all_clusters_were_read() {
    let mut lab = Lab::unlisted(reflector_planner::RemovedSources::Keep);
    lab.list_local();
    lab.list("east");
    lab.list("west");
    lab.exports("east", OLD, "10.1.0.1");
    lab.settle();
    let (status, _, message) = lab.condition("Conflict").unwrap();
    assert_eq!(status, "Unknown");
    assert!(message.contains("north"), "{message}");
    lab.list("north");
    lab.settle();
    assert_eq!(lab.condition("Conflict").unwrap().1, "NoConflicts");
}

#[test]
fn a_conflict_ends_with_the_difference() {
    let mut lab = two(&http(), &service(&json!([{"name": "http", "port": 81}])));
    assert_eq!(lab.condition("Conflict").unwrap().0, "True");
    lab.service("east", &http());
    lab.settle();
    assert_eq!(lab.condition("Conflict").unwrap().1, "NoConflicts");
}
