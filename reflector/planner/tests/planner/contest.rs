//! Two programs that write the same objects.

use proto_types::Resource;
use serde_json::json;

use crate::global::{pods, web};
use crate::lab::{Lab, prefixed};
use crate::object::{service, slice, with};

const MIRROR: &str = "mirrors/east-demo-73736d-web";

fn mirrored() -> Lab {
    let mut lab = Lab::new(vec![prefixed("east")]);
    let slices = [slice("demo/web-1", "web", &["10.1.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    lab
}

/// Somebody else gives it a port, or does what that somebody does.
fn disturb(lab: &mut Lab, n: u16) {
    lab.edit(Resource::Services, MIRROR, |it| {
        it["spec"]["ports"][0]["port"] = json!(1000 + n);
    });
    let writes = lab.settle();
    assert_eq!(writes, [format!("update Service {MIRROR}")]);
    assert_eq!(lab.service(MIRROR)["spec"]["ports"][0]["port"], 80);
}

#[test]
fn external_modifications_are_repaired_and_reported_until_they_stop() {
    let mut lab = mirrored();
    for n in 0..4 {
        disturb(&mut lab, n);
        assert_eq!(lab.reasons().len(), 0, "a person may have tried");
        lab.wait(60);
    }
    disturb(&mut lab, 4);
    assert_eq!(lab.reasons(), ["east ExternalModification"]);
    let said = lab.problems()[0].to_string();
    assert!(
        said.contains(&format!("keeps changing Service {MIRROR}")),
        "{said}"
    );
    lab.wait(299);
    assert_eq!(lab.reasons(), ["east ExternalModification"]);
    lab.wait(1);
    assert_eq!(lab.settle().len(), 0);
    assert_eq!(lab.reasons().len(), 0);
}

#[test]
fn a_fight_slows_down_and_ends_when_the_other_stops() {
    let mut lab = mirrored();
    let mut n_writes = 0;
    // Somebody changes it whenever it is repaired, for an hour.
    for n in 0..3600 {
        let port = lab.service(MIRROR)["spec"]["ports"][0]["port"].clone();
        if port == 80 {
            lab.edit(Resource::Services, MIRROR, |it| {
                it["spec"]["ports"][0]["port"] = json!(1000 + n);
            });
        }
        n_writes += lab.settle().len();
        lab.wait(1);
    }
    assert!((60..80).contains(&n_writes), "{n_writes}");
    assert_eq!(lab.reasons(), ["east ExternalModification"]);
    // Its slice is not part of the fight.
    lab.apply_slice("east", &slice("demo/web-1", "web", &["10.1.0.9"]));
    assert_eq!(lab.settle().len(), 1);
    // The other stops: it is repaired within a minute, and forgotten after five.
    for _ in 0..60 {
        lab.wait(1);
        lab.settle();
    }
    assert_eq!(lab.service(MIRROR)["spec"]["ports"][0]["port"], 80);
    lab.wait(300);
    assert_eq!(lab.reasons(), Vec::<String>::new());
    disturb(&mut lab, 0);
}

#[test]
fn slices_that_others_keep_deleting_are_told_too() {
    let mut lab = Lab::new(vec![prefixed("east")]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    for _ in 0..5 {
        let slices = lab.slices();
        lab.remove(Resource::EndpointSlices, &slices[0]);
        lab.settle();
        assert_eq!(lab.slices(), slices);
    }
    assert_eq!(lab.reasons(), ["east ExternalModification"]);
}

#[test]
fn changes_of_the_reflector_and_its_sources_are_no_external_modification() {
    let mut lab = mirrored();
    for n in 0..20 {
        let address = format!("10.1.0.{n}");
        // Two writes, of which the first leaves the other to be done.
        let ports = json!([{"name": format!("http-{n}"), "protocol": "TCP", "port": 80 + n}]);
        lab.apply_service("east", &with(service("demo/web"), "/spec/ports", ports));
        lab.apply_slice("east", &slice("demo/web-1", "web", &[&address]));
        lab.settle();
        // What others add beside ours stays, and takes nothing away.
        lab.edit(Resource::Services, MIRROR, |it| {
            it["metadata"]["labels"]["team"] = json!(format!("team-{n}"));
        });
        assert_eq!(lab.settle().len(), 0);
    }
    for _ in 0..5 {
        lab.delete_service("east", "demo/web");
        lab.settle();
        lab.apply_service("east", &service("demo/web"));
        lab.settle();
    }
    assert_eq!(lab.reasons().len(), 0);
}
