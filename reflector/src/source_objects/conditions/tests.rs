use super::*;
use crate::config::{ObjectKind, Refusal};
use crate::status::{HeldStatus, Mirrors, ProblemStatus};

fn verdict(in_effect: Option<i64>, refused: bool) -> Verdict {
    let refusal = || Refusal {
        reason: "Invalid",
        message: "spec: url: it has a query".to_owned(),
    };
    Verdict {
        kind: ObjectKind::Source,
        name: "east".into(),
        uid: "uid".into(),
        generation: 2,
        refusal: refused.then(refusal),
        in_effect,
    }
}

fn feed(resource: &str, state: &str, error: Option<&str>) -> FeedStatus {
    FeedStatus {
        resource: resource.to_owned(),
        state: state.to_owned(),
        objects: 3,
        age_seconds: Some(100),
        last_error: error.map(str::to_owned),
    }
}

fn index(feeds: Vec<FeedStatus>) -> Status {
    let east = SourceStatus {
        name: "east".to_owned(),
        cluster: Some("cluster-uid".to_owned()),
        cluster_unknown: None,
        feeds,
    };
    Status {
        mirrors: Mirrors {
            services: 2,
            slices: 0,
            endpoints: 0,
        },
        ..crate::status::tests::well(vec![east])
    }
}

fn well() -> Status {
    index(vec![
        feed("services", "synced", None),
        feed("endpointslices", "synced", None),
    ])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + seconds).unwrap()
}

fn of(verdict: &Verdict, status: &Status, before: &Value, now: Timestamp) -> Value {
    let mirrored = Mirrored::from([("east".into(), 2)]);
    super::status(verdict, (status, &mirrored), before, now).unwrap()
}

/// A condition as STATUS/REASON.
fn condition(status: &Value, kind: &str) -> String {
    let mut conditions = status["conditions"].as_array().unwrap().iter();
    let it = conditions.find(|it| it["type"] == kind).unwrap();
    let text = |field: &str| it[field].as_str().unwrap().to_owned();
    format!("{}/{}", text("status"), text("reason"))
}

#[test]
fn a_source_that_is_well_has_its_conditions_and_counts() {
    let status = of(&verdict(Some(2), false), &well(), &Value::Null, at(0));
    for (kind, expected) in [
        ("Accepted", "True/Accepted"),
        ("Reachable", "True/Connected"),
        ("Synced", "True/Synced"),
        ("IdentityVerified", "True/Verified"),
        ("Degraded", "False/AsExpected"),
    ] {
        assert_eq!(condition(&status, kind), expected, "{kind}");
    }
    assert_eq!(status["observedGeneration"], 2);
    assert_eq!(
        (
            &status["exported"],
            &status["mirrored"],
            &status["problems"]
        ),
        (&json!(3), &json!(2), &json!(0))
    );
    assert!(status.get("lastContactTime").is_none());
}

#[test]
fn the_same_state_later_is_the_same_status() {
    let verdict = verdict(Some(2), false);
    let mut lost = index(vec![feed("services", "stale", Some("connection refused"))]);
    for index in [&well(), &lost] {
        let first = of(&verdict, index, &Value::Null, at(0));
        assert_eq!(of(&verdict, index, &first, at(60)), first);
    }
    let first = of(&verdict, &lost, &Value::Null, at(0));
    lost.sources[0].feeds[0].age_seconds = Some(3700);
    assert_eq!(
        of(&verdict, &lost, &first, at(3600)),
        first,
        "one hour of silence"
    );
    let back = of(&verdict, &well(), &first, at(3700));
    let since = |status: &Value, i: usize| status["conditions"][i]["lastTransitionTime"].clone();
    assert_eq!(
        since(&back, 0),
        since(&first, 0),
        "it was accepted all the time"
    );
    assert_ne!(since(&back, 1), since(&first, 1), "it was not reachable");
}

#[test]
fn a_lost_source_is_neither_reachable_nor_synced_and_tells_since_when() {
    let lost = index(vec![feed("services", "synced", Some("connection refused"))]);
    let status = of(&verdict(Some(2), false), &lost, &Value::Null, at(0));
    assert_eq!(condition(&status, "Reachable"), "False/Disconnected");
    assert_eq!(condition(&status, "Synced"), "False/Disconnected");
    assert_eq!(status["lastContactTime"], "2030-03-17T17:45:00Z");
    let stale = index(vec![feed("services", "stale", Some("x"))]);
    let status = of(&verdict(Some(2), false), &stale, &Value::Null, at(0));
    assert_eq!(condition(&status, "Synced"), "False/Stale");
}

#[test]
fn problems_are_the_reasons_of_degraded_the_most_frequent_first() {
    let mut index = well();
    let problem = |reason: &str, source: &str| ProblemStatus {
        reason: reason.to_owned(),
        object: "demo/web".to_owned(),
        source: source.to_owned(),
        message: "the message".to_owned(),
    };
    index.problems = ["NameTooLong", "PortConflict", "PortConflict", MISMATCH]
        .map(|it| problem(it, "east"))
        .to_vec();
    index.problems.push(problem("NameTooLong", "west"));
    index.held.push(HeldStatus {
        source: "east".to_owned(),
        resource: "services".to_owned(),
        deletions: 7,
        reason: "r".to_owned(),
        until: "u".to_owned(),
    });
    let status = of(&verdict(Some(2), false), &index, &Value::Null, at(0));
    assert_eq!(condition(&status, "Degraded"), "True/DeletionHeld");
    let message = status["conditions"][4]["message"].as_str().unwrap();
    assert!(
        message.contains("DeletionHeld: 7, PortConflict: 2"),
        "{message}"
    );
    assert_eq!(
        condition(&status, "IdentityVerified"),
        "False/ClusterIdentityMismatch"
    );
    assert_eq!(
        (&status["problems"], &status["heldDeletions"]),
        (&json!(4), &json!(7))
    );
}

#[test]
fn a_refused_source_says_why_and_what_is_in_effect() {
    let status = of(&verdict(None, true), &well(), &Value::Null, at(0));
    assert_eq!(condition(&status, "Accepted"), "False/Invalid");
    assert_eq!(condition(&status, "Synced"), "Unknown/NotAccepted");
    assert!(status.get("mirrored").is_none());
    let status = of(&verdict(Some(1), true), &well(), &Value::Null, at(0));
    let message = status["conditions"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("generation 1 stays in effect"),
        "{message}"
    );
    assert_eq!(condition(&status, "Synced"), "True/Synced");
}

#[test]
fn a_source_that_is_not_read_yet_is_starting() {
    let mut new = feed("services", "unsynced", None);
    new.age_seconds = None;
    let status = of(
        &verdict(Some(2), false),
        &index(vec![new]),
        &Value::Null,
        at(0),
    );
    assert_eq!(condition(&status, "Reachable"), "Unknown/Connecting");
    assert!(is_starting(&status));
    let absent = Status {
        sources: Vec::new(),
        ..well()
    };
    let mirrored = Mirrored::new();
    let status = super::status(
        &verdict(Some(2), false),
        (&absent, &mirrored),
        &Value::Null,
        at(0),
    );
    assert_eq!(status, None, "the controller does not have it yet");
}

#[test]
fn a_status_is_bounded() {
    let long = "x".repeat(100_000);
    let lost = index(vec![feed("services", "stale", Some(&long))]);
    let one = of(&verdict(Some(2), false), &lost, &Value::Null, at(0));
    assert!(one.to_string().len() < 5000, "{}", one.to_string().len());
    let other = index(vec![feed("services", "stale", Some("y"))]);
    let other = of(&verdict(Some(2), false), &other, &Value::Null, at(0));
    assert_eq!(difference(&one, &other), Difference::Words);
    let well = of(&verdict(Some(2), false), &well(), &Value::Null, at(0));
    assert_eq!(difference(&one, &well), Difference::State);
    let with_times = |mut it: Value| {
        it["propagation"] = json!({"p50Milliseconds": 5, "p99Milliseconds": 10});
        it
    };
    let timed = with_times(one.clone());
    assert_eq!(difference(&one, &timed), Difference::Propagation);
    assert_eq!(difference(&timed, &other), Difference::Words);
    assert_eq!(difference(&timed, &well), Difference::State);
}
