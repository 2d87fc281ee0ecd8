//! What people bring: odd addresses, edited mirrors, leftovers of other programs.

use proto_types::{ObjectKey, Resource};
use reflector_planner::{ExistingObject, Update, WriteFailure};
use serde_json::{Value, json};

use crate::lab::{Lab, name, prefixed, same_name};
use crate::object::{raw, service, slice, with};

const WEB: &str = "mirrors/east-demo-73736d-web";

fn mirrored() -> Lab {
    let mut lab = Lab::new(vec![prefixed("east")]);
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    lab
}

fn reasons(lab: &Lab) -> Vec<&'static str> {
    let problems = lab.problems();
    problems.iter().map(|it| it.cause.reason()).collect()
}

#[test]
fn every_field_of_a_mirror_is_repaired() {
    let mut lab = mirrored();
    let right = lab.service(WEB)["spec"].clone();
    for (field, value) in [
        ("internalTrafficPolicy", json!("Local")),
        ("externalIPs", json!(["192.0.2.1"])),
        ("externalName", json!("elsewhere.example")),
        ("externalTrafficPolicy", json!("Local")),
        ("loadBalancerSourceRanges", json!(["192.0.2.0/24"])),
        ("sessionAffinity", json!("ClientIP")),
        ("fieldOfTomorrow", json!({"a": 1})),
    ] {
        // What is changed too often is told.
        lab.wait(600);
        lab.edit(Resource::Services, WEB, |it| it["spec"][field] = value);
        assert_eq!(lab.settle(), [format!("update Service {WEB}")], "{field}");
        assert_eq!(lab.service(WEB)["spec"], right, "{field}");
    }
    let slice = lab.slices()[0].clone();
    for (pointer, value) in [
        (
            "/endpoints/0/targetRef",
            json!({"kind": "Pod", "name": "p"}),
        ),
        ("/endpoints/0/hints", json!({"forNodes": [{"name": "n"}]})),
        ("/endpoints/0/hints", json!({"forZones": [{"name": "z"}]})),
        ("/ports/0/appProtocol", json!("h2c")),
    ] {
        lab.wait(600);
        let edit = |it: &mut Value| *it = with(it.clone(), pointer, value);
        lab.edit(Resource::EndpointSlices, &slice, edit);
        assert_eq!(lab.settle().len(), 1, "{pointer}");
    }
}

#[test]
fn an_adopted_mirror_is_as_every_other() {
    let mut lab = Lab::new(vec![prefixed("east")]);
    let labels = json!({"mirrored-svc": "true", "mirror-svc-prefix-sync": "east"});
    let there = with(service(WEB), "/metadata/labels", labels);
    let there = with(there, "/spec/internalTrafficPolicy", json!("Local"));
    let there = with(there, "/spec/externalIPs", json!(["192.0.2.1"]));
    let there = with(there, "/spec/selector", json!(null));
    let id = (Resource::Services, ObjectKey::parse(WEB).unwrap());
    lab.cluster.put(&id, there);
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    let spec = &lab.service(WEB)["spec"];
    assert_eq!(spec["internalTrafficPolicy"], "Cluster");
    assert_eq!(spec.get("externalIPs"), None);
}

#[test]
fn odd_endpoints_are_left_out_and_told_and_the_others_stay() {
    let mut lab = mirrored();
    let odd = slice(
        "demo/web-1",
        "web",
        &["10.0.0.1", "fd00::1", "10.0.0.2", "::ffff:10.0.0.3"],
    );
    let mut odd = with(odd, "/endpoints/2/hostname", json!("Not_A_Label"));
    odd["ports"] = json!([
        {"name": "http", "protocol": "TCP", "port": 8080},
        {"name": "http", "protocol": "TCP", "port": 8081},
    ]);
    lab.list_slices("east", &[odd]);
    lab.settle();
    let addresses = lab.slice()["endpoints"].as_array().unwrap().iter();
    let addresses: Vec<_> = addresses.map(|it| it["addresses"][0].clone()).collect();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.3"]);
    assert_eq!(lab.slice()["ports"].as_array().unwrap().len(), 1);
    let told = reasons(&lab);
    assert_eq!(told, ["InvalidEndpoint", "InvalidEndpoint", "InvalidPort"]);
}

#[test]
fn a_service_of_which_no_slice_is_exported_is_told_after_a_while() {
    let mut lab = Lab::new(vec![prefixed("east")]);
    let by_hand = with(service("demo/web"), "/spec/selector", json!(null));
    lab.list("east", &[by_hand, service("demo/other")], &[]);
    lab.settle();
    assert!(lab.problems().is_empty(), "they may be on their way");
    lab.wait(15);
    assert_eq!(reasons(&lab), ["EndpointsNotExported"]);
    lab.apply_slice("east", &slice("demo/web-1", "web", &["10.0.0.1"]));
    lab.settle();
    assert!(lab.problems().is_empty());
}

#[test]
fn mirrors_of_a_predecessor_are_not_mirrored_again() {
    let mut lab = Lab::new(vec![same_name("east")]);
    let labeled = |key: &str, label: &str| {
        let pointer = format!("/metadata/labels/{}", label.replace('/', "~1"));
        with(service(key), &pointer, json!("true"))
    };
    let reflected = "service-reflector.squat.ai/reflected";
    let annotated = with(
        service("demo/d"),
        &format!("/metadata/annotations/{}", reflected.replace('/', "~1")),
        json!("true"),
    );
    let exported = [
        labeled("demo/a", "mirrored-svc"),
        labeled("demo/b", "global-svc"),
        labeled("demo/c", reflected),
        annotated,
        service("demo/own"),
    ];
    lab.list("east", &exported, &[]);
    lab.settle();
    assert_eq!(lab.services(), ["demo/own"]);
}

#[test]
fn obstacles_of_services_that_vanish_are_forgotten() {
    let mut lab = mirrored();
    for i in 0..100 {
        let key = format!("demo/s{i}");
        lab.apply_service("east", &service(&key));
        let local = ObjectKey::new("mirrors", &format!("east-demo-73736d-s{i}"));
        let refused = WriteFailure::Refused("no".into());
        lab.update(Update::Blocked(Resource::Services, local, refused));
        let slice = ObjectKey::new("mirrors", &format!("east-s{i}"));
        let refused = WriteFailure::Refused("no".into());
        lab.update(Update::Blocked(Resource::EndpointSlices, slice, refused));
        lab.delete_service("east", &key);
    }
    assert_eq!(lab.index.local().n_obstacles(), 100, "of slices");
    lab.wait(3600);
    assert_eq!(lab.index.local().n_obstacles(), 0);
}

fn left_behind(name: &str) -> ExistingObject {
    let labels = json!({"mirrored-svc": "true", "mirror-svc-prefix-sync": "east"});
    let key = format!("mirrors/{name}");
    let there = with(service(&key), "/metadata/labels", labels);
    let there = with(there, "/spec/selector", json!(null));
    ExistingObject {
        service: raw(Resource::Services, &there),
        endpoints: None,
    }
}

#[test]
fn mirrors_that_a_predecessor_left_go_when_the_source_does_not_have_them() {
    let mut lab = mirrored();
    let met = vec![
        left_behind("east-demo-73736d-gone"),
        left_behind("east-demo-73736d-web"),
        left_behind("something-else"),
    ];
    for it in &met {
        let id = (Resource::Services, it.service.key.clone());
        let object = || serde_json::from_slice(&it.service.json).unwrap();
        lab.cluster.objects.entry(id).or_insert_with(object);
    }
    lab.update(Update::LeftBehind(name("east"), met));
    assert_eq!(
        lab.settle(),
        ["delete Service mirrors/east-demo-73736d-gone"]
    );
    assert!(
        lab.services()
            .contains(&"mirrors/something-else".to_owned())
    );
}

#[test]
fn many_that_a_predecessor_left_are_held() {
    let mut lab = mirrored();
    let left = |i: i32| left_behind(&format!("east-demo-73736d-s{i}"));
    let met = (0..20).map(left).collect();
    lab.update(Update::LeftBehind(name("east"), met));
    assert!(lab.settle().is_empty());
    lab.lose("east");
    let unheard = vec![left_behind("east-demo-73736d-late")];
    lab.update(Update::LeftBehind(name("east"), unheard));
    assert!(lab.settle().is_empty(), "of a source that is not followed");
}
