use super::{BURST, INTERVAL, Notice, Pace, RecordKey, Subject, event, name};
use proto_types::ObjectKey;
use reflector_planner::{Cause, LocalKey, Problem};
use serde_json::json;
use tokio::time::Instant;

fn notice(namespace: &str, cause: Cause) -> Notice {
    let key = LocalKey::new(ObjectKey::new(namespace, "east-demo-73736d-web"));
    let problem = Problem {
        source: "east".parse().unwrap(),
        object: ObjectKey::new("demo", "web"),
        cause,
    };
    Notice::of(&problem, &key, Some("u1"))
}

#[test]
fn an_event_says_what_the_log_says_about_the_mirror() {
    let notice = notice("mirrors", Cause::SourceRemoved);
    let event = event(&notice, ("pod-1", None), "2026-01-01T00:00:00.000000Z").unwrap();
    assert_eq!(event["reason"], "SourceRemoved");
    assert_eq!(event["note"], notice.note);
    assert_eq!(
        event["regarding"],
        json!({
            "apiVersion": "v1", "kind": "Service", "namespace": "mirrors",
            "name": "east-demo-73736d-web", "uid": "u1",
        })
    );
}

#[test]
fn an_event_of_a_source_is_about_the_record() {
    let notice = Notice {
        subject: Subject::Source("east".parse().unwrap()),
        reason: "SourceNotFollowed".to_owned(),
        note: "source east is not followed".to_owned(),
        is_warning: false,
    };
    let record = RecordKey {
        namespace: "heliograph".parse().unwrap(),
        name: "sources".to_owned(),
    };
    let event = event(&notice, ("pod-1", Some(&record)), "").unwrap();
    assert_eq!(event["type"], "Normal");
    assert_eq!(event["metadata"]["namespace"], "heliograph");
    assert_eq!(event["regarding"]["kind"], "ConfigMap");
    assert!(super::event(&notice, ("pod-1", None), "").is_none());
}

#[test]
fn the_same_words_about_the_same_object_have_the_same_name() {
    let first = name(&notice("mirrors", Cause::SourceRemoved));
    assert_eq!(first, name(&notice("mirrors", Cause::SourceRemoved)));
    let namespace = "mirrors".into();
    let other = name(&notice("mirrors", Cause::NamespaceMissing { namespace }));
    assert_ne!(first, other);
}

#[test]
fn a_namespace_that_is_none_gets_no_event() {
    let notice = notice("a/../b?x=", Cause::SourceRemoved);
    assert!(event(&notice, ("pod-1", None), "").is_none());
}

#[test]
fn a_long_note_is_cut() {
    let message = "é".repeat(2000).into();
    let local = (proto_types::Resource::Services, ObjectKey::new("m", "w"));
    let notice = notice("mirrors", Cause::Refused { local, message });
    let event = event(&notice, ("pod-1", None), "").unwrap();
    assert!(event["note"].as_str().unwrap().len() <= 1024);
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_then_a_steady_pace() {
    let mut pace = Pace::new();
    let start = Instant::now();
    for _ in 0..BURST {
        pace.wait().await;
    }
    assert_eq!(start.elapsed().as_millis(), 0);
    for _ in 0..4 {
        pace.wait().await;
    }
    assert_eq!(start.elapsed(), INTERVAL * 4);
}
