//! What another version may say: more than we know, and less.

use serde_json::{Value, json};

use crate::lab::{Lab, prefixed};
use crate::object::{service, slice, with};

const WEB: &str = "mirrors/east-demo-73736d-web";

/// What is here of a source that says so, and what is wrong.
fn mirrored(service: Value, slice: Value) -> (Value, Value, Vec<String>) {
    let mut lab = Lab::new(vec![prefixed("east")]);
    lab.list("east", &[service], &[slice]);
    lab.settle();
    let problems = lab.problems();
    (
        lab.service(WEB)["spec"].clone(),
        lab.slice().clone(),
        problems.iter().map(ToString::to_string).collect(),
    )
}

fn web() -> (Value, Value) {
    (
        service("demo/web"),
        slice("demo/web-1", "web", &["10.0.0.1"]),
    )
}

#[test]
fn fields_that_came_later_change_nothing() {
    let (service, slice) = web();
    let plain = mirrored(service.clone(), slice.clone());
    assert!(plain.2.is_empty(), "{:?}", plain.2);
    let later = json!({"later": {"than": ["this", 1, null]}});
    let mut grown = (service, slice);
    for place in ["/spec/x", "/spec/ports/0/x", "/status", "/metadata/x", "/x"] {
        grown.0 = with(grown.0, place, later.clone());
    }
    for place in [
        "/x",
        "/ports/0/x",
        "/endpoints/0/x",
        "/endpoints/0/conditions/x",
        "/metadata/x",
    ] {
        grown.1 = with(grown.1, place, later.clone());
    }
    assert_eq!(mirrored(grown.0, grown.1), plain);
}

#[test]
fn fields_that_came_early_and_are_missing_change_nothing() {
    let (service, slice) = web();
    let plain = mirrored(service.clone(), slice.clone());
    let mut service = service;
    let spec = service["spec"].as_object_mut().unwrap();
    for later in [
        "internalTrafficPolicy",
        "sessionAffinity",
        "clusterIPs",
        "type",
    ] {
        spec.remove(later);
    }
    let mut slice = slice;
    let conditions = slice["endpoints"][0]["conditions"].as_object_mut().unwrap();
    conditions.remove("serving");
    conditions.remove("terminating");
    let (spec, slice, problems) = mirrored(service, slice);
    assert_eq!((spec, problems), (plain.0, plain.2));
    let address = &slice["endpoints"][0]["addresses"][0];
    assert_eq!(address, "10.0.0.1");
}

#[test]
fn values_that_are_not_known_are_told_and_hurt_nobody_else() {
    for (place, value) in [
        ("/spec/type", json!("Teleported")),
        ("/spec/sessionAffinity", json!("Cookie")),
        ("/spec/ipFamilyPolicy", json!("PreferTriple")),
        ("/spec/ports/0/port", json!("eighty")),
        ("/spec/ports", json!({"all": true})),
    ] {
        let mut lab = Lab::new(vec![prefixed("east")]);
        let (web, slice) = web();
        let odd = with(web, place, value.clone());
        lab.list("east", &[odd, service("demo/other")], &[slice]);
        lab.settle();
        let services = lab.services();
        let has = |name: &str| services.iter().any(|it| it == name);
        assert!(has("mirrors/east-demo-73736d-other"), "{place}");
        let is_told = lab
            .problems()
            .iter()
            .any(|it| it.cause.reason() == "InvalidSourceObject");
        assert!(is_told != has(WEB), "{place}: {value}");
    }
}

#[test]
fn addresses_of_a_kind_that_is_not_known_are_left_out_and_told() {
    let (service, slice) = web();
    let slice = with(slice, "/addressType", json!("Unix"));
    let slice = with(slice, "/endpoints/0/addresses", json!(["/run/web"]));
    let (spec, slice, problems) = mirrored(service, slice);
    assert_eq!(spec["ports"][0]["port"], 80);
    assert_eq!(slice["endpoints"], json!([]));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("/run/web"), "{problems:?}");
}

/// Only the resource version of a list counts: that of a restored object is older.
#[test]
fn a_list_of_a_restored_cluster_replaces_versions_that_are_newer() {
    let mut lab = Lab::new(vec![prefixed("east")]);
    let (web, slice) = web();
    lab.list("east", std::slice::from_ref(&web), &[slice]);
    lab.settle();
    let backup = lab.cluster.objects.clone();
    let changed = with(web, "/spec/ports/0/port", json!(81));
    lab.list_services("east", &[changed]);
    lab.settle();
    assert_eq!(lab.service(WEB)["spec"]["ports"][0]["port"], 81);
    lab.cluster.objects = backup;
    lab.cluster.revision += 100;
    lab.list_local();
    lab.settle();
    assert_eq!(lab.service(WEB)["spec"]["ports"][0]["port"], 81);
}
