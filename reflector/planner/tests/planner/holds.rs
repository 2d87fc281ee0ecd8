//! Deletions that a source causes in mass, by lists and by watch events.

use reflector_planner::import::Ports;
use serde_json::{Value, json};

use crate::lab::{Lab, prefixed, same_name};
use crate::object::{service, slice, with};
use crate::silence::impatient;

const NOTHING: [&str; 0] = [];

fn many(n: usize) -> Vec<Value> {
    (0..n).map(|i| service(&format!("demo/web-{i}"))).collect()
}

/// A slice for each, with that letter in its name, and an address of that network.
fn slices(n: usize, letter: &str, net: u8) -> Vec<Value> {
    let nth = |i: usize| {
        let (key, service) = (format!("demo/web-{i}-{letter}"), format!("web-{i}"));
        slice(&key, &service, &[&format!("10.{net}.0.{}", i + 1)])
    };
    (0..n).map(nth).collect()
}

/// East, with so many Services and a slice each.
fn east(n: usize) -> Lab {
    let mut lab = Lab::new(vec![prefixed("east")]);
    lab.list("east", &many(n), &slices(n, "a", 0));
    lab.settle();
    lab
}

fn reasons(lab: &Lab) -> Vec<&'static str> {
    let problems = lab.problems();
    problems.iter().map(|it| it.cause.reason()).collect()
}

/// Addresses of all slices in the local cluster.
fn addresses(lab: &Lab) -> Vec<String> {
    let all = lab.index.local().slices();
    let endpoints = all.flat_map(|(_, it)| &it.shows.as_ref().unwrap().spec.endpoints);
    let mut all: Vec<_> = endpoints.map(|it| it.addresses[0].to_string()).collect();
    all.sort();
    all
}

fn delete(lab: &mut Lab, i: usize) {
    lab.delete_service("east", &format!("demo/web-{i}"));
    lab.delete_slice("east", &format!("demo/web-{i}-a"));
}

#[test]
fn an_empty_list_is_held_however_little_there_was() {
    for n in [1, 3, 10, 20] {
        let mut lab = east(n);
        lab.list("east", &[], &[]);
        assert_eq!(lab.settle(), NOTHING, "{n}");
        assert_eq!(reasons(&lab), vec!["DeletionHeld"; n]);
        lab.wait(60);
        assert_eq!(lab.settle(), NOTHING, "time alone is no evidence");
        assert_eq!(
            lab.doubts(),
            ["Services of east", "EndpointSlices of east"],
            "{n}"
        );
        lab.list("east", &[], &[]);
        assert_eq!(lab.settle().len(), 2 * n);
        assert_eq!(reasons(&lab), NOTHING);
    }
}

#[test]
fn a_few_events_in_a_row_delete_at_once_and_so_does_the_only_one() {
    for n in 1..=5 {
        let mut lab = east(n);
        for i in 0..n {
            delete(&mut lab, i);
            assert_eq!(lab.settle().len(), 2, "{i} of {n}");
        }
        assert_eq!(lab.services(), NOTHING);
    }
    let mut lab = east(1);
    lab.apply_service(
        "east",
        &with(
            service("demo/web-0"),
            "/metadata/labels/heliograph.dev~1source",
            json!("x"),
        ),
    );
    assert_eq!(lab.settle().len(), 2, "it is not exported any more");
}

#[test]
fn a_burst_of_events_that_deletes_most_is_held_as_a_whole() {
    for n in [6, 20] {
        let mut lab = east(n);
        for i in 0..n {
            delete(&mut lab, i);
        }
        assert_eq!(lab.settle(), NOTHING, "{n}");
        assert_eq!(reasons(&lab), vec!["DeletionHeld"; n]);
        let said = lab.problems()[0].to_string();
        assert!(
            said.contains("the source deleted more than half of what is mirrored"),
            "{said}"
        );
        // By its name in the source, which has it no more.
        let original = proto_types::ObjectKey::new("demo", "web-1");
        let explained = reflector_planner::explain(&lab.index, &original);
        assert_eq!(explained.len(), 1, "{explained:?}");
        assert!(explained[0].objects[0].exists, "{explained:?}");
        assert_eq!(explained[0].problems.len(), 1, "{explained:?}");
        lab.wait(60);
        assert_eq!(lab.doubts()[0], "Services of east");
        lab.list("east", &[], &[]);
        assert_eq!(lab.settle().len(), 2 * n);
    }
}

#[test]
fn events_one_by_one_delete_no_more_than_half() {
    let mut lab = east(20);
    for i in 0..20 {
        delete(&mut lab, i);
        lab.settle();
        lab.wait(1);
    }
    assert_eq!(lab.services().len(), 10);
    // What is back is not held, and what is not is.
    lab.apply_service("east", &service("demo/web-19"));
    lab.settle();
    assert_eq!(reasons(&lab).len(), 10, "9 Services and the slice of one");
}

#[test]
fn deletions_over_a_long_time_are_no_mass() {
    let mut lab = east(20);
    for i in 0..20 {
        delete(&mut lab, i);
        assert_eq!(lab.settle().len(), 2, "{i}");
        lab.wait(120);
    }
}

#[test]
fn a_refusal_in_mass_is_held_as_a_deletion_is() {
    // By events, and by a list.
    for by_list in [false, true] {
        let mut policy = prefixed("east");
        policy.import.ports = Ports::new(vec!["80".parse().unwrap()]);
        let mut lab = Lab::new(vec![policy]);
        lab.list("east", &many(8), &slices(8, "a", 0));
        lab.settle();
        let closed = many(8).into_iter();
        let closed: Vec<_> = closed
            .map(|it| with(it, "/spec/ports/0/port", json!(81)))
            .collect();
        if by_list {
            lab.list_services("east", &closed);
        } else {
            closed.iter().for_each(|it| lab.apply_service("east", it));
        }
        assert_eq!(lab.settle(), NOTHING, "{by_list}");
        lab.list_services("east", &closed);
        assert_eq!(lab.settle(), NOTHING, "not before the hold is over");
        lab.wait(60);
        assert_eq!(lab.doubts(), ["Services of east"]);
        lab.list_services("east", &closed);
        assert_eq!(lab.settle().len(), 16);
    }
}

#[test]
fn slices_that_are_replaced_in_mass_go_at_once() {
    for by_list in [true, false] {
        let mut lab = east(12);
        let anew = slices(12, "b", 9);
        if by_list {
            lab.list_slices("east", &anew);
        } else {
            for (i, slice) in anew.iter().enumerate() {
                lab.delete_slice("east", &format!("demo/web-{i}-a"));
                lab.apply_slice("east", slice);
            }
        }
        lab.settle();
        let moved: Vec<_> = addresses(&lab);
        assert!(moved.iter().all(|it| it.starts_with("10.9.")), "{moved:?}");
        assert_eq!(lab.slices().len(), 12);
        assert_eq!(reasons(&lab), NOTHING);
    }
}

#[test]
fn a_list_that_lacks_the_endpoints_of_most_services_keeps_those_alone() {
    let mut lab = east(12);
    let mut anew = slices(12, "b", 9);
    anew.truncate(5);
    lab.list_slices("east", &anew);
    lab.settle();
    assert_eq!(reasons(&lab), ["DeletionHeld"; 7]);
    let kept: Vec<_> = addresses(&lab);
    assert_eq!(kept.len(), 12);
    let moved = kept.iter().filter(|it| it.starts_with("10.9.")).count();
    assert_eq!(moved, 5, "{kept:?}");
    // The others come too.
    lab.list_slices("east", &slices(12, "b", 9));
    lab.settle();
    let moved = addresses(&lab);
    assert!(moved.iter().all(|it| it.starts_with("10.9.")), "{moved:?}");
}

#[test]
fn a_service_without_endpoints_keeps_none_that_it_had() {
    let mut lab = east(12);
    let empty: Vec<_> = (0..12)
        .map(|i| slice(&format!("demo/web-{i}-b"), &format!("web-{i}"), &[]))
        .collect();
    lab.list_slices("east", &empty);
    lab.settle();
    assert_eq!(addresses(&lab), Vec::<String>::new());
}

fn endpoints(n: usize, is_empty: bool) -> Vec<Value> {
    let nth = |i: usize| {
        let subsets = json!([{
            "addresses": [{"ip": format!("10.0.0.{}", i + 1)}],
            "ports": [{"name": "http", "port": 8080}],
        }]);
        json!({
            "kind": "Endpoints", "apiVersion": "v1",
            "metadata": {
                "name": format!("web-{i}"), "namespace": "demo", "uid": "u",
                "resourceVersion": "1",
            },
            "subsets": if is_empty { json!([]) } else { subsets },
        })
    };
    (0..n).map(nth).collect()
}

/// East, which has Endpoints and no slices.
fn with_endpoints(n: usize) -> Lab {
    let mut lab = Lab::new(vec![prefixed("east")]);
    lab.list_services("east", &many(n));
    lab.list_endpoints("east", &endpoints(n, false));
    lab.settle();
    assert_eq!(addresses(&lab).len(), n);
    lab
}

#[test]
fn slices_in_place_of_endpoints_are_no_deletion() {
    let mut lab = with_endpoints(12);
    lab.list_slices("east", &slices(12, "a", 9));
    lab.settle();
    let moved = addresses(&lab);
    assert_eq!(moved.len(), 12);
    assert!(moved.iter().all(|it| it.starts_with("10.9.")), "{moved:?}");
}

#[test]
fn endpoints_that_are_empty_are_known_and_those_that_lack_are_held() {
    let mut lab = with_endpoints(12);
    lab.list_endpoints("east", &endpoints(12, true));
    lab.settle();
    assert_eq!(addresses(&lab), Vec::<String>::new());

    let mut lab = with_endpoints(12);
    lab.list_endpoints("east", &[]);
    assert_eq!(lab.settle(), NOTHING);
    assert_eq!(reasons(&lab), ["DeletionHeld"; 12]);
}

#[test]
fn endpoints_that_are_held_age_with_their_source() {
    let mut lab = Lab::new(vec![impatient()]);
    lab.list("east", &many(8), &slices(8, "a", 0));
    lab.settle();
    lab.list_slices("east", &[]);
    lab.lose("east");
    assert_eq!(lab.settle(), NOTHING);
    lab.wait(20);
    lab.settle();
    assert_eq!(addresses(&lab), Vec::<String>::new());
}

#[test]
fn services_that_return_before_their_slices_keep_their_endpoints() {
    let mut lab = east(8);
    for i in 0..8 {
        delete(&mut lab, i);
    }
    lab.list("east", &[], &[]);
    assert_eq!(lab.settle(), NOTHING);
    lab.list_services("east", &many(8));
    assert_eq!(lab.settle(), NOTHING);
    lab.list_slices("east", &slices(8, "a", 0));
    assert_eq!(lab.settle(), NOTHING);
    assert_eq!(reasons(&lab), NOTHING);
}

#[test]
fn one_source_holds_nothing_of_another() {
    let mut lab = Lab::new(vec![prefixed("east"), prefixed("west")]);
    for source in ["east", "west"] {
        lab.list(source, &many(8), &slices(8, "a", 0));
    }
    lab.settle();
    lab.list("east", &[], &[]);
    assert_eq!(lab.settle(), NOTHING);
    lab.delete_service("west", "demo/web-0");
    assert_eq!(lab.settle().len(), 2);
}

#[test]
fn mirrors_that_a_configuration_denies_are_deleted_at_once() {
    let mut lab = Lab::new(vec![same_name("east")]);
    lab.list("east", &many(8), &[]);
    lab.settle();
    let mut policy = same_name("east");
    policy.import.names.deny = vec!["web-*".parse().unwrap()];
    let policy = crate::lab::policy(vec![policy]);
    lab.reconfigure(policy, &std::collections::HashSet::new());
    assert_eq!(lab.settle().len(), 8);
}

#[test]
fn every_deletion_may_wait_for_another_list() {
    let mut policy = crate::lab::policy(vec![prefixed("east")]);
    policy.confirm_deletions = true;
    let mut lab = Lab::over(crate::cluster::Cluster::default(), policy);
    lab.list("east", &many(4), &slices(4, "a", 0));
    lab.settle();
    // By an event, by a list, and by one that was wrong.
    lab.delete_service("east", "demo/web-0");
    assert_eq!(lab.settle(), NOTHING);
    assert_eq!(reasons(&lab), ["DeletionHeld"]);
    lab.wait(1);
    assert_eq!(lab.doubts(), ["Services of east"], "it does not wait long");
    lab.list_services("east", &many(4)[1..]);
    assert_eq!(lab.settle().len(), 2);
    lab.list_services("east", &many(4)[2..]);
    assert_eq!(lab.settle(), NOTHING);
    lab.wait(1);
    assert_eq!(lab.doubts(), ["Services of east"]);
    lab.list_services("east", &many(4)[1..]);
    assert_eq!(lab.settle(), NOTHING);
    assert_eq!(reasons(&lab), NOTHING);
    // A mass is held as long as ever.
    lab.delete_service("east", "demo/web-1");
    lab.list("east", &[], &[]);
    assert_eq!(lab.settle(), NOTHING);
    lab.wait(59);
    assert_eq!(lab.doubts(), NOTHING);
    lab.wait(1);
    assert_eq!(lab.doubts(), ["Services of east", "EndpointSlices of east"]);
}
