//! Global Services while sources cannot be asked.

use super::{GLOBAL, collected, global_policy, pods, web, with_port};
use crate::lab::Lab;
use reflector_planner::RemovedSources;
use serde_json::json;

fn two_ports() -> serde_json::Value {
    let ports = json!([
        {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080},
        {"name": "metrics", "protocol": "TCP", "port": 90, "targetPort": 9090},
    ]);
    crate::object::with(web(2020), "/spec/ports", ports)
}

/// East has a port that west has not.
fn settled() -> Lab {
    let mut lab = Lab::of_members();
    lab.list("home", &[], &[]);
    lab.list("east", &[two_ports()], &[pods("10.1.0.1")]);
    lab.list(
        "west",
        &[with_port(web(2021), "http", 80)],
        &[pods("10.2.0.1")],
    );
    lab.settle();
    lab
}

#[test]
fn a_restart_with_a_source_that_cannot_be_asked_changes_nothing() {
    let mut lab = settled().restarted();
    lab.lose("east");
    lab.list("home", &[], &[]);
    lab.list("west", &[web(2021)], &[pods("10.2.0.1")]);
    assert_eq!(lab.settle(), Vec::<String>::new());
    assert_eq!(lab.members_here(), ["east", "west"]);
}

#[test]
fn the_last_state_of_a_disconnected_member_counts_when_others_change() {
    let mut lab = settled().restarted();
    lab.list("home", &[], &[]);
    // West means something else by a name that is east's, whom nobody can ask.
    lab.list(
        "west",
        &[with_port(web(2021), "metrics", 91)],
        &[pods("10.2.0.1")],
    );
    lab.settle();
    let ports = lab.service(GLOBAL)["spec"]["ports"].clone();
    assert_eq!(ports.as_array().unwrap().len(), 2);
    assert_eq!(ports[1]["port"], 90);
    assert_eq!(lab.reasons(), ["west PortConflict"]);
}

#[test]
fn the_last_known_member_may_go_while_another_may_live() {
    let mut lab = settled().restarted();
    lab.list("home", &[], &[]);
    lab.list_twice("west", &[], &[]);
    lab.settle();
    assert_eq!(lab.services(), [GLOBAL]);
    assert_eq!(lab.members_here(), ["east"]);
    lab.list_twice("east", &[], &[]);
    lab.settle();
    assert_eq!(lab.services(), Vec::<String>::new());
}

#[test]
fn a_service_whose_members_all_went_meanwhile_goes_when_all_were_asked() {
    let mut lab = settled().restarted();
    lab.list_twice("west", &[], &[]);
    lab.list_twice("east", &[], &[]);
    lab.settle();
    assert_eq!(lab.services(), [GLOBAL], "home was not asked");
    lab.list("home", &[], &[]);
    lab.settle();
    assert_eq!(lab.services(), Vec::<String>::new());
}

#[test]
fn a_source_that_is_lost_keeps_its_part() {
    let mut lab = settled();
    lab.lose("east");
    lab.lose("west");
    assert_eq!(lab.settle(), Vec::<String>::new());
    lab.delete_service("west", "demo/web");
    lab.settle();
    assert_eq!(lab.services(), [GLOBAL]);
}

#[test]
fn a_service_here_that_is_deleted_comes_back_with_what_is_known() {
    let mut lab = settled();
    lab.lose("east");
    lab.remove(proto_types::Resource::Services, GLOBAL);
    lab.settle();
    assert_eq!(
        lab.service(GLOBAL)["spec"]["ports"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_member_that_cannot_be_read_keeps_its_part() {
    let mut lab = settled();
    let garbage = crate::object::with(web(2020), "/spec/ports", json!("none"));
    lab.apply_service("east", &garbage);
    assert_eq!(lab.settle(), Vec::<String>::new());
    assert_eq!(lab.reasons(), ["east InvalidSourceObject"]);
}

#[test]
fn a_source_that_is_not_configured_keeps_its_part_unless_it_may_go() {
    let cluster = settled().cluster;
    let policy = global_policy("home", collected(), &["west"]);
    let start = |policy, cluster| {
        let mut lab = Lab::over(cluster, policy);
        lab.role = reflector_planner::Role::Member;
        lab.list("home", &[], &[]);
        lab.list("west", &[web(2021)], &[pods("10.2.0.1")]);
        lab
    };
    let mut lab = start(policy.clone(), cluster);
    assert_eq!(lab.settle(), Vec::<String>::new());
    assert_eq!(lab.reasons(), ["east SourceRemoved"]);
    let mut policy = policy;
    policy.removed_sources = RemovedSources::Delete;
    let mut lab = start(policy, lab.cluster);
    lab.settle();
    assert_eq!(lab.members_here(), ["west"]);
    assert_eq!(
        lab.service(GLOBAL)["spec"]["ports"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_list_that_lacks_too_much_is_held() {
    let mut lab = Lab::of_members();
    lab.list("home", &[], &[]);
    lab.list("west", &[], &[]);
    let services: Vec<_> = (0..20)
        .map(|i| crate::object::service(&format!("demo/s{i}")))
        .collect();
    lab.list_services("east", &services);
    lab.list_slices("east", &[]);
    lab.settle();
    assert_eq!(lab.services().len(), 20);
    lab.list_services("east", &[]);
    lab.settle();
    assert_eq!(lab.services().len(), 20);
    assert_eq!(lab.reasons()[0], "east DeletionHeld");
    lab.wait(60);
    lab.settle();
    assert_eq!(lab.services().len(), 20, "time alone is no evidence");
    assert_eq!(lab.doubts(), ["Services of east"]);
    lab.list_services("east", &[]);
    lab.settle();
    assert_eq!(lab.services().len(), 0);
}

#[test]
fn a_member_whose_list_lacks_most_keeps_its_part_and_so_does_one_in_a_flood_of_events() {
    let names: Vec<_> = (0..8).map(|i| format!("web-{i}")).collect();
    let year = json!("2021-01-01T00:00:00Z");
    let service = |it: &String| {
        let service = crate::object::service(&format!("demo/{it}"));
        crate::object::with(service, "/metadata/creationTimestamp", year.clone())
    };
    let slice = |it: &String| crate::object::slice(&format!("demo/{it}-1"), it, &["10.1.0.1"]);
    let services: Vec<_> = names.iter().map(service).collect();
    let slices: Vec<_> = names.iter().map(slice).collect();
    for by_list in [true, false] {
        let mut lab = Lab::of_members();
        lab.list("home", &[], &[]);
        lab.list("west", &[], &[]);
        lab.list("east", &services, &slices);
        lab.settle();
        if by_list {
            lab.list("east", &[], &[]);
        } else {
            for name in &names {
                lab.delete_service("east", &format!("demo/{name}"));
                lab.delete_slice("east", &format!("demo/{name}-1"));
            }
        }
        assert_eq!(lab.settle(), Vec::<String>::new(), "{by_list}");
        assert!(lab.reasons().iter().all(|it| it == "east DeletionHeld"));
        lab.list_twice("east", &[], &[]);
        lab.settle();
        assert_eq!(lab.services(), Vec::<String>::new());
    }
}
