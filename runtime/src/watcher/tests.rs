use std::time::Duration;

use proto_types::evidence::Ruling;
use proto_types::{LabelSelector, Resource};

use super::{Event, FailureCause, Limits, Listing, Scope, Watcher};
use crate::mock_server::{Answer, MockServer, Then};

mod evidence;
mod failing;
mod guarded;
mod polling;
mod records;
mod relisting;
mod watching;

/// Short delays; watches hold after 200 ms.
fn limits() -> Limits {
    Limits {
        first_delay: Duration::from_millis(10),
        longest_delay: Duration::from_millis(40),
        shortest_watch: Duration::from_millis(200),
        ..Limits::default()
    }
}

/// The same, but no watch of a test holds.
fn patient() -> Limits {
    Limits {
        shortest_watch: Duration::from_secs(60),
        ..limits()
    }
}

fn list(revision: u64, items: &[&str]) -> Answer {
    page(revision, items, "")
}

fn page(revision: u64, items: &[&str], token: &str) -> Answer {
    let items = items.join(",");
    Answer::ok(format!(
        r#"{{"kind":"ServiceList","apiVersion":"v1","metadata":{{"resourceVersion":"{revision}","continue":"{token}"}},"items":[{items}]}}"#
    ))
}

fn item(name: &str, revision: u64) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"ns","uid":"u","resourceVersion":"{revision}"}},"spec":{{}}}}"#
    )
}

fn event(event_type: &str, name: &str, revision: u64) -> String {
    let item = item(name, revision);
    let rest = item.strip_prefix('{').unwrap();
    format!(
        "{{\"type\":\"{event_type}\",\"object\":{{\"kind\":\"Service\",\"apiVersion\":\"v1\",{rest}}}\n"
    )
}

fn bookmark(revision: u64) -> String {
    format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{{\"resourceVersion\":\"{revision}\"}}}}}}\n"
    )
}

fn error(status: &str) -> String {
    format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n")
}

const EXPIRED: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","code":410}"#;

fn gone() -> Answer {
    Answer::refusal("410 Gone", EXPIRED)
}

fn stream(chunks: &[&str], then: Then) -> Answer {
    Answer::stream(chunks, then)
}

fn services() -> Scope {
    Scope {
        resource: Resource::Services.names(),
        namespace: None,
        selector: LabelSelector::default(),
    }
}

async fn reader(server: &MockServer, limits: Limits) -> Watcher {
    let client = crate::connect(&server.access(), "test").await.unwrap();
    Watcher::new(client, services(), limits)
}

async fn next(reader: &mut Watcher) -> Event {
    tokio::time::timeout(Duration::from_secs(10), reader.next())
        .await
        .expect("an event should have come")
}

/// Follows a server that answers so, and compares what the watcher said, and what it asked for.
async fn check(answers: Vec<Answer>, events: &[&str], requests: &[&str]) {
    check_within(limits(), answers, events, requests).await;
}

async fn check_within(limits: Limits, answers: Vec<Answer>, events: &[&str], requests: &[&str]) {
    let server = MockServer::start(answers).await;
    let mut reader = reader(&server, limits).await;
    let mut said = Vec::new();
    for _ in events {
        said.push(in_short(&next(&mut reader).await));
    }
    assert_eq!(said, events);
    let asked: Vec<_> = server.requests().iter().map(|it| asked(it)).collect();
    assert_eq!(asked, requests);
}

/// `list`, `list continue=x`, `watch >7` or `state`.
fn asked(head: &str) -> String {
    let (path, query) = target(head).split_once('?').unwrap_or((target(head), ""));
    if path == "/api/v1/namespaces/kube-system" {
        return "state".to_owned();
    }
    assert_eq!(path, "/api/v1/services");
    let mut short = "list".to_owned();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "watch" => short = "watch".to_owned(),
            "resourceVersion" if short == "watch" => short += &format!(" >{value}"),
            "limit" => short += &format!(" limit={value}"),
            "continue" => short += &format!(" continue={value}"),
            "allowWatchBookmarks" => assert_eq!(value, "true"),
            "timeoutSeconds" => assert!((240..=300).contains(&value.parse().unwrap())),
            _ => panic!("unexpected {name}"),
        }
    }
    short
}

fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

fn in_short(event: &Event) -> String {
    match event {
        Event::Listed(Listing {
            revision,
            objects,
            ruling,
            ..
        }) => {
            let objects: Vec<_> = objects.iter().map(|it| it.key.name()).collect();
            let ruling = match ruling {
                Ruling::Replace => String::new(),
                Ruling::Rewound => " rewound".to_owned(),
                other => format!(" {other:?}"),
            };
            format!("listed {revision} [{}]{ruling}", objects.join(" "))
        }
        Event::Applied(object) => format!("applied {} {}", object.key.name(), object.revision),
        Event::Deleted(object) => format!("deleted {} {}", object.key.name(), object.revision),
        Event::Progress(revision) => format!("progress {revision}"),
        Event::Connected => "connected".to_owned(),
        Event::Failed(failure) => format!("failed: {failure}"),
    }
}

async fn failure(answers: Vec<Answer>, limits: Limits) -> super::Failure {
    let server = MockServer::start(answers).await;
    let mut reader = reader(&server, limits).await;
    loop {
        if let Event::Failed(failure) = next(&mut reader).await {
            return failure;
        }
    }
}

#[test]
fn a_reader_may_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Watcher>();
    is_send::<FailureCause>();
}
