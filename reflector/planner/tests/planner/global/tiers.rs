//! Which clusters serve a global Service, and which stand by.

use std::collections::HashSet;
use std::time::Duration;

use reflector_planner::{GlobalPlacement, Policy, PolicyRight};
use serde_json::{Value, json};

use super::web;
use crate::lab::Lab;
use crate::object::{slice, with};

/// Four endpoints, of which so many are ready.
fn pods(net: u8, n_ready: usize) -> Value {
    let addresses: Vec<_> = (1..5).map(|i| format!("10.{net}.0.{i}")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let mut slice = slice("demo/web-1", "web", &addresses);
    for i in n_ready..4 {
        slice["endpoints"][i]["conditions"]["ready"] = json!(false);
    }
    slice
}

fn asking(order: &str, min: &str) -> Value {
    let service = with(
        web(2020),
        "/metadata/annotations/heliograph.dev~1failover",
        json!(order),
    );
    with(
        service,
        "/metadata/annotations/heliograph.dev~1failover-min",
        json!(min),
    )
}

fn n_ready(lab: &Lab, source: &str) -> usize {
    let endpoints = lab.slice_of(source)["endpoints"].as_array().unwrap();
    let ready = endpoints
        .iter()
        .filter(|it| it["conditions"]["ready"] == true);
    ready.count()
}

fn serving(lab: &Lab) -> [usize; 3] {
    ["home", "east", "west"].map(|it| n_ready(lab, it))
}

/// Home serves first, then east, then west.
fn lab(min: &str) -> Lab {
    let mut lab = Lab::of_members();
    lab.list("home", &[asking("local, east", min)], &[pods(1, 4)]);
    lab.list("east", &[web(2021)], &[pods(2, 4)]);
    lab.list("west", &[web(2022)], &[pods(3, 4)]);
    lab.settle();
    lab
}

#[test]
fn the_first_cluster_that_suffices_serves_and_later_ones_stand_by() {
    let mut lab = lab("2");
    assert_eq!(serving(&lab), [4, 0, 0]);
    lab.apply_slice("home", &pods(1, 1));
    lab.settle();
    assert_eq!(serving(&lab), [1, 4, 0], "what is ready goes on serving");
    lab.apply_slice("east", &pods(2, 0));
    lab.settle();
    assert_eq!(serving(&lab), [1, 0, 4]);
    lab.apply_slice("west", &pods(3, 1));
    lab.settle();
    assert_eq!(serving(&lab), [1, 0, 1], "all are thin, and all serve");
    assert_eq!(lab.reasons(), Vec::<String>::new());
}

#[test]
fn a_source_without_the_right_decides_on_its_own_traffic_alone() {
    let mut lab = Lab::of_members();
    lab.list("east", &[asking("east", "1")], &[pods(2, 4)]);
    lab.list("home", &[web(2021)], &[pods(1, 4)]);
    lab.list("west", &[web(2022)], &[pods(3, 4)]);
    lab.settle();
    assert_eq!(serving(&lab), [4, 4, 4], "all serve");
    assert_eq!(lab.reasons(), ["east PolicyNotAllowed"]);
    let policy = lab.index.policy();
    let mut global = policy.global().unwrap().clone();
    global.members[0].rights = [PolicyRight::Failover].into();
    let policy = Policy::new(Vec::new()).unwrap().with_global(global);
    lab.reconfigure(policy.unwrap(), &HashSet::new());
    lab.settle();
    lab.wait(100);
    lab.settle();
    assert_eq!(serving(&lab)[1], 4);
    assert_eq!(lab.reasons(), Vec::<String>::new());
}

#[test]
fn a_threshold_may_be_a_share() {
    let mut lab = lab("75%");
    lab.apply_slice("home", &pods(1, 3));
    lab.settle();
    assert_eq!(serving(&lab), [3, 0, 0]);
    lab.apply_slice("home", &pods(1, 2));
    lab.settle();
    assert_eq!(serving(&lab), [2, 4, 0]);
}

#[test]
fn the_way_back_waits_and_then_takes_steps() {
    let mut lab = lab("1");
    lab.apply_slice("home", &pods(1, 0));
    lab.settle();
    assert_eq!(serving(&lab), [0, 4, 0]);
    lab.apply_slice("home", &pods(1, 4));
    lab.settle();
    assert_eq!(serving(&lab), [4, 4, 0]);
    for (seconds, expected) in [(29, 4), (1, 3), (9, 3), (1, 2), (10, 1), (10, 0)] {
        lab.wait(seconds);
        lab.settle();
        assert_eq!(serving(&lab), [4, expected, 0]);
    }
    lab.wait(100);
    assert_eq!(lab.settle(), Vec::<String>::new());
}

/// The wait is 30 s, and the way back takes 30 s.
#[test]
fn each_cluster_is_waited_for_by_a_clock_of_its_own() {
    let mut lab = lab("1");
    lab.apply_slice("home", &pods(1, 0));
    lab.apply_slice("east", &pods(2, 0));
    lab.settle();
    assert_eq!(serving(&lab), [0, 0, 4]);
    lab.pass(100);
    lab.apply_slice("east", &pods(2, 4));
    lab.settle();
    assert_eq!(serving(&lab), [0, 4, 4]);
    // Home is ready while west is on its way out for east's sake.
    lab.pass(141);
    lab.apply_slice("home", &pods(1, 4));
    lab.settle();
    assert_eq!(serving(&lab)[..2], [4, 4]);
    lab.pass(161);
    lab.settle();
    assert_eq!(
        serving(&lab),
        [4, 4, 0],
        "home has been ready for 20 s only"
    );
    lab.pass(172);
    lab.settle();
    assert_eq!(serving(&lab), [4, 3, 0]);
    lab.pass(202);
    lab.settle();
    assert_eq!(serving(&lab), [4, 0, 0]);
}

#[test]
fn a_cluster_that_has_just_recovered_is_not_believed_for_the_sake_of_another() {
    let mut lab = lab("1");
    lab.apply_slice("home", &pods(1, 0));
    lab.apply_slice("east", &pods(2, 0));
    lab.settle();
    lab.pass(100);
    lab.apply_slice("east", &pods(2, 4));
    lab.settle();
    // East fails again, and home takes its place, of which nothing is known yet.
    lab.pass(120);
    lab.apply_slice("home", &pods(1, 4));
    lab.apply_slice("east", &pods(2, 0));
    lab.settle();
    lab.pass(145);
    lab.settle();
    assert_eq!(serving(&lab), [4, 0, 4]);
    lab.pass(151);
    lab.settle();
    assert_eq!(serving(&lab), [4, 0, 3]);
}

#[test]
fn a_relapse_begins_the_wait_anew() {
    let mut lab = lab("1");
    lab.apply_slice("home", &pods(1, 0));
    lab.settle();
    lab.apply_slice("home", &pods(1, 4));
    lab.settle();
    lab.wait(35);
    lab.settle();
    assert_eq!(serving(&lab), [4, 3, 0]);
    lab.apply_slice("home", &pods(1, 0));
    lab.settle();
    assert_eq!(serving(&lab), [0, 4, 0]);
    lab.apply_slice("home", &pods(1, 4));
    lab.settle();
    lab.wait(29);
    lab.settle();
    assert_eq!(serving(&lab), [4, 4, 0]);
}

#[test]
fn unknown_clusters_and_values_are_told_and_the_rest_counts() {
    let mut lab = Lab::of_members();
    lab.list("home", &[asking("mars, local", "some")], &[pods(1, 4)]);
    lab.list("east", &[web(2021)], &[pods(2, 4)]);
    lab.list("west", &[], &[]);
    lab.settle();
    assert_eq!([n_ready(&lab, "home"), n_ready(&lab, "east")], [4, 0]);
    assert_eq!(
        lab.reasons(),
        [
            "home UnknownFailoverCluster",
            "home InvalidFailoverThreshold"
        ]
    );
}

#[test]
fn a_restart_with_nobody_to_ask_changes_nothing() {
    let mut lab = lab("1").restarted();
    assert_eq!(lab.settle(), Vec::<String>::new());
    lab.list("east", &[web(2021)], &[pods(2, 4)]);
    assert_eq!(lab.settle(), Vec::<String>::new());
}

/// After a restart, since which some cannot be asked.
fn restarted() -> Lab {
    let mut lab = lab("1").restarted();
    assert_eq!(lab.settle(), NOTHING);
    lab
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_standby_cluster_serves_after_a_restart_though_it_is_disconnected() {
    let mut lab = restarted();
    lab.list("home", &[asking("local, east", "1")], &[pods(1, 4)]);
    lab.list("west", &[web(2022)], &[pods(3, 4)]);
    assert_eq!(lab.settle(), NOTHING);
    lab.apply_slice("home", &pods(1, 0));
    lab.settle();
    assert_eq!(serving(&lab), [0, 4, 0]);
    assert_eq!(lab.settle(), NOTHING);
    // Nor does another restart change that.
    let mut lab = lab.restarted();
    lab.list("home", &[asking("local, east", "1")], &[pods(1, 0)]);
    lab.list("west", &[web(2022)], &[pods(3, 4)]);
    assert_eq!(lab.settle(), NOTHING);
    // It goes back as it does else.
    lab.apply_slice("home", &pods(1, 4));
    lab.settle();
    assert_eq!(serving(&lab), [4, 4, 0]);
    for (seconds, expected) in [(29, 4), (1, 3), (10, 2), (20, 0)] {
        lab.wait(seconds);
        lab.settle();
        assert_eq!(serving(&lab), [4, expected, 0]);
    }
    lab.list("east", &[web(2021)], &[pods(2, 4)]);
    assert_eq!(lab.settle(), NOTHING);
}

#[test]
fn disconnected_clusters_serve_too_if_none_meets_the_threshold() {
    let mut lab = restarted();
    lab.list("home", &[asking("local, east", "5")], &[pods(1, 1)]);
    lab.settle();
    assert_eq!(serving(&lab), [1, 4, 4]);
    lab.list("east", &[web(2021)], &[pods(2, 0)]);
    lab.settle();
    assert_eq!(serving(&lab), [1, 0, 4]);
}

#[test]
fn services_that_are_heard_before_their_slices_change_nothing() {
    let mut lab = restarted();
    for (source, service) in [
        ("home", asking("local, east", "1")),
        ("east", web(2021)),
        ("west", web(2022)),
    ] {
        lab.list_services(source, &[service]);
        assert_eq!(lab.settle(), NOTHING, "{source}");
    }
    for (net, source) in (1..).zip(["west", "east", "home"]) {
        lab.list_slices(source, &[pods(4 - net, 4)]);
        assert_eq!(lab.settle(), NOTHING, "{source}");
    }
}

/// Home's own Service is under the name of the global one, so that nothing is published of it.
fn same_name() -> Lab {
    Lab::global("home", GlobalPlacement::SameName, &["east"])
}

#[test]
fn endpoints_that_are_not_listed_yet_are_not_taken_for_none() {
    let services = |lab: &mut Lab| {
        lab.list_services("home", &[asking("here, east", "1")]);
        lab.list("east", &[web(2021)], &[pods(2, 4)]);
    };
    let mut lab = same_name();
    services(&mut lab);
    lab.list_slices("home", &[pods(1, 4)]);
    lab.settle();
    assert_eq!(n_ready(&lab, "east"), 0);

    // After a restart, home's slices come last.
    let mut lab = lab.restarted();
    services(&mut lab);
    assert_eq!(lab.settle(), NOTHING);
    lab.wait(29);
    assert_eq!(lab.settle(), NOTHING);
    lab.list_slices("home", &[pods(1, 4)]);
    assert_eq!(lab.settle(), NOTHING);

    // They do not come at all.
    let mut lab = lab.restarted();
    services(&mut lab);
    lab.wait(29);
    assert_eq!(lab.settle(), NOTHING);
    lab.wait(1);
    lab.settle();
    assert_eq!(n_ready(&lab, "east"), 4, "unknown blocks not for ever");

    // Nor does what serves cease to, while nothing is known.
    let mut lab = lab.restarted();
    services(&mut lab);
    assert_eq!(lab.settle(), NOTHING);
    lab.list_slices("home", &[pods(1, 0)]);
    assert_eq!(lab.settle(), NOTHING);
}

#[test]
fn a_cluster_that_was_silent_too_long_does_not_serve_from_memory() {
    let policy = lab("1").index.policy().clone();
    let mut global = policy.global().unwrap().clone();
    for member in &mut global.members {
        member.staleness.not_ready_after = Some(Duration::from_secs(60));
    }
    let policy = Policy::new(Vec::new()).unwrap();
    let policy = policy.with_global(global).unwrap();
    let mut lab = lab("1");
    lab.reconfigure(policy, &HashSet::new());
    let mut lab = lab.restarted();
    lab.list("home", &[asking("local, east", "1")], &[pods(1, 0)]);
    lab.list("west", &[web(2022)], &[pods(3, 4)]);
    lab.settle();
    assert_eq!(serving(&lab), [0, 4, 0]);
    lab.wait(61);
    lab.settle();
    assert_eq!(serving(&lab), [0, 0, 4]);
    assert_eq!(lab.reasons(), ["east StaleEndpointsNotReady"]);
}
