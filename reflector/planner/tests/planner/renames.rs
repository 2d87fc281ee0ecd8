//! Sources that are configured under another name, where `removedSources: delete` would
//! delete what is theirs.

use std::collections::HashSet;

use proto_types::Resource;
use reflector_planner::{GlobalPlacement, Policy, RemovedSources, SourcePolicy};
use serde_json::Value;

use crate::global::{collected, global_policy, pods, web};
use crate::lab::{Lab, name, policy, prefixed, same_name};
use crate::object::{service, slice};

const NOTHING: [&str; 0] = [];

fn deleting(sources: Vec<SourcePolicy>) -> Policy {
    let mut policy = policy(sources);
    policy.removed_sources = RemovedSources::Delete;
    policy
}

fn becomes(lab: &mut Lab, policy: Policy) {
    lab.reconfigure(policy, &HashSet::new());
}

fn services() -> [Value; 3] {
    ["demo/web", "demo/api", "demo/db"].map(service)
}

fn slices() -> [Value; 3] {
    ["web", "api", "db"].map(|it| slice(&format!("demo/{it}-1"), it, &["10.0.0.1"]))
}

/// East with three Services, and west with one.
fn east_and_west(sources: [SourcePolicy; 2]) -> Lab {
    let mut lab = Lab::over(crate::cluster::Cluster::default(), deleting(sources.into()));
    lab.identify("east", "uid-east");
    lab.identify("west", "uid-west");
    lab.list("east", &services(), &slices());
    lab.list("west", &[service("demo/other")], &[]);
    assert_eq!(lab.settle().len(), 7);
    lab
}

/// UIDs of all Services in the local cluster: who has one has its cluster IP.
fn uids(lab: &Lab) -> Vec<(String, Value)> {
    let uid = |it: &String| lab.service(it)["metadata"]["uid"].clone();
    let services = lab.services();
    services.iter().map(|it| (it.clone(), uid(it))).collect()
}

fn orient_with_prefix_of_east() -> SourcePolicy {
    SourcePolicy {
        name: name("orient"),
        ..prefixed("east")
    }
}

#[test]
fn a_renamed_source_keeps_its_mirrors_though_removed_ones_are_deleted() {
    let mut lab = east_and_west([prefixed("east"), prefixed("west")]);
    let before = uids(&lab);
    let renamed = deleting(vec![orient_with_prefix_of_east(), prefixed("west")]);
    becomes(&mut lab, renamed);
    assert_eq!(lab.settle(), NOTHING, "orient is not listed yet");
    assert_eq!(lab.reasons(), ["east SourceMayBeRenamed"; 3]);
    // It cannot be reached, for however long; nor does another list, or a restart, help.
    lab.lose_source("orient");
    lab.wait(3600);
    lab.list("west", &[service("demo/other")], &[]);
    assert_eq!(lab.settle(), NOTHING);
    let mut lab = lab.restarted();
    lab.list("west", &[service("demo/other")], &[]);
    lab.identify("orient", "uid-east");
    assert_eq!(lab.settle(), NOTHING);
    lab.list("orient", &services(), &slices());
    lab.settle();
    assert_eq!(uids(&lab), before);
    assert_eq!(lab.slices().len(), 3);
    assert_eq!(lab.reasons(), NOTHING);
}

#[test]
fn a_renamed_source_whose_list_is_empty_loses_nothing_at_once() {
    let mut lab = east_and_west([prefixed("east"), prefixed("west")]);
    becomes(
        &mut lab,
        deleting(vec![orient_with_prefix_of_east(), prefixed("west")]),
    );
    lab.identify("orient", "uid-east");
    lab.list("orient", &[], &[]);
    assert_eq!(lab.settle(), NOTHING);
    assert_eq!(lab.reasons(), ["east DeletionHeld"; 3]);
    lab.wait(60);
    assert_eq!(lab.doubts(), ["Services of orient"]);
    lab.list("orient", &[service("demo/web")], &[]);
    lab.settle();
    assert_eq!(
        lab.services(),
        [
            "mirrors/east-demo-73736d-web",
            "mirrors/west-demo-73736d-other"
        ]
    );
}

#[test]
fn another_prefix_makes_other_mirrors_before_the_former_ones_go() {
    let mut lab = east_and_west([prefixed("east"), prefixed("west")]);
    becomes(
        &mut lab,
        deleting(vec![prefixed("orient"), prefixed("west")]),
    );
    lab.identify("orient", "uid-east");
    lab.list_services("orient", &services());
    let writes = lab.settle();
    assert!(
        writes.iter().all(|it| it.starts_with("create")),
        "{writes:?}"
    );
    assert_eq!(lab.services().len(), 7, "its slices are not listed yet");
    lab.list_slices("orient", &slices());
    lab.settle();
    assert_eq!(lab.services().len(), 4);
    assert_eq!(lab.slices().len(), 3);

    // A name that is taken is none: what was there stays.
    let mut lab = east_and_west([prefixed("east"), prefixed("west")]);
    let key = proto_types::ObjectKey::new("mirrors", "orient-demo-73736d-web");
    let mut foreign = service("mirrors/orient-demo-73736d-web");
    foreign["spec"]["clusterIP"] = serde_json::json!("10.9.9.1");
    lab.cluster.put(&(Resource::Services, key), foreign);
    becomes(
        &mut lab,
        deleting(vec![prefixed("orient"), prefixed("west")]),
    );
    lab.identify("orient", "uid-east");
    lab.list("orient", &services(), &slices());
    lab.settle();
    let left = lab.services();
    assert!(
        left.contains(&"mirrors/east-demo-73736d-web".to_owned()),
        "{left:?}"
    );
    assert_eq!(left.len(), 5);
}

#[test]
fn a_source_that_is_really_removed_goes_when_all_others_are_listed() {
    let mut lab = east_and_west([prefixed("east"), prefixed("west")]);
    becomes(&mut lab, deleting(vec![prefixed("west")]));
    assert_eq!(lab.settle().len(), 6, "west is another cluster");

    // After a restart west says by its mirrors that it is another one.
    let lab = east_and_west([prefixed("east"), prefixed("west")]);
    let mut lab = Lab::over(lab.cluster, deleting(vec![prefixed("west")]));
    assert_eq!(lab.settle().len(), 6);

    // Of north nothing is known.
    let lab = east_and_west([prefixed("east"), prefixed("west")]);
    let mut lab = Lab::over(
        lab.cluster,
        deleting(vec![prefixed("west"), prefixed("north")]),
    );
    assert_eq!(lab.settle(), NOTHING);
    lab.list_services("north", &[]);
    assert_eq!(lab.settle(), NOTHING, "its slices may be late");
    lab.list_slices("north", &[]);
    assert_eq!(lab.settle().len(), 6);
}

#[test]
fn no_claim_takes_the_name_of_a_source_that_may_be_renamed() {
    let mut lab = east_and_west([same_name("east"), same_name("west")]);
    lab.list("west", &services(), &slices());
    lab.settle();
    let before = uids(&lab);
    becomes(
        &mut lab,
        deleting(vec![same_name("orient"), same_name("west")]),
    );
    assert_eq!(lab.settle(), NOTHING);
    lab.identify("orient", "uid-east");
    lab.list("orient", &services(), &slices());
    lab.settle();
    assert_eq!(uids(&lab), before);
    let labels = |lab: &Lab| lab.service("demo/web")["metadata"]["labels"].clone();
    assert_eq!(labels(&lab)["heliograph.dev/source"], "orient");
    // Who comes later does.
    becomes(
        &mut lab,
        deleting(vec![same_name("west"), same_name("north")]),
    );
    lab.settle();
    assert_eq!(labels(&lab)["heliograph.dev/source"], "west");
}

#[test]
fn a_renamed_member_keeps_its_part_until_it_is_listed() {
    for placement in [collected(), GlobalPlacement::SameName] {
        let mut lab = Lab::global("home", placement.clone(), &["east"]);
        lab.list("home", &[], &[]);
        lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
        lab.settle();
        let before = uids(&lab);
        let mut renamed = global_policy("home", placement, &["orient"]);
        renamed.removed_sources = RemovedSources::Delete;
        becomes(&mut lab, renamed);
        lab.settle();
        assert_eq!(lab.members_here(), ["east"]);
        assert_eq!(lab.reasons(), ["east SourceMayBeRenamed"]);
        let mut lab = lab.restarted();
        lab.list("home", &[], &[]);
        lab.list_services("orient", &[web(2020)]);
        lab.settle();
        assert_eq!(lab.members_here(), ["east"]);
        lab.list_slices("orient", &[pods("10.1.0.1")]);
        lab.settle();
        assert_eq!(lab.members_here(), ["orient"]);
        assert_eq!(uids(&lab), before);
        assert_eq!(lab.reasons(), NOTHING);
    }
}
