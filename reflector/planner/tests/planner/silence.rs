//! What becomes of endpoints while their source is silent.

use std::time::Duration;

use proto_types::Resource;

use reflector_planner::{SourcePolicy, Staleness, StalenessOf, Update, UpstreamContact};
use serde_json::json;

use crate::lab::{Lab, prefixed};
use crate::object::{service, slice};

const WEB: &str = "mirrors/east-demo-73736d-web";

/// East's endpoints are not ready after 10 s of silence, and go after 20 s.
pub(crate) fn impatient() -> SourcePolicy {
    SourcePolicy {
        staleness: Staleness {
            not_ready_after: Some(Duration::from_secs(10)),
            drop_after: Some(Duration::from_secs(20)),
        },
        ..prefixed("east")
    }
}

fn list(lab: &mut Lab) {
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
}

fn with_web(policy: SourcePolicy) -> Lab {
    let mut lab = Lab::new(vec![policy]);
    list(&mut lab);
    lab.settle();
    lab
}

#[track_caller]
fn check(lab: &mut Lab, seconds: u64, n_writes: usize, reasons: &[&str]) {
    lab.pass(seconds);
    assert_eq!(lab.settle().len(), n_writes);
    let problems = lab.problems();
    let found: Vec<_> = problems.iter().map(|it| it.cause.reason()).collect();
    assert_eq!(found, reasons);
}

#[test]
fn a_silent_source_is_published_as_not_ready_and_then_without_endpoints() {
    let mut lab = with_web(impatient());
    lab.pass(5);
    lab.lose("east");
    check(&mut lab, 9, 0, &[]);
    check(&mut lab, 10, 1, &["StaleEndpointsNotReady"]);
    let conditions = &lab.slice()["endpoints"][0]["conditions"];
    assert_eq!(conditions["ready"], json!(false));
    assert_eq!(conditions["serving"], json!(false));
    assert_eq!(
        lab.problems()[0].to_string(),
        "Service demo/web of source east: its endpoints are published as not ready, because the \
         source has not been heard for 10s (notReadyAfter); they become ready again when it is \
         heard"
    );
    check(&mut lab, 20, 1, &["StaleEndpointsRemoved"]);
    assert_eq!(lab.slice()["endpoints"], json!([]));
    assert_eq!(lab.services(), [WEB]);

    lab.reconnect("east");
    check(&mut lab, 21, 1, &[]);
    assert_eq!(
        lab.slice()["endpoints"][0]["addresses"],
        json!(["10.0.0.1"])
    );
    assert_ne!(
        lab.slice()["endpoints"][0]["conditions"]["ready"],
        json!(false)
    );
}

#[test]
fn by_default_endpoints_are_kept_however_long_the_silence() {
    let mut lab = with_web(prefixed("east"));
    lab.lose("east");
    check(&mut lab, 1_000_000, 0, &[]);
}

#[test]
fn a_source_that_is_followed_may_have_nothing_to_say() {
    let mut lab = with_web(impatient());
    check(&mut lab, 1_000, 0, &[]);
    lab.end("east");
    check(&mut lab, 1_009, 0, &[]);
    check(&mut lab, 1_010, 1, &["StaleEndpointsNotReady"]);
}

#[test]
fn endpoints_age_behind_an_emitter_that_lives() {
    let mut lab = with_web(impatient());
    lab.pass(100);
    let contact = |lab: &mut Lab, contact| {
        lab.update(Update::Upstream(crate::lab::name("east"), contact));
        // The emitter itself is heard all the time.
        lab.reconnect("east");
    };
    // Its API server was last heard 4 s ago.
    contact(&mut lab, UpstreamContact::LostFor(Duration::from_secs(4)));
    check(&mut lab, 105, 0, &[]);
    contact(&mut lab, UpstreamContact::LostFor(Duration::from_secs(9)));
    check(&mut lab, 106, 1, &["StaleEndpointsNotReady"]);
    check(&mut lab, 116, 1, &["StaleEndpointsRemoved"]);
    contact(&mut lab, UpstreamContact::Connected);
    check(&mut lab, 117, 1, &[]);
}

#[test]
fn some_services_age_otherwise_also_after_a_restart() {
    let keeps = StalenessOf {
        services: vec!["demo/db*".parse().unwrap()],
        staleness: Staleness::default(),
    };
    let goes = StalenessOf {
        services: vec!["demo/api".parse().unwrap()],
        staleness: Staleness {
            not_ready_after: None,
            drop_after: Some(Duration::from_secs(5)),
        },
    };
    let policy = SourcePolicy {
        staleness_of: vec![keeps, goes],
        ..impatient()
    };
    let mut lab = Lab::new(vec![policy]);
    let names = ["api", "db", "web"];
    let services = names.map(|it| service(&format!("demo/{it}")));
    let slices = names.map(|it| slice(&format!("demo/{it}-1"), it, &["10.0.0.1"]));
    lab.list("east", &services, &slices);
    lab.settle();
    lab.lose("east");
    check(&mut lab, 5, 1, &["StaleEndpointsRemoved"]);
    let mut lab = lab.restarted();
    check(&mut lab, 4, 0, &[]);
    check(
        &mut lab,
        10,
        1,
        &["StaleEndpointsRemoved", "StaleEndpointsNotReady"],
    );
    check(
        &mut lab,
        20,
        1,
        &["StaleEndpointsRemoved", "StaleEndpointsRemoved"],
    );
    let db = lab
        .cluster
        .objects
        .iter()
        .find(|((_, key), _)| key.name().starts_with("db-1"));
    assert_eq!(
        db.unwrap().1["endpoints"][0]["addresses"],
        json!(["10.0.0.1"])
    );
}

#[test]
fn endpoints_from_before_a_restart_age_too() {
    let mut lab = with_web(impatient()).restarted();
    check(&mut lab, 9, 0, &[]);
    check(&mut lab, 10, 1, &["StaleEndpointsNotReady"]);
    check(&mut lab, 20, 1, &["StaleEndpointsRemoved"]);
    list(&mut lab);
    check(&mut lab, 21, 1, &[]);
}

#[test]
fn one_resource_that_is_not_heard_is_enough() {
    let mut lab = with_web(impatient());
    lab.lose("east");
    lab.list_services("east", &[service("demo/web")]);
    check(&mut lab, 10, 1, &["StaleEndpointsNotReady"]);
}

#[test]
fn a_service_here_that_is_deleted_comes_back_with_what_is_published() {
    let mut lab = with_web(impatient());
    lab.lose("east");
    check(&mut lab, 20, 1, &["StaleEndpointsRemoved"]);
    let published = lab.slice()["metadata"]["name"].as_str().unwrap().to_owned();
    lab.remove(Resource::Services, WEB);
    lab.remove(Resource::EndpointSlices, &format!("mirrors/{published}"));
    check(&mut lab, 21, 2, &["StaleEndpointsRemoved"]);
    assert_eq!(lab.slice()["endpoints"], json!([]));
}
