//! Tables at several sizes: what is seen in, lines out.

use bytes::Bytes;
use jiff::Timestamp;
use proto_types::{RawObject, Resource};
use reflector::status::Status;
use runtime::{Event, Listing};
use serde_json::{Value, json};

use super::plain::{Told, summary};
use super::*;
use crate::playground_view::{Moment, ViewUpdate};

const WHY: &str = "cannot watch services: no connection: Connection refused";

fn at(seconds: u64) -> Moment {
    let time = Timestamp::from_second(1_000_000).unwrap();
    Moment {
        elapsed: Duration::from_secs(seconds),
        time: time + Duration::from_millis(250),
    }
}

fn service(source: &str, name: &str) -> Value {
    json!({
        "metadata": {
            "name": format!("{source}-demo-73736d-{name}"), "namespace": "mirrors",
            "resourceVersion": "7", "labels": {"heliograph.dev/source": source},
            "annotations": {"heliograph.dev/source-service": format!("demo/{name}")},
        },
    })
}

fn slice(source: &str, name: &str, ready: &[bool]) -> Value {
    let mut slice = service(source, name);
    let changed = Timestamp::from_second(1_000_000).unwrap().to_string();
    slice["metadata"]["annotations"]["endpoints.kubernetes.io/last-change-trigger-time"] =
        json!(changed);
    let endpoints = ready
        .iter()
        .map(|ready| json!({"addresses": ["10.1.0.1"], "conditions": {"ready": ready}}));
    slice["endpoints"] = endpoints.collect();
    slice
}

fn object(resource: Resource, object: &Value) -> RawObject {
    RawObject::parse(resource, &Bytes::from(object.to_string())).unwrap()
}

fn listed(resource: Resource, objects: &[Value]) -> ViewUpdate {
    let objects = objects
        .iter()
        .map(|it| super::tests::object(resource, it))
        .collect();
    let revision = "7".parse().unwrap();
    ViewUpdate::Mirrors(
        resource,
        Event::Listed(Listing::confirmed(revision, objects)),
    )
}

fn status(sources: &[(&str, Option<&str>)], problems: &[&str]) -> ViewUpdate {
    let feeds = |why: Option<&str>| {
        let state = if why.is_some() { "stale" } else { "synced" };
        json!([
            {"resource": "services", "state": state, "objects": 2, "ageSeconds": 3, "lastError": why},
            {"resource": "endpointslices", "state": "synced", "objects": 2, "ageSeconds": 1},
        ])
    };
    let sources = sources
        .iter()
        .map(|(name, why)| json!({"name": name, "resources": feeds(*why)}));
    let problems = problems.iter().map(|message| {
        json!({
            "reason": "NameTooLong", "object": "demo/x", "source": "east", "message": message,
        })
    });
    let status = json!({
        "sources": sources.collect::<Vec<_>>(), "problems": problems.collect::<Vec<_>>(),
        "mirrors": {"services": 0, "endpointSlices": 0}, "queueDepth": 0, "leader": true,
    });
    ViewUpdate::Status(Ok(serde_json::from_value::<Status>(status).unwrap()))
}

/// Two sources, one of which is lost; a mirror each, and one that has just gone.
fn picture() -> PlaygroundView {
    let mut picture = PlaygroundView::default();
    let services = [
        service("east", "web"),
        service("west", "web"),
        service("west", "old"),
    ];
    picture.apply(listed(Resource::Services, &services), at(0));
    picture.apply(
        listed(Resource::EndpointSlices, &[slice("east", "web", &[true])]),
        at(0),
    );
    let changed = object(
        Resource::EndpointSlices,
        &slice("west", "web", &[true, false]),
    );
    picture.apply(
        ViewUpdate::Mirrors(Resource::EndpointSlices, Event::Applied(changed)),
        at(5),
    );
    let gone = object(Resource::Services, &service("west", "old"));
    picture.apply(
        ViewUpdate::Mirrors(Resource::Services, Event::Deleted(gone)),
        at(6),
    );
    picture.apply(
        status(
            &[("east", Some(WHY)), ("west", None)],
            &["demo/x is too long"],
        ),
        at(7),
    );
    picture
}

fn look() -> Look {
    Look {
        page: Page::Overview,
        chosen: 0,
        note: "east: its emitter is stopped".to_owned(),
        elapsed: Duration::from_secs(67),
        clusters: "embedded",
    }
}

#[track_caller]
fn screen(picture: &PlaygroundView, look: &Look, columns: usize, rows: usize) -> Vec<String> {
    let advice = [Advice {
        line: "kubectl get services".to_owned(),
        shows: "Services".to_owned(),
    }];
    let lines = draw(picture, &advice, look, Size { columns, rows });
    assert_eq!(lines.len(), rows, "as many lines as the screen has");
    let lines: Vec<_> = lines.iter().map(Line::text).collect();
    for line in &lines {
        assert!(width(line) <= columns, "{columns}: {line:?}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    lines
}

#[test]
fn a_screen_shows_sources_reasons_and_changes() {
    let shown = screen(&picture(), &look(), 100, 20);
    let expected = "\
Heliograph playground  2 sources, 2 mirror Services here, embedded clusters, 1:07

  SOURCE  STATE   EXPORTED  MIRRORED  READY   LAST CONTACT  NEWEST CHANGE
> east    stale   2         1         1 of 1  3s ago        -
    not followed; mirrors stay as they are, trying again: cannot watch services: no connection: Con…
  west    synced  2         1         1 of 2  3s ago        took 250 ms

SKIPPED OR ALTERED, AND WHY
  NameTooLong: demo/x is too long

LAST CHANGES HERE
    61s ago  west demo/old went, and its mirror with it
    62s ago  west demo/web has 2 endpoints, 1 ready





east: its emitter is stopped
s stop h hang c corrupt e empty a API b heal  t try q quit";
    assert_eq!(shown.join("\n"), expected);
}

#[test]
fn every_size_shows_something_of_everything_or_says_why_not() {
    let mut picture = picture();
    let names: Vec<_> = (0..60).map(|i| format!("c{i:02}")).collect();
    let sources: Vec<_> = names.iter().map(|it| (it.as_str(), Some(WHY))).collect();
    picture.apply(status(&sources, &["a \u{1b}[2Jreason "; 40]), at(8));
    for (columns, rows) in [(60, 16), (61, 17), (80, 24), (100, 50), (300, 100)] {
        for chosen in [0, 30, 59] {
            let shown = screen(&picture, &Look { chosen, ..look() }, columns, rows).join("\n");
            for part in [
                &format!("> c{chosen:02}"),
                "not followed; mirrors stay",
                "NameTooLong",
                "s ago  west",
                "s stop",
            ] {
                assert!(
                    shown.contains(part),
                    "{columns} x {rows}: no {part} in\n{shown}"
                );
            }
        }
    }
    for (columns, rows) in [(59, 40), (100, 15), (20, 3), (1, 1), (0, 0), (0, 9)] {
        let shown = screen(&picture, &look(), columns, rows).join(" ");
        assert!(columns < 20 || shown.contains("the terminal"), "{shown}");
    }
}

#[test]
fn a_terminal_that_is_too_small_is_told_so() {
    assert_eq!(SMALLEST.lack(), None);
    assert_eq!(
        Size {
            columns: 40,
            rows: 50
        }
        .lack()
        .unwrap(),
        "the terminal has 40 columns and 50 lines, and the view needs 60 and 16; make it larger"
    );
}

#[test]
fn lines_to_try_are_whole() {
    let shown = screen(
        &picture(),
        &Look {
            page: Page::Advice,
            ..look()
        },
        60,
        16,
    );
    assert_eq!(shown[2..4], ["# Services", "kubectl get services"]);
}

#[test]
fn wide_names_stay_in_their_columns() {
    let mut picture = PlaygroundView::default();
    picture.apply(status(&[("日本", None), ("east", None)], &[]), at(0));
    let shown = screen(&picture, &look(), 80, 16);
    let column = |line: &str| width(&line[..line.find("synced").unwrap()]);
    assert_eq!(column(&shown[3]), column(&shown[4]));
}

#[test]
fn plain_lines_say_the_same() {
    let expected = "\
2 sources, 2 mirror Services here
SOURCE  STATE   EXPORTED  MIRRORED  READY   LAST CONTACT  NEWEST CHANGE
east    stale   2         1         1 of 1  3s ago        -
west    synced  2         1         1 of 2  3s ago        took 250 ms
Source east is not followed; mirrors stay as they are, trying again: cannot watch services: no connection: Connection refused
NameTooLong: demo/x is too long
";
    assert_eq!(summary(&picture()), expected);
}

#[test]
fn plain_lines_tell_only_what_is_new() {
    let (mut told, mut picture) = (Told::default(), picture());
    assert!(
        told.news(&picture, Duration::from_secs(1))
            .contains("at 0:01: 2 sources")
    );
    assert_eq!(told.news(&picture, Duration::from_secs(2)), "");
    picture.apply(status(&[("east", None), ("west", None)], &[]), at(8));
    assert_eq!(
        told.news(&picture, Duration::from_secs(3)),
        "east is synced\nno longer: NameTooLong, Service demo/x of source east\n"
    );
    assert!(
        told.news(&picture, Duration::from_secs(12))
            .contains("at 0:12: 2 sources")
    );
}

#[test]
fn a_reflector_that_is_silent_is_told() {
    let mut picture = picture();
    picture.apply(
        ViewUpdate::Status(Err("connection refused".to_owned())),
        at(9),
    );
    let shown = screen(&picture, &look(), 120, 20);
    assert!(
        shown[0].ends_with("the reflector: connection refused"),
        "{}",
        shown[0]
    );
    assert!(summary(&picture).contains("does not say how it is: connection refused"));
}
