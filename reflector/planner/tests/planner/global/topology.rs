//! Which endpoints of a global Service are preferred.

use reflector_planner::PolicyRight;
use serde_json::{Value, json};

use super::{collected, global_policy, pods, web};
use crate::lab::Lab;
use crate::object::with;

fn in_zone(slice: Value, zone: Value) -> Value {
    with(slice, "/endpoints/0/zone", zone)
}

fn hints(lab: &Lab, source: &str) -> Value {
    let zones = &lab.slice_of(source)["endpoints"][0]["hints"]["forZones"];
    let zones = zones.as_array().into_iter().flatten();
    zones.map(|it| it["name"].clone()).collect()
}

fn preferring(service: Value, distribution: &str) -> Value {
    with(service, "/spec/trafficDistribution", json!(distribution))
}

#[test]
fn every_endpoint_gets_a_hint_for_its_zone_or_none_does() {
    let mut lab = Lab::of_members();
    lab.list("home", &[], &[]);
    let east = preferring(web(2020), "PreferSameZone");
    let west = preferring(web(2021), "PreferSameZone");
    lab.list(
        "east",
        &[east],
        &[in_zone(pods("10.1.0.1"), json!("theirs"))],
    );
    lab.list(
        "west",
        std::slice::from_ref(&west),
        &[in_zone(pods("10.2.0.1"), json!("b"))],
    );
    lab.settle();
    assert_eq!(hints(&lab, "east"), json!(["ours"]));
    assert_eq!(lab.slice_of("east")["endpoints"][0]["zone"], "ours");
    assert_eq!(hints(&lab, "west"), json!(["b"]));
    lab.apply_slice("west", &in_zone(pods("10.2.0.1"), json!(null)));
    lab.settle();
    assert_eq!(hints(&lab, "east"), json!([]));
    assert_eq!(hints(&lab, "west"), json!([]));
    assert_eq!(lab.settle(), Vec::<String>::new());
}

#[test]
fn a_sources_own_hints_mean_nothing_here() {
    let mut lab = Lab::of_members();
    let hints_there = json!({"forZones": [{"name": "x"}]});
    let pods = with(pods("10.1.0.1"), "/endpoints/0/hints", hints_there);
    lab.list("east", &[web(2020)], &[pods]);
    lab.settle();
    assert_eq!(hints(&lab, "east"), json!([]));
}

#[test]
fn local_endpoints_come_first_where_the_first_member_with_the_right_asks_for_it() {
    let policy = global_policy("home", collected(), &["east", "west"]);
    let mut lab = Lab::global_with(&policy, |it| {
        it.members[0].rights = [PolicyRight::Routing].into();
    });
    let asking = with(web(2020), "/metadata/labels/local-first", json!("yes"));
    lab.list("east", &[asking], &[pods("10.1.0.1")]);
    lab.list("west", &[web(2021)], &[pods("10.2.0.1")]);
    lab.list("home", &[web(2022)], &[pods("10.3.0.1")]);
    lab.settle();
    assert_eq!(hints(&lab, "home"), json!(["a", "b"]));
    assert_eq!(hints(&lab, "east"), json!(["heliograph-elsewhere"]));
    assert_eq!(hints(&lab, "west"), json!(["heliograph-elsewhere"]));
    // It still does after a restart in which nobody can ask it.
    let mut lab = lab.restarted();
    lab.list("west", &[web(2021)], &[pods("10.2.0.1")]);
    lab.list("home", &[web(2022)], &[pods("10.3.0.1")]);
    assert_eq!(lab.settle(), Vec::<String>::new());
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    assert_eq!(hints(&lab, "home"), json!([]));
}

#[test]
fn a_source_without_the_right_does_not_decide_on_routing() {
    let mut lab = Lab::of_members();
    let asking = with(web(2020), "/metadata/labels/local-first", json!("yes"));
    lab.list("east", &[asking], &[pods("10.1.0.1")]);
    lab.list("home", &[web(2022)], &[pods("10.3.0.1")]);
    lab.settle();
    assert_eq!(hints(&lab, "home"), json!([]));
    let asking = with(web(2022), "/metadata/labels/local-first", json!("yes"));
    lab.apply_service("home", &asking);
    lab.settle();
    assert_eq!(hints(&lab, "home"), json!(["a", "b"]));
}

#[test]
fn hints_that_somebody_edits_are_repaired() {
    let mut lab = Lab::of_members();
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    let slice = lab.slices()[0].clone();
    for hints in [
        json!({"forZones": [{"name": "x"}]}),
        json!({"forNodes": [{"name": "n"}]}),
    ] {
        lab.edit(proto_types::Resource::EndpointSlices, &slice, |it| {
            it["endpoints"][0]["hints"] = hints;
        });
        assert_eq!(lab.settle().len(), 1);
    }
}
