//! Another configuration for a reflector that runs.

use std::collections::HashSet;

use proto_types::{ObjectKey, Resource};
use reflector_planner::{Policy, RemovedSources, SourcePolicy};
use serde_json::json;

use crate::lab::{Lab, name, policy, prefixed, same_name};
use crate::object::{service, slice, with};

/// Two sources with a mirror each.
fn east_and_west() -> Lab {
    let mut lab = Lab::new(vec![prefixed("east"), prefixed("west")]);
    for (source, address) in [("east", "10.0.0.1"), ("west", "10.0.0.2")] {
        let slices = [slice("demo/web-1", "web", &[address])];
        lab.list(source, &[service("demo/web")], &slices);
    }
    assert_eq!(lab.settle().len(), 4);
    lab
}

fn becomes(lab: &mut Lab, sources: Vec<SourcePolicy>) {
    reconfigure(lab, policy(sources), &[]);
}

fn reconfigure(lab: &mut Lab, policy: Policy, anew: &[&str]) {
    let anew: HashSet<_> = anew.iter().map(|it| name(it)).collect();
    lab.reconfigure(policy, &anew);
}

fn reasons(lab: &Lab) -> Vec<&'static str> {
    let problems = lab.problems();
    problems.iter().map(|it| it.cause.reason()).collect()
}

#[test]
fn the_same_again_writes_nothing() {
    let mut lab = east_and_west();
    becomes(&mut lab, vec![prefixed("east"), prefixed("west")]);
    assert!(lab.settle().is_empty());
    becomes(&mut lab, vec![prefixed("west"), prefixed("east")]);
    assert!(lab.settle().is_empty(), "the order only decides conflicts");
}

#[test]
fn a_source_that_is_added_disturbs_no_other() {
    let mut lab = east_and_west();
    becomes(
        &mut lab,
        vec![prefixed("north"), prefixed("east"), prefixed("west")],
    );
    assert!(lab.settle().is_empty());
    lab.list("north", &[service("demo/web")], &[]);
    assert_eq!(
        lab.settle(),
        ["create Service mirrors/north-demo-73736d-web"]
    );
    lab.delete_service("west", "demo/web");
    assert_eq!(lab.settle().len(), 2, "those before are still known");
}

#[test]
fn the_treatment_of_a_removed_sources_mirrors_is_a_setting() {
    let mut lab = east_and_west();
    becomes(&mut lab, vec![prefixed("west")]);
    assert!(lab.settle().is_empty());
    assert_eq!(reasons(&lab), ["SourceRemoved"]);
    lab.list_services("east", &[]);
    assert!(lab.settle().is_empty(), "nobody listens to it any more");

    let mut delete = policy(vec![prefixed("west")]);
    delete.removed_sources = RemovedSources::Delete;
    reconfigure(&mut lab, delete, &[]);
    assert_eq!(lab.settle().len(), 2);
    assert!(reasons(&lab).is_empty());
    assert_eq!(lab.services(), ["mirrors/west-demo-73736d-web"]);
}

#[test]
fn a_source_that_comes_back_takes_its_mirrors_up_again() {
    let mut lab = east_and_west();
    becomes(&mut lab, vec![prefixed("west")]);
    lab.settle();
    becomes(&mut lab, vec![prefixed("west"), prefixed("east")]);
    assert!(lab.settle().is_empty());
    assert!(reasons(&lab).is_empty());
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    assert!(lab.settle().is_empty());
    lab.list_twice("east", &[], &[]);
    assert_eq!(lab.settle().len(), 2);
}

#[test]
fn the_former_list_of_a_source_does_not_count_for_another_selector() {
    let mut lab = east_and_west();
    let same = policy(vec![prefixed("east"), prefixed("west")]);
    reconfigure(&mut lab, same, &["east"]);
    assert!(lab.settle().is_empty());
    lab.list_slices("east", &[]);
    assert!(lab.settle().is_empty(), "the Service is not known yet");
    lab.list_twice("east", &[], &[]);
    assert_eq!(lab.settle().len(), 2);
}

#[test]
fn another_place_is_taken_at_once() {
    let mut lab = east_and_west();
    becomes(&mut lab, vec![same_name("east"), prefixed("west")]);
    lab.settle();
    assert_eq!(lab.services(), ["demo/web", "mirrors/west-demo-73736d-web"]);
    assert_eq!(lab.slices().len(), 2);
}

/// Somebody else's Service in the local cluster.
fn occupy(lab: &mut Lab, key: &str) {
    let key = ObjectKey::parse(key).unwrap();
    let theirs = with(
        service(key.as_str()),
        "/spec",
        json!({"type": "ClusterIP", "ports": []}),
    );
    lab.cluster.put(&(Resource::Services, key), theirs);
}

#[test]
fn a_mirror_stays_until_the_one_with_its_new_name_exists() {
    let mut lab = east_and_west();
    occupy(&mut lab, "demo/web");
    becomes(&mut lab, vec![same_name("east"), prefixed("west")]);
    lab.settle();
    let old = "mirrors/east-demo-73736d-web";
    assert_eq!(
        lab.services(),
        ["demo/web", old, "mirrors/west-demo-73736d-web"]
    );
    assert_eq!(reasons(&lab), ["AlreadyExists"]);
    // It is kept as it should be, also after a restart.
    lab.apply_slice("east", &slice("demo/web-1", "web", &["10.0.0.7"]));
    let writes = lab.settle();
    let update = "update EndpointSlice mirrors/web-1-ylxdtwla6s".to_owned();
    assert!(writes.contains(&update), "{writes:?}");
    let mut lab = lab.restarted();
    let slices = [slice("demo/web-1", "web", &["10.0.0.8"])];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    assert!(lab.services().contains(&old.to_owned()));
    assert_eq!(lab.slices().len(), 2);
    // The place becomes free.
    let key = ObjectKey::parse("demo/web").unwrap();
    lab.cluster
        .objects
        .remove(&(Resource::Services, key.clone()));
    lab.retry(&key);
    lab.settle();
    assert_eq!(lab.services(), ["demo/web", "mirrors/west-demo-73736d-web"]);
    assert_eq!(lab.slices().len(), 2);
    // And when its Service goes, so does what waits.
    let mut lab = east_and_west();
    occupy(&mut lab, "demo/web");
    becomes(&mut lab, vec![same_name("east"), prefixed("west")]);
    lab.settle();
    lab.delete_service("east", "demo/web");
    lab.settle();
    assert_eq!(lab.services(), ["demo/web", "mirrors/west-demo-73736d-web"]);
}

#[test]
fn sources_may_swap_their_prefixes() {
    let mut lab = east_and_west();
    let swapped = |source: &str, other: &str| SourcePolicy {
        name: name(source),
        ..prefixed(other)
    };
    let before = lab.services();
    becomes(
        &mut lab,
        vec![swapped("east", "west"), swapped("west", "east")],
    );
    lab.settle();
    assert_eq!(lab.services(), before);
    for (key, source) in before.iter().zip(["west", "east"]) {
        let labels = &lab.service(key)["metadata"]["labels"];
        assert_eq!(labels["heliograph.dev/source"], source);
    }
    assert_eq!(lab.slices().len(), 2);
}

#[test]
fn the_silence_of_a_new_source_begins_with_it() {
    let mut lab = east_and_west();
    becomes(&mut lab, vec![prefixed("west")]);
    lab.pass(7200);
    let mut east = prefixed("east");
    east.staleness.drop_after = Some(std::time::Duration::from_mins(1));
    becomes(&mut lab, vec![east, prefixed("west")]);
    assert!(lab.settle().is_empty());
    lab.wait(61);
    assert_eq!(lab.settle().len(), 1);
}

#[test]
fn a_mirror_says_which_cluster_its_source_is() {
    let mut lab = east_and_west();
    let cluster = |lab: &Lab| {
        let east = name("east");
        let clusters = lab.index.clusters_of(&east);
        clusters.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(cluster(&lab).is_empty());
    lab.identify("east", "uid-1");
    assert_eq!(
        lab.settle(),
        ["update Service mirrors/east-demo-73736d-web"]
    );
    assert_eq!(cluster(&lab), ["uid-1"]);

    // Whoever does not know it does not take it away.
    let mut lab = lab.restarted();
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    assert!(lab.settle().is_empty());
    lab.identify("east", "uid-1");
    assert!(lab.settle().is_empty());
    lab.identify("east", "uid-2");
    assert_eq!(lab.settle().len(), 1);
    assert_eq!(cluster(&lab), ["uid-2"]);
}
