//! A server that turns out to be of another cluster is not listened to.

use std::sync::Arc;

use parking_lot::Mutex;
use proto_types::evidence::Expected;

use super::super::{IdentityCheck, ReportedIdentity};
use super::*;

fn namespace(uid: &str) -> Answer {
    Answer::ok(format!(
        r#"{{"kind":"Namespace","metadata":{{"uid":"{uid}"}}}}"#
    ))
}

/// Goes on with that cluster alone, and remembers what it was told.
fn only(uid: &'static str) -> (IdentityCheck, Arc<Mutex<Vec<ReportedIdentity>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let remembered = Arc::clone(&told);
    let guard: IdentityCheck = Arc::new(move |identity: ReportedIdentity| {
        remembered.lock().push(identity.clone());
        match identity {
            ReportedIdentity::Known(it) if *it == *uid => Ok(Expected::OneOf([it].into())),
            other => Err(FailureCause::Replaced(format!("{other:?}"))),
        }
    });
    (guard, told)
}

async fn said(
    answers: Vec<Answer>,
    n_events: usize,
) -> (Vec<String>, Vec<ReportedIdentity>, Vec<String>) {
    let server = MockServer::start(answers).await;
    let (guard, told) = only("a");
    let mut reader = reader(&server, limits()).await.guarded(guard);
    let mut said = Vec::new();
    for _ in 0..n_events {
        said.push(in_short(&next(&mut reader).await));
    }
    let asked = server.requests();
    let asked = asked
        .iter()
        .map(|it| target(it).split('?').next().unwrap().to_owned());
    let told = told.lock().clone();
    (said, told, asked.collect())
}

/// An answer between two reports of those clusters.
fn between(before: &str, answer: Answer, after: &str) -> [Answer; 3] {
    [namespace(before), answer, namespace(after)]
}

#[tokio::test]
async fn a_list_of_another_cluster_is_ignored() {
    let web = || list(7, &[&item("web", 5)]);
    let answers = [
        between("a", web(), "a").to_vec(),
        between("a", stream(&[&bookmark(8)], Then::End), "a").to_vec(),
        // A watch that ends at once is no reason to list, its rejection is.
        vec![namespace("a"), gone()],
        between("b", list(9, &[]), "b").to_vec(),
        between("a", web(), "a").to_vec(),
    ];
    let (said, told, asked) = said(answers.concat(), 5).await;
    assert_eq!(said[..3], ["listed 7 [web]", "connected", "progress 8"]);
    assert!(
        said[3].contains("another cluster answers: Known(\"b\")"),
        "{said:?}"
    );
    // It lags behind what the watch delivered.
    assert!(said[4].contains("older than an earlier one"), "{said:?}");
    assert_eq!(told.len(), 4);
    let path = "/api/v1/namespaces/kube-system";
    assert_eq!(asked[..3], [path, "/api/v1/services", path]);
}

#[tokio::test]
async fn a_list_between_reports_of_two_clusters_is_ignored() {
    let answers = [
        between("b", list(9, &[]), "a").to_vec(),
        between("a", list(7, &[]), "a").to_vec(),
    ];
    let (said, ..) = said(answers.concat(), 2).await;
    assert!(
        said[0].contains("reported cluster b before a request and a after it"),
        "{said:?}"
    );
    assert_eq!(said[1], "listed 7 []");
}

#[tokio::test]
async fn a_watch_of_another_cluster_is_ignored() {
    let deleted = stream(&[&event("DELETED", "web", 8)], Then::End);
    let modified = stream(&[&event("MODIFIED", "web", 9)], Then::End);
    let answers = [
        between("a", list(7, &[&item("web", 5)]), "a").to_vec(),
        between("a", deleted, "b").to_vec(),
        between("a", modified, "a").to_vec(),
    ];
    let (said, ..) = said(answers.concat(), 4).await;
    assert_eq!(said[0], "listed 7 [web]");
    assert!(
        said[1].contains("another one") || said[1].contains("b after it"),
        "{said:?}"
    );
    assert_eq!(said[2..], ["connected", "applied web 9"]);
}

#[tokio::test]
async fn an_identity_that_is_not_reported_has_a_reason() {
    let refused = [
        Answer::refusal("403 Forbidden", ""),
        Answer::refusal("404 Not Found", ""),
        namespace(""),
        Answer::refusal("503 Service Unavailable", ""),
        Answer::ok("{"),
    ];
    let answers = refused
        .into_iter()
        .flat_map(|refused| [refused.clone(), list(7, &[]), refused]);
    let (_, told, _) = said(answers.collect(), 5).await;
    let kinds = told.iter().map(|it| match it {
        ReportedIdentity::Known(_) => "known",
        ReportedIdentity::Untold(_) => "untold",
        ReportedIdentity::Failed(_) => "failed",
    });
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds, ["untold", "untold", "untold", "failed", "failed"]);
}

#[tokio::test]
async fn an_emitter_reports_its_identity_with_the_list() {
    let head = "200 OK\r\nheliograph-cluster-uid: a";
    let answers = vec![
        namespace("b"),
        list(7, &[]).with_head(head),
        stream(&[&bookmark(8)], Then::End).with_head(head),
    ];
    let (said, told, asked) = said(answers, 3).await;
    assert_eq!(said, ["listed 7 []", "connected", "progress 8"]);
    assert_eq!(told, vec![ReportedIdentity::Known("a".into()); 2]);
    assert_eq!(asked[1..], ["/api/v1/services", "/api/v1/services"]);
}

const SCHEMA_A: &str = "200 OK\r\nx-kubernetes-pf-flowschema-uid: schema-of-a";
const SCHEMA_B: &str = "200 OK\r\nx-kubernetes-pf-flowschema-uid: schema-of-b";

#[tokio::test]
async fn a_flow_schema_proves_the_cluster_of_an_answer() {
    let answers = vec![
        namespace("a").with_head(SCHEMA_A),
        list(7, &[]).with_head(SCHEMA_A),
        stream(&[&bookmark(8)], Then::End).with_head(SCHEMA_A),
    ];
    let (said, told, asked) = said(answers, 3).await;
    assert_eq!(said, ["listed 7 []", "connected", "progress 8"]);
    assert_eq!(told, vec![ReportedIdentity::Known("a".into()); 2]);
    assert_eq!(asked[1..], ["/api/v1/services", "/api/v1/services"]);
}

#[tokio::test]
async fn a_list_of_another_flow_schema_is_not_of_the_cluster_that_was_reported() {
    // The balancer sends requests for the identity to one cluster, and lists to another.
    let answers = vec![
        namespace("a").with_head(SCHEMA_A),
        list(9, &[]).with_head(SCHEMA_B),
        namespace("b").with_head(SCHEMA_B),
        namespace("a").with_head(SCHEMA_A),
        list(7, &[]).with_head(SCHEMA_A),
    ];
    let (said, told, _) = said(answers, 2).await;
    assert!(said[0].contains("another cluster"), "{said:?}");
    assert_eq!(said[1], "listed 7 []");
    assert_eq!(told[0], ReportedIdentity::Known("b".into()));
}
