//! A server that turns out to be of another cluster is not listened to.

use std::sync::Arc;

use parking_lot::Mutex;

use super::super::{Guard, Identity};
use super::*;

fn namespace(uid: &str) -> Answer {
    Answer::ok(format!(
        r#"{{"kind":"Namespace","metadata":{{"uid":"{uid}"}}}}"#
    ))
}

/// Goes on with that cluster alone, and remembers what it was told.
fn only(uid: &'static str) -> (Guard, Arc<Mutex<Vec<Identity>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let remembered = Arc::clone(&told);
    let guard: Guard = Arc::new(move |identity: Identity| {
        remembered.lock().push(identity.clone());
        match identity {
            Identity::Known(it) if *it == *uid => Ok(()),
            other => Err(Cause::Replaced(format!("{other:?}"))),
        }
    });
    (guard, told)
}

async fn said(answers: Vec<Answer>, n_events: usize) -> (Vec<String>, Vec<Identity>, Vec<String>) {
    let server = Scripted::start(answers).await;
    let (guard, told) = only("a");
    let mut reader = reader(&server, limits()).await.guarded(guard);
    let mut said = Vec::new();
    for _ in 0..n_events {
        said.push(in_short(&next(&mut reader).await));
    }
    let asked = server.asked();
    let asked = asked
        .iter()
        .map(|it| target(it).split('?').next().unwrap().to_owned());
    let told = told.lock().clone();
    (said, told, asked.collect())
}

#[tokio::test]
async fn a_list_of_another_cluster_is_not_told() {
    let answers = vec![
        list(7, &[&item("web", 5)]),
        namespace("a"),
        stream(&[&bookmark(8)], Then::End),
        namespace("a"),
        list(9, &[]),
        namespace("b"),
        list(9, &[&item("web", 5)]),
        namespace("a"),
    ];
    // A watch that ends at once is no reason to list, a refusal of it is.
    let mut answers = answers.into_iter();
    let mut all: Vec<_> = answers.by_ref().take(4).collect();
    all.push(gone());
    all.extend(answers);
    let (said, told, asked) = said(all, 5).await;
    assert_eq!(said[..3], ["listed 7 [web]", "connected", "progress 8"]);
    assert!(
        said[3].contains("another cluster answers: Known(\"b\")"),
        "{said:?}"
    );
    assert_eq!(said[4], "listed 9 [web]");
    assert_eq!(told.len(), 4);
    assert_eq!(
        asked[..2],
        ["/api/v1/services", "/api/v1/namespaces/kube-system"]
    );
}

#[tokio::test]
async fn a_watch_of_another_cluster_is_not_told() {
    let answers = vec![
        list(7, &[&item("web", 5)]),
        namespace("a"),
        stream(&[&event("DELETED", "web", 8)], Then::End),
        namespace("b"),
        stream(&[&event("MODIFIED", "web", 9)], Then::End),
        namespace("a"),
    ];
    let (said, ..) = said(answers, 4).await;
    assert_eq!(said[0], "listed 7 [web]");
    assert!(said[1].contains("another cluster answers"), "{said:?}");
    assert_eq!(said[2..], ["connected", "applied web 9"]);
}

#[tokio::test]
async fn what_a_server_does_not_tell_is_told_so() {
    let refused = [
        Answer::refusal("403 Forbidden", ""),
        Answer::refusal("404 Not Found", ""),
        namespace(""),
        Answer::refusal("503 Service Unavailable", ""),
        Answer::ok("{"),
    ];
    let lists = (0..refused.len()).map(|_| list(7, &[]));
    let answers = lists
        .zip(refused)
        .flat_map(|(list, refused)| [list, refused]);
    let (_, told, _) = said(answers.collect(), 5).await;
    let kinds = told.iter().map(|it| match it {
        Identity::Known(_) => "known",
        Identity::Untold(_) => "untold",
        Identity::Failed(_) => "failed",
    });
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds, ["untold", "untold", "untold", "failed", "failed"]);
}

#[tokio::test]
async fn an_emitter_says_it_with_its_answers() {
    let Answer::Whole { body, after, .. } = list(7, &[]) else {
        unreachable!("a list is no stream");
    };
    let head = "200 OK\r\nheliograph-cluster-uid: a";
    let list = Answer::Whole { head, body, after };
    let (said, told, asked) = said(vec![list], 1).await;
    assert_eq!(said, ["listed 7 []"]);
    assert_eq!(told, [Identity::Known("a".into())]);
    assert_eq!(asked, ["/api/v1/services"]);
}
