//! What must not happen, and what happens instead.

use proto_types::{ObjectKey, Resource};
use reflector_planner::RemovedSources;
use serde_json::{Value, json};

use crate::lab::{Lab, policy, prefixed, same_name};
use crate::object::{service, slice, with};

const WEB: &str = "mirrors/east-demo-73736d-web";

fn east_with_web() -> Lab {
    let mut lab = Lab::new(vec![prefixed("east"), prefixed("west")]);
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    lab
}

fn many(n: usize) -> Vec<Value> {
    (0..n).map(|i| service(&format!("demo/web-{i}"))).collect()
}

fn reasons(lab: &Lab) -> Vec<&'static str> {
    let problems = lab.problems();
    problems.iter().map(|it| it.cause.reason()).collect()
}

#[test]
fn a_deleted_service_takes_its_mirror_and_slices_along() {
    let mut lab = east_with_web();
    lab.delete_service("east", "demo/web");
    assert_eq!(lab.settle().len(), 2);
    assert!(lab.services().is_empty() && lab.slices().is_empty());
}

#[test]
fn a_source_that_is_not_synced_deletes_nothing_after_a_restart() {
    let mut lab = east_with_web().restarted();
    assert!(lab.settle().is_empty());
    lab.list_slices("east", &[]);
    assert!(lab.settle().is_empty(), "the Service is not known yet");
    lab.list_twice("east", &[], &[]);
    assert_eq!(lab.settle().len(), 2);
}

#[test]
fn a_restart_with_nothing_changed_writes_nothing() {
    let mut lab = east_with_web().restarted();
    lab.list_services("east", &[service("demo/web")]);
    assert!(lab.settle().is_empty(), "the slices are not known yet");
    lab.list_slices("east", &[slice("demo/web-1", "web", &["10.0.0.1"])]);
    assert!(lab.settle().is_empty());
}

#[test]
fn a_lost_source_keeps_its_mirrors_and_they_are_still_repaired() {
    let mut lab = east_with_web();
    lab.lose("east");
    assert!(lab.settle().is_empty());
    lab.remove(Resource::Services, WEB);
    assert_eq!(lab.settle(), [format!("create Service {WEB}")]);
    lab.reconnect("east");
    assert!(lab.settle().is_empty());
}

#[test]
fn services_deleted_during_a_disconnection_go_with_the_next_list() {
    let mut lab = east_with_web();
    lab.apply_service("east", &service("demo/api"));
    lab.settle();
    lab.lose("east");
    let api = [service("demo/api")];
    lab.list("east", &api, &[]);
    lab.settle();
    assert_eq!(lab.services(), ["mirrors/east-demo-73736d-api"]);
}

#[test]
fn losing_the_slices_alone_keeps_the_slices_alone() {
    let mut lab = east_with_web().restarted();
    lab.list_services("east", &[service("demo/web")]);
    lab.settle();
    assert_eq!(lab.slices().len(), 1);
}

#[test]
fn an_invalid_object_does_not_count_as_absent() {
    let mut lab = east_with_web();
    lab.apply_service(
        "east",
        &with(service("demo/web"), "/spec/ports", json!("all")),
    );
    lab.apply_slice(
        "east",
        &with(slice("demo/web-1", "web", &[]), "/endpoints", json!(7)),
    );
    assert!(lab.settle().is_empty());
    assert_eq!(reasons(&lab), ["InvalidSourceObject"]);
    lab.apply_service("east", &service("demo/web"));
    assert!(lab.settle().is_empty());
    assert_eq!(reasons(&lab), ["InvalidSourceObject"], "the slice");
}

#[test]
fn slices_stay_while_what_took_their_place_cannot_be_read() {
    let mut lab = east_with_web();
    let broken = with(slice("demo/web-2", "web", &[]), "/endpoints", json!(7));
    lab.apply_slice("east", &broken);
    lab.delete_slice("east", "demo/web-1");
    assert!(lab.settle().is_empty());
    lab.list_slices("east", &[broken]);
    assert!(lab.settle().is_empty());
    assert_eq!(reasons(&lab), ["InvalidSourceObject"]);
    lab.list_slices("east", &[slice("demo/web-2", "web", &["10.0.0.2"])]);
    assert_eq!(lab.settle().len(), 2, "one comes, the other goes");
}

#[test]
fn a_name_that_would_leave_its_path_is_no_object() {
    let evil = with(
        service("demo/web"),
        "/metadata/namespace",
        json!("a/../b?x="),
    );
    let json = bytes::Bytes::from(evil.to_string());
    let object = proto_types::RawObject::parse(proto_types::Resource::Services, &json);
    assert!(object.is_err(), "{object:?}");
}

#[test]
fn the_mirrors_of_a_removed_source_stay_unless_configured_otherwise() {
    let lab = east_with_web();
    let mut lab = Lab::over(lab.cluster, policy(vec![prefixed("west")]));
    lab.list("west", &[], &[]);
    assert!(lab.settle().is_empty());
    assert_eq!(reasons(&lab), ["SourceRemoved"]);

    let mut delete = policy(vec![prefixed("west")]);
    delete.removed_sources = RemovedSources::Delete;
    let mut lab = Lab::over(lab.cluster, delete);
    assert!(lab.settle().is_empty(), "west may be it under another name");
    lab.list("west", &[], &[]);
    assert_eq!(lab.settle().len(), 2);
}

#[test]
fn a_renamed_source_takes_its_mirrors_over_with_their_addresses() {
    let mut renamed = prefixed("east");
    renamed.name = "orient".parse().unwrap();
    let mut lab = Lab::over(east_with_web().cluster, policy(vec![renamed]));
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("orient", &[service("demo/web")], &slices);
    let writes = lab.settle();
    assert_eq!(writes[0], format!("update Service {WEB}"));
    assert_eq!(lab.slices().len(), 1);
}

#[test]
fn the_first_configured_source_takes_precedence_and_the_other_is_reported() {
    let mut lab = Lab::new(vec![same_name("east"), same_name("west")]);
    let slices = |address| [slice("demo/web-1", "web", &[address])];
    lab.list("west", &[service("demo/web")], &slices("10.2.0.1"));
    lab.settle();
    assert_eq!(
        lab.slice()["metadata"]["labels"]["heliograph.dev/source"],
        "west"
    );
    lab.list("east", &[service("demo/web")], &slices("10.1.0.1"));
    lab.settle();
    assert_eq!(
        lab.slice()["metadata"]["labels"]["heliograph.dev/source"],
        "east"
    );
    assert_eq!(
        lab.problems()[0].to_string(),
        "Service demo/web of source west: not mirrored, because demo/web already mirrors \
         demo/web of source east, which comes first; rename one of the two, or give the sources \
         different prefixes"
    );
    lab.delete_service("west", "demo/web");
    assert!(lab.settle().is_empty(), "the loser goes unnoticed");
}

#[test]
fn no_claim_takes_a_mirror_from_a_disconnected_source() {
    let mut lab = Lab::new(vec![same_name("east"), same_name("west")]);
    lab.list("east", &[service("demo/web")], &[]);
    lab.settle();
    let mut lab = lab.restarted();
    lab.list("west", &[service("demo/web")], &[]);
    assert!(lab.settle().is_empty());
    lab.list_twice("east", &[], &[]);
    lab.settle();
    assert_eq!(
        lab.service("demo/web")["metadata"]["labels"]["heliograph.dev/source"],
        "west"
    );
}

#[test]
fn an_unmanaged_service_is_unchanged_and_gets_no_slices() {
    let mut lab = Lab::new(vec![same_name("east")]);
    let id = (Resource::Services, ObjectKey::new("demo", "web"));
    let theirs = with(service("demo/web"), "/spec", json!({"type": "ClusterIP"}));
    assert!(lab.cluster.put(&id, theirs).is_empty());
    let before = lab.cluster.objects.clone();
    lab.list(
        "east",
        &[service("demo/web")],
        &[slice("demo/web-1", "web", &["10.0.0.1"])],
    );
    lab.settle();
    assert_eq!(lab.cluster.objects, before);
    assert_eq!(
        lab.problems()[0].to_string(),
        "Service demo/web of source east: not mirrored, because Service demo/web exists here and \
         is not Heliograph's; delete or rename it, or give the source a prefix"
    );
}

#[test]
fn slices_leave_a_service_that_became_somebody_elses() {
    let mut lab = Lab::new(vec![same_name("east")]);
    lab.list(
        "east",
        &[service("demo/web")],
        &[slice("demo/web-1", "web", &["10.0.0.1"])],
    );
    lab.settle();
    lab.remove(Resource::Services, "demo/web");
    let id = (Resource::Services, ObjectKey::new("demo", "web"));
    let theirs = with(service("demo/web"), "/spec", json!({"type": "ClusterIP"}));
    lab.cluster.put(&id, theirs);
    lab.settle();
    assert!(lab.slices().is_empty());
}

#[test]
fn a_list_that_lacks_most_mirrors_is_held_and_then_believed() {
    let mut lab = Lab::new(vec![prefixed("east")]);
    lab.list("east", &many(20), &[]);
    lab.settle();
    lab.pass(10);
    lab.list_services("east", &many(5));
    assert!(lab.settle().is_empty());
    assert_eq!(reasons(&lab), ["DeletionHeld"; 15]);
    lab.delete_service("east", "demo/web-0");
    assert_eq!(lab.settle().len(), 1, "an event is no list");
    lab.pass(69);
    assert!(lab.settle().is_empty());
    lab.pass(70);
    assert!(lab.settle().is_empty(), "time alone is no evidence");
    assert_eq!(lab.doubts(), ["Services of east"]);
    lab.list_services("east", &many(10));
    assert_eq!(
        lab.settle().len(),
        11,
        "web-0 is back, and what both lack goes"
    );
    assert!(lab.problems().is_empty());
}

#[test]
fn held_deletions_wait_for_a_lost_source() {
    let mut lab = Lab::new(vec![prefixed("east")]);
    lab.list("east", &many(20), &[]);
    lab.settle();
    lab.list_services("east", &[]);
    lab.lose("east");
    lab.pass(600);
    lab.reconnect("east");
    assert!(lab.settle().is_empty());
    lab.list_services("east", &many(20));
    assert!(lab.settle().is_empty());
    assert!(lab.problems().is_empty());
}

#[test]
fn an_empty_list_after_a_restart_is_held_too() {
    let mut lab = Lab::new(vec![prefixed("east")]);
    lab.list("east", &many(20), &[]);
    lab.settle();
    let mut lab = lab.restarted();
    lab.list("east", &[], &[]);
    assert!(lab.settle().is_empty());
    lab.list("east", &many(20), &[]);
    assert!(lab.settle().is_empty());
    assert!(lab.problems().is_empty());
}

#[test]
fn a_list_that_lacks_most_slices_is_held() {
    let mut lab = Lab::new(vec![prefixed("east")]);
    let slices: Vec<_> = (0..20)
        .map(|i| {
            let (key, service) = (format!("demo/web-{i}-x"), format!("web-{i}"));
            slice(&key, &service, &["10.0.0.1"])
        })
        .collect();
    lab.list("east", &many(20), &slices);
    lab.settle();
    lab.list_slices("east", &[]);
    assert!(lab.settle().is_empty());
    assert_eq!(reasons(&lab), ["DeletionHeld"; 20]);
    lab.pass(300);
    assert!(lab.settle().is_empty());
    assert_eq!(lab.doubts(), ["EndpointSlices of east"]);
    lab.list_slices("east", &[]);
    assert_eq!(lab.settle().len(), 20);
}

#[test]
fn held_deletions_are_done_at_once_when_they_are_allowed() {
    let release = |it: &mut Value| {
        it["metadata"]["annotations"]["heliograph.dev/allow-deletion"] = json!("true");
    };
    let mut lab = Lab::new(vec![prefixed("east")]);
    let slices: Vec<_> = (0..20)
        .map(|i| {
            slice(
                &format!("demo/web-{i}-x"),
                &format!("web-{i}"),
                &["10.0.0.1"],
            )
        })
        .collect();
    lab.list("east", &many(20), &slices);
    lab.settle();
    lab.list_services("east", &[]);
    assert!(lab.settle().is_empty());
    let mirrors = lab.services();
    lab.edit(Resource::Services, &mirrors[0], release);
    let writes = lab.settle();
    assert_eq!(writes.len(), 2, "the Service and its slice: {writes:?}");
    assert_eq!(lab.services().len(), 19);

    // It is back there, and the word holds for one time only.
    lab.edit(Resource::Services, &mirrors[1], release);
    lab.list_services("east", &many(20));
    lab.settle();
    let annotations = &lab.service(&mirrors[1])["metadata"]["annotations"];
    assert!(
        annotations["heliograph.dev/allow-deletion"].is_null(),
        "{annotations}"
    );

    lab.list_slices("east", &[]);
    assert!(lab.settle().is_empty());
    let held = lab.slices();
    lab.edit(Resource::EndpointSlices, &held[0], release);
    assert_eq!(lab.settle().len(), 1);
}

#[test]
fn a_list_that_nobody_confirmed_adds_and_takes_nothing_away() {
    for is_restarted in [false, true] {
        let mut lab = east_with_web();
        if is_restarted {
            lab = lab.restarted();
        }
        let slices = [slice("demo/api-1", "api", &["10.0.0.9"])];
        lab.list_in_part("east", &[service("demo/api")], &slices);
        let writes = lab.settle();
        assert_eq!(writes.len(), 2, "{writes:?}");
        assert!(writes.iter().all(|it| it.starts_with("create")));
        // Neither time, nor a watch, nor a loss makes it more than it is.
        lab.reconnect("east");
        lab.lose("east");
        lab.wait(3600);
        lab.reconnect("east");
        assert!(lab.settle().is_empty());
        let expected = if is_restarted {
            vec!["ListUnconfirmed"]
        } else {
            // What was known before is known still.
            vec![]
        };
        assert_eq!(reasons(&lab), expected);
        // A confirmed one decides.
        lab.list("east", &[service("demo/api")], &slices);
        assert_eq!(lab.settle().len(), 2);
        assert_eq!(lab.services(), ["mirrors/east-demo-73736d-api"]);
    }
}
