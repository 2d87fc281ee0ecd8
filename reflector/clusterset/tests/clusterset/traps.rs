//! Mistakes that other implementations made.

use reflector_clusterset::conflict::{self, Conflict, ConflictKind};
use serde_json::json;

use crate::lab::{Lab, exported, http, id, service, slice};

const OLD: &str = "2025-01-01T00:00:00Z";
const YOUNG: &str = "2025-06-01T00:00:00Z";

#[test]
fn a_schema_without_a_field_is_not_written_again_and_again() {
    let schemas: [&[(&str, &str)]; 3] = [
        &[("status", "endpointSliceObjects")],
        // The first schemas of the API.
        &[
            ("spec", "ipFamilies"),
            ("spec", "internalTrafficPolicy"),
            ("spec", "trafficDistribution"),
            ("status", "conditions"),
            ("status", "endpointSliceObjects"),
        ],
        &[("spec", "sessionAffinity")],
    ];
    for drops in schemas {
        let mut lab = Lab::new();
        lab.drops = drops.to_vec();
        let mut web = http();
        web["spec"]["trafficDistribution"] = json!("PreferClose");
        lab.exports("west", OLD, "10.2.0.1");
        lab.service("west", &web);
        lab.settle();
        let import = lab.import().unwrap().clone();
        for (part, field) in drops {
            assert!(import[part].get(field).is_none(), "{part}.{field}");
        }
        // A CRD with all fields is installed, and the next write shows it.
        lab.drops.clear();
        lab.exports("north", YOUNG, "10.3.0.1");
        lab.service(
            "west",
            &service(&json!([{"name": "http", "port": 80}, {"name": "more", "port": 81}])),
        );
        lab.settle();
        let import = lab.import().unwrap();
        assert_eq!(import["spec"]["ipFamilies"], json!(["IPv4"]));
        assert_eq!(import["status"]["endpointSliceObjects"], json!("Present"));
    }
}

#[test]
fn endpoints_of_a_service_that_is_not_exported_are_not_imported() {
    let mut lab = Lab::new();
    lab.service("east", &http());
    lab.slice("east", &slice("web-1", "10.1.0.1"));
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    let copies = lab.copies();
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!((&*copies[0].0, &*copies[0].1), ("west", "10.2.0.1"));
    assert_eq!(
        lab.import().unwrap()["status"]["clusters"],
        json!([{"cluster": "west"}])
    );
}

#[test]
fn a_service_that_is_created_again_is_exported_again() {
    let mut lab = Lab::new();
    lab.exports("east", OLD, "10.1.0.1");
    lab.settle();
    lab.delete_service("east");
    let done = lab.settle();
    assert!(lab.import().is_none(), "{done:?}");
    assert!(
        !done.iter().any(|it| it == "delete serviceexport"),
        "the export is its user's: {done:?}"
    );
    assert_eq!(lab.condition("Valid").unwrap().1, "NoService");
    lab.service("east", &http());
    lab.settle();
    assert!(lab.import().is_some());
    assert_eq!(lab.condition("Ready").unwrap().1, "Ready");
    assert_eq!(lab.copies().len(), 1);
}

#[test]
fn labels_that_change_make_no_second_copy() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    let mut labelled = slice("web-1", "10.2.0.1");
    labelled["metadata"]["labels"]["team"] = json!("b");
    lab.slice("west", &labelled);
    let mut web = http();
    web["metadata"]["labels"] = json!({"team": "b"});
    lab.service("west", &web);
    assert_eq!(lab.settle(), [""; 0], "only exported labels travel");
    assert_eq!(lab.copies().len(), 1);
}

/// A reflector that starts with the objects of another, and hears every cluster without exports,
/// once more after the deletion hold.
fn restarted(before: Lab) -> Lab {
    let mut fresh = Lab::unlisted(reflector_planner::RemovedSources::Keep);
    fresh.objects = before.objects;
    fresh.list_local();
    for cluster in ["east", "west", "north"] {
        fresh.list(cluster);
    }
    fresh.settle();
    fresh.tick(61);
    fresh.list("west");
    fresh.settle();
    fresh
}

#[test]
fn exports_that_ended_before_a_start_leave_no_orphans() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    let fresh = restarted(lab);
    assert!(fresh.objects.is_empty(), "{:?}", fresh.objects.keys());
}

#[test]
fn an_orphan_without_its_import_is_deleted() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    // A reflector that ended between two writes, and an import that somebody deleted.
    lab.objects
        .retain(|(plural, _), _| *plural != "serviceimports");
    let fresh = restarted(lab);
    assert!(fresh.objects.is_empty(), "{:?}", fresh.objects.keys());
}

#[test]
fn target_ports_come_from_slices_and_port_names_from_the_import() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    // The same port by another name, and another target port.
    let named = |name: &str| json!([{"name": name, "port": 80, "protocol": "TCP", "targetPort": "http-alt"}]);
    lab.service("north", &service(&named("web")));
    let mut other = slice("web-1", "10.3.0.1");
    other["ports"] = json!([{"name": "web", "protocol": "TCP", "port": 9999}]);
    lab.slice("north", &other);
    lab.export("north", &exported(YOUNG));
    lab.settle();
    let slices = lab.objects.iter();
    let ports: Vec<_> = slices
        .filter(|((plural, _), _)| *plural == "endpointslices")
        .map(|(_, it)| {
            (
                it["ports"][0]["name"].clone(),
                it["ports"][0]["port"].clone(),
            )
        })
        .collect();
    assert_eq!(
        ports,
        [(json!("http"), json!(9999)), (json!("http"), json!(8080))]
    );
}

#[test]
fn a_union_has_no_port_twice() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    // By name another number; by number another name; and both apart.
    let ports = json!([
        {"name": "http", "port": 81}, {"name": "web", "port": 80}, {"name": "x", "port": 82},
        {"name": "dns", "port": 80, "protocol": "UDP"},
    ]);
    lab.service("north", &service(&ports));
    lab.export("north", &exported(YOUNG));
    lab.settle();
    let ports = lab.import().unwrap()["spec"]["ports"].clone();
    let ports = ports.as_array().unwrap().iter();
    let ports: Vec<_> = ports
        .map(|it| format!("{} {}/{}", it["name"], it["port"], it["protocol"]))
        .collect();
    assert_eq!(
        ports,
        [r#""http" 80/"TCP""#, r#""x" 82/"TCP""#, r#""dns" 80/"UDP""#]
    );
}

#[test]
fn reasons_are_what_the_api_takes() {
    let all = [
        ConflictKind::Port,
        ConflictKind::Type,
        ConflictKind::SessionAffinity,
        ConflictKind::SessionAffinityConfig,
        ConflictKind::Annotations,
        ConflictKind::Labels,
        ConflictKind::InternalTrafficPolicy,
        ConflictKind::TrafficDistribution,
        ConflictKind::IpFamily,
    ];
    let conflicts = (0..50).flat_map(|n| all.map(|kind| (n, kind)));
    let conflicts = conflicts.map(|(n, kind)| Conflict {
        kind,
        winner: id("east"),
        winning: "a".repeat(10_000),
        other: id(&format!("c{n}")),
        differing: "b".to_owned(),
    });
    let conflicts: Vec<_> = conflicts.collect();
    let reasons = conflict::reasons(&conflicts);
    assert!(reasons.len() <= 1024 && !reasons.contains(' '), "{reasons}");
    assert_eq!(reasons.split(',').count(), all.len());
    let conditions = reflector_clusterset::conditions::of_export(
        &reflector_clusterset::conditions::ExportState::Exported,
        &conflicts,
        &[].into(),
    );
    assert!(conditions.iter().all(|it| it.message.len() <= 32_768));
}

#[test]
fn a_conflict_of_many_is_told_with_each_of_them() {
    let mut lab = Lab::new();
    lab.exports("east", YOUNG, "10.1.0.1");
    lab.exports("west", OLD, "10.2.0.1");
    let mut sticky = http();
    sticky["spec"]["sessionAffinity"] = json!("ClientIP");
    lab.service("north", &sticky);
    lab.export("north", &exported(YOUNG));
    lab.settle();
    // The export of east agrees with the oldest one, and reports the conflict too.
    let (status, reason, message) = lab.condition("Conflict").unwrap();
    assert_eq!(status, "True");
    assert_eq!(
        reason,
        "SessionAffinityConflict,SessionAffinityConfigConflict"
    );
    assert!(
        message.contains("north") && message.contains("west"),
        "{message}"
    );
}
