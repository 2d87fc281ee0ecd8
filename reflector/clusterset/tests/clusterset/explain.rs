//! Explanations and problems of imports.

use std::time::Duration;

use proto_types::ObjectKey;
use reflector_clusterset::{ImportExplanation, Update, explain, name, plan};
use reflector_planner::{MonotonicTime, OptionalField, RemovedSources};
use serde_json::json;

use crate::lab::{Lab, exported, http, id, service, web};

const OLD: &str = "2025-01-01T00:00:00Z";
const YOUNG: &str = "2025-01-02T00:00:00Z";

fn explained(lab: &Lab, key: &ObjectKey) -> ImportExplanation {
    let plan = plan(&lab.set, key).unwrap();
    explain(&lab.set, key, &plan, &lab.due(key))
}

/// The reason of the only problem, and the conclusion.
fn only_problem(lab: &Lab, key: &ObjectKey) -> (String, String) {
    let it = explained(lab, key);
    assert_eq!(it.problems.len(), 1, "{it}");
    (it.problems[0].reason.clone(), it.conclusion)
}

#[test]
fn an_import_is_explained_from_export_to_address() {
    let mut lab = Lab::new();
    let nobody = explained(&lab, &web());
    assert!(
        nobody.conclusion.contains("create a ServiceExport"),
        "{nobody}"
    );
    assert!(!nobody.has_export());

    lab.exports("west", OLD, "10.2.0.1");
    lab.exports("east", YOUNG, "10.1.0.1");
    let due = explained(&lab, &web());
    assert!(due.conclusion.contains("a write is due"), "{due}");
    lab.settle();
    let text = explained(&lab, &web()).to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "ServiceImport demo/web, web.demo.svc.clusterset.local",
            "  cluster east (synced): exports it since 2025-01-02T00:00:00Z; \
             1 EndpointSlices with 1 endpoints",
            "  cluster north (synced): has no ServiceExport of this name",
            "  cluster west (synced): exports it since 2025-01-01T00:00:00Z, and takes \
             precedence; 1 EndpointSlices with 1 endpoints",
        ]
    );
    assert!(
        text.contains("is imported as its clusters export it (west, east)"),
        "{text}"
    );
}

#[test]
fn every_problem_names_the_object_and_is_the_conclusion() {
    let mut lab = Lab::new();
    lab.export("east", &exported(OLD));
    let (reason, why) = only_problem(&lab, &web());
    assert_eq!(reason, "ExportInvalid");
    assert!(
        why.starts_with("ServiceExport demo/web: there is no Service"),
        "{why}"
    );

    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.service(
        "east",
        &service(&json!([{"name": "http", "port": 81, "protocol": "TCP"}])),
    );
    lab.export("east", &exported(YOUNG));
    lab.settle();
    let (reason, why) = only_problem(&lab, &web());
    assert_eq!(reason, "ExportConflict");
    assert!(
        why.contains("80") && why.contains("81"),
        "both values: {why}"
    );

    lab.disconnect("west");
    let it = explained(&lab, &web());
    let reasons: Vec<_> = it.problems.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(reasons, ["ExportConflict", "ImportStale"], "{it}");
    assert!(
        it.to_string().contains("cluster west (stale): exports it"),
        "{it}"
    );

    let closed = ObjectKey::new("default", "web");
    let mut lab = Lab::new();
    let in_default = |mut object: serde_json::Value| {
        object["metadata"]["namespace"] = json!("default");
        object
    };
    lab.service("east", &in_default(http()));
    lab.export("east", &in_default(exported(OLD)));
    assert_eq!(only_problem(&lab, &closed).0, "ExportNotAllowed");

    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.set.update(Update::Rejected(
        web(),
        Some("exceeded quota: services".into()),
    ));
    let (reason, why) = only_problem(&lab, &web());
    assert_eq!(reason, "ImportRejected");
    assert!(why.contains("exceeded quota: services"), "{why}");

    let mut lab = Lab::new();
    lab.foreign_import();
    lab.exports("west", OLD, "10.2.0.1");
    let (reason, why) = only_problem(&lab, &web());
    assert_eq!(reason, "ImportOccupied");
    assert!(why.contains("delete it to have it replaced"), "{why}");
}

#[test]
fn clusters_that_were_not_listed_are_not_clusters_without_exports() {
    let mut lab = Lab::unlisted(RemovedSources::Keep);
    lab.list_local();
    lab.list("east");
    let it = explained(&lab, &web());
    assert!(
        it.conclusion
            .contains("clusters north, west were not listed yet"),
        "{it}"
    );
    let west = it.clusters.iter().find(|it| it.cluster == "west").unwrap();
    assert_eq!(west.state, "unsynced");
    assert!(!west.exported && id("west").as_str() == west.cluster);
}

#[test]
fn a_missing_namespace_is_the_cause() {
    let mut lab = Lab::new();
    let key = ObjectKey::new("shop", "web");
    let there = |mut object: serde_json::Value| {
        object["metadata"]["namespace"] = json!("shop");
        object
    };
    lab.service("west", &there(http()));
    lab.export("west", &there(exported(OLD)));
    let it = explained(&lab, &key);
    assert!(it.conclusion.contains("no namespace shop"), "{it}");
}

#[test]
fn a_value_that_the_local_api_server_rejects_does_not_cost_the_import() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    let mut zoned = http();
    zoned["spec"]["trafficDistribution"] = json!("PreferSameZone");
    lab.service("west", &zoned);
    lab.set.update(Update::FieldRejected(
        OptionalField::TrafficDistribution,
        "PreferSameZone".into(),
        "Unsupported value".into(),
    ));
    let (reason, why) = only_problem(&lab, &web());
    assert_eq!(reason, "FieldNotSupported");
    assert!(why.contains("trafficDistribution PreferClose"), "{why}");
    lab.settle();
    let import = lab.import().unwrap();
    assert_eq!(import["spec"]["trafficDistribution"], "PreferSameZone");
    assert!(import["spec"]["ips"][0].is_string(), "{import}");
    let derived = &lab.objects[&("services", name::derived_service(&web()))];
    assert_eq!(derived["spec"]["trafficDistribution"], "PreferClose");
    let one_hour = Duration::from_secs(3600);
    lab.set.update(Update::Tick(MonotonicTime(one_hour)));
    assert!(explained(&lab, &web()).problems.is_empty());
}
