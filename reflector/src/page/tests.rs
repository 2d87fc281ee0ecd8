//! Pages of a hostile status, and pages of a large one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proto_types::ObjectKey;
use reflector_planner::inspect::{Count, Found, ListedService, Member};
use runtime::page::Params;

use super::propagation::Propagated;
use super::{html, overview, service};
use crate::status::tests::well;
use crate::status::{FeedStatus, HeldStatus, Mirrors, ProblemStatus, SourceStatus, Status};

/// Text that must never become an element, an attribute or a direction.
const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'&\u{202e}\r\n";

/// Returns a source whose resources are synced, or disconnected with that error.
pub(super) fn source(name: &str, error: Option<&str>) -> SourceStatus {
    let feed = |resource: &str| FeedStatus {
        resource: resource.to_owned(),
        state: "synced".to_owned(),
        objects: 3,
        age_seconds: Some(1),
        last_error: error.map(str::to_owned),
    };
    SourceStatus {
        name: name.to_owned(),
        cluster: None,
        cluster_unknown: None,
        feeds: vec![feed("services"), feed("endpointslices")],
    }
}

/// Returns a status with that many problems.
pub(super) fn status(sources: Vec<SourceStatus>, n_problems: usize) -> Status {
    let problem = |i: usize| ProblemStatus {
        reason: "NameConflict".to_owned(),
        object: format!("demo/s{i}"),
        source: "east".to_owned(),
        message: format!("message {i}"),
    };
    Status {
        problems: (0..n_problems).map(problem).collect(),
        mirrors: Mirrors {
            services: 7,
            slices: 9,
            endpoints: 0,
        },
        ..well(sources)
    }
}

fn page(status: &Status, query: &str) -> String {
    let params = Params::read(query);
    let propagated = Propagated::default();
    let shown = overview::overview(status, &propagated, &params, Timestamp::UNIX_EPOCH);
    html::overview(&shown, &params).parts.into_string()
}

#[track_caller]
fn is_harmless(html: &str) {
    assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
    for bad in ["<script", "<img", "\u{202e}", "\r"] {
        assert!(!html.contains(bad), "{bad:?} in {html}");
    }
}

#[test]
fn hostile_texts_are_shown_as_text() {
    let mut status = status(vec![source(HOSTILE, Some(HOSTILE))], 1);
    status.problems[0] = ProblemStatus {
        reason: HOSTILE.to_owned(),
        object: HOSTILE.to_owned(),
        source: HOSTILE.to_owned(),
        message: HOSTILE.to_owned(),
    };
    status.held = vec![HeldStatus {
        source: HOSTILE.to_owned(),
        resource: HOSTILE.to_owned(),
        deletions: 1,
        reason: HOSTILE.to_owned(),
        until: HOSTILE.to_owned(),
    }];
    status.configuration.notes = vec![HOSTILE.to_owned()];
    is_harmless(&page(&status, ""));
    let query = "reason=%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    is_harmless(&page(&status, query));
}

#[test]
fn hostile_services_are_shown_as_text() {
    let key = ObjectKey::new("demo", HOSTILE);
    let member = Member {
        source: HOSTILE.to_owned(),
        service: key.clone(),
        state: "synced",
        ports: vec![HOSTILE.to_owned()],
        zones: BTreeMap::from([(HOSTILE.to_owned(), Count { ready: 0, total: 1 })]),
        endpoints: vec![endpoint()],
        errors: vec![HOSTILE.to_owned()],
    };
    let html = service::one(&key, &[member], &[]).parts.into_string();
    is_harmless(&html);
    let found = Found {
        services: vec![ListedService {
            service: key,
            sources: vec![HOSTILE.to_owned()],
            endpoints: Count::default(),
            exists: false,
        }],
        page: 1,
        found: 1,
        total: 1,
    };
    let params = Params::read("q=%22%3E%3Cscript%3E");
    let html = service::list(&found, &params).parts.into_string();
    is_harmless(&html);
    assert!(html.contains("href=\"/services/demo/%22%3E%3Cscript%3E"));
}

fn endpoint() -> reflector_planner::slice::Endpoint {
    reflector_planner::slice::Endpoint {
        addresses: Box::new([HOSTILE.into()]),
        ready: Some(false),
        serving: None,
        terminating: Some(true),
        hostname: Some(HOSTILE.into()),
        zone: Some(HOSTILE.into()),
        node: Some(HOSTILE.into()),
        hints: Box::default(),
    }
}

#[test]
fn a_large_status_is_a_small_page() {
    let sources = (0..50).map(|i| source(&format!("s{i}"), None));
    let status = status(sources.collect(), 10_000);
    let html = page(&status, "");
    assert!(html.len() < 40_000, "{}", html.len());
    assert!(html.contains("Show all 10000 problems"), "{html}");
    let all = page(&status, "reason=NameConflict&page=200");
    assert!(all.contains("message 9999") && all.contains("Page 200 of 200"));
    assert!(all.len() < 60_000, "{}", all.len());
}

#[test]
fn held_deletions_have_the_time_that_is_left() {
    let mut status = status(vec![source("east", None)], 0);
    status.held = vec![HeldStatus {
        source: "east".to_owned(),
        resource: "services".to_owned(),
        deletions: 12,
        reason: "the list lacks most".to_owned(),
        until: "1970-01-01T00:10:00Z".to_owned(),
    }];
    let html = page(&status, "");
    assert!(html.contains("12 deletions of services"), "{html}");
    assert!(html.contains("10 min 0 s left"), "{html}");
}
