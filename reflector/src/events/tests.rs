use super::event::{event, name};
use super::{
    BURST, EventRecorder, EventWriter, INTERVAL, MUTE, ProblemEvent, RecordKey, Subject,
    WriteInterval, announcements,
};
use crate::leader_election::Leadership;
use crate::metrics::Metrics;
use proto_types::ObjectKey;
use reflector_planner::{MirrorKey, Problem, ProblemCause};
use serde_json::json;
use tokio::time::Instant;

fn notice(namespace: &str, cause: ProblemCause) -> ProblemEvent {
    let key = MirrorKey::new(ObjectKey::new(namespace, "east-demo-73736d-web"));
    let problem = Problem {
        source: "east".parse().unwrap(),
        object: ObjectKey::new("demo", "web"),
        cause,
    };
    ProblemEvent::of(&problem, &key, Some("u1"))
}

#[test]
fn an_event_says_what_the_log_says_about_the_mirror() {
    let notice = notice("mirrors", ProblemCause::SourceRemoved);
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
    let notice = ProblemEvent {
        subject: Subject::Source("east".parse().unwrap()),
        reason: "SourceNotFollowed".to_owned(),
        note: "source east is not followed".to_owned(),
        is_warning: false,
    };
    let record = RecordKey {
        namespace: "heliograph".parse().unwrap(),
        name: "sources".to_owned(),
    };
    let made = event(&notice, ("pod-1", Some(&record)), "").unwrap();
    let event_without = event(&notice, ("pod-1", None), "");
    assert_eq!(made["type"], "Normal");
    assert_eq!(made["metadata"]["namespace"], "heliograph");
    assert_eq!(made["regarding"]["kind"], "ConfigMap");
    assert!(event_without.is_none());
}

#[test]
fn the_same_words_about_the_same_object_have_the_same_name() {
    let first = name(&notice("mirrors", ProblemCause::SourceRemoved));
    assert_eq!(first, name(&notice("mirrors", ProblemCause::SourceRemoved)));
    let namespace = "mirrors".into();
    let other = name(&notice(
        "mirrors",
        ProblemCause::NamespaceNotFound { namespace },
    ));
    assert_ne!(first, other);
}

#[test]
fn a_namespace_that_is_none_gets_no_event() {
    let notice = notice("a/../b?x=", ProblemCause::SourceRemoved);
    assert!(event(&notice, ("pod-1", None), "").is_none());
}

#[test]
fn a_long_note_is_cut() {
    let message = "é".repeat(2000).into();
    let local = (proto_types::Resource::Services, ObjectKey::new("m", "w"));
    let notice = notice("mirrors", ProblemCause::WriteRejected { local, message });
    let event = event(&notice, ("pod-1", None), "").unwrap();
    assert!(event["note"].as_str().unwrap().len() <= 1024);
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_then_a_steady_pace() {
    let mut pace = WriteInterval::new();
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

/// An announcer, and what would write its Events.
async fn lab() -> (EventRecorder, EventWriter) {
    let nowhere = runtime::Access::Url {
        url: "http://127.0.0.1:1".parse().unwrap(),
        authority: None,
        token: None,
        identity: None,
        proxy: None,
    };
    let client = runtime::connect(&nowhere, "test").await.unwrap();
    let reporter = ("pod-1".to_owned(), None);
    let metrics = Metrics::registered(false).0;
    announcements(client, reporter, Leadership::always(), metrics)
}

#[tokio::test(start_paused = true)]
async fn a_problem_that_ends_before_its_event_is_written_gets_none() {
    let (announcer, announcements) = lab().await;
    let ended = notice("a", ProblemCause::SourceRemoved);
    let lasts = notice("b", ProblemCause::SourceRemoved);
    announcer.announce(ended.clone());
    announcer.announce(lasts);
    announcer.withdraw(&ended);
    announcements.has_some().await;
    let next = announcements.take().unwrap();
    assert_eq!(next.notice.subject.namespace(None), Some("b"));
    assert!(announcements.take().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_problem_that_lasts_gets_its_event_when_events_are_allowed_again() {
    let (announcer, mut announcements) = lab().await;
    assert!(announcements.mute("a"));
    announcer.announce(notice("a", ProblemCause::SourceRemoved));
    assert!(announcements.take().is_none());
    announcer.announce(notice("b", ProblemCause::SourceRemoved));
    let other = announcements.take().unwrap();
    assert_eq!(other.notice.subject.namespace(None), Some("b"));
    let start = Instant::now();
    announcements.has_some().await;
    assert_eq!(start.elapsed(), MUTE);
    assert!(announcements.take().is_some());
    // Refused another time, which the log does not repeat.
    assert!(!announcements.mute("a"));
}
