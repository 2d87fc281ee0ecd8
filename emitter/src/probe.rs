//! Reads that see every write that was done before them.
//!
//! A watch tells of a change soon, but not before the next request: who writes
//! upstream and reads here could miss its own write. So a reader asks first, and a
//! probe lists upstream what there is, metadata only. Where the store holds the same
//! versions it is as new as that list; where not, the stream is about to tell.
//!
//! Invariant: there is at most one list under way for each resource, and it answers
//! all who asked before it began.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use kube::client::Body;
use proto_types::{Labels, ObjectKey, Revision};
use runtime::follow::{Event, Scope};
use serde::Deserialize;
use tokio::sync::watch;
use tracing::debug;

use crate::hub::Hub;
use crate::upstream::is_the_api_server;

/// How long the stream may take to tell what the list showed, as in a kube-apiserver.
const PATIENCE: Duration = Duration::from_secs(3);

/// Metadata of 100 000 objects, generously.
const MAX_LIST: usize = 256 << 20;

/// What there was at a revision.
pub type Versions = HashMap<ObjectKey, (Box<str>, Revision)>;

/// Questions of readers, and how many of them have been answered.
#[derive(Debug, Default)]
pub struct Questions {
    asked: watch::Sender<u64>,
    answered: watch::Sender<u64>,
}

/// The store did not become as new as the question in time.
#[derive(Debug)]
pub struct Unanswered;

impl Questions {
    /// Returns when the store has all that had happened at the time of the call. Where
    /// nobody probes, that is at once.
    pub async fn ask(&self) -> Result<(), Unanswered> {
        if self.asked.receiver_count() == 0 {
            return Ok(());
        }
        let mut answered = self.answered.subscribe();
        let mut mine = 0;
        self.asked.send_modify(|n_asked| {
            *n_asked += 1;
            mine = *n_asked;
        });
        // One probe may be under way that began before this question.
        let answer = answered.wait_for(|answered| mine <= *answered);
        match tokio::time::timeout(2 * PATIENCE, answer).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Unanswered),
        }
    }
}

/// Answers the questions of one hub's readers, for ever.
pub async fn answer(hub: Arc<Hub>, client: kube::Client, scope: Scope) {
    let mut asked = hub.questions().asked.subscribe();
    loop {
        let Ok(n_asked) = asked
            .wait_for(|asked| *hub.questions().answered.borrow() < *asked)
            .await
            .map(|asked| *asked)
        else {
            return;
        };
        let is_known = match tokio::time::timeout(PATIENCE, list(&client, &scope)).await {
            Ok(Ok((versions, revision))) => wait_for(&hub, &versions, revision).await,
            // Nobody can have written where nobody answers: what is known is the best
            // there is, and consumers must go on while an API server restarts.
            Ok(Err(error)) => {
                debug!(resource = %scope.resource, %error, "cannot probe upstream");
                true
            }
            Err(_) => true,
        };
        if is_known {
            hub.questions().answered.send_replace(n_asked);
        }
    }
}

/// Returns when the store has all that had happened at the time of the call.
pub async fn catch_up(hub: Arc<Hub>, client: kube::Client, scope: Scope) {
    loop {
        let listed = tokio::time::timeout(PATIENCE, list(&client, &scope)).await;
        if let Ok(Ok((versions, revision))) = listed
            && wait_for(&hub, &versions, revision).await
        {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Between two attempts to catch up.
const AGAIN: Duration = Duration::from_millis(500);

/// Whether the store came to hold those versions, or newer ones.
async fn wait_for(hub: &Hub, versions: &Versions, revision: Revision) -> bool {
    let mut progress = hub.ingested();
    let reached = async {
        loop {
            let reached = progress
                .borrow_and_update()
                .is_some_and(|at| revision <= at);
            if reached {
                return;
            }
            if hub.holds(versions) {
                hub.ingest(Event::Progress(revision), Timestamp::now());
                return;
            }
            if progress.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.is_ok()
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    /// Go writes null where there are none.
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: Revision,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    uid: Box<str>,
    resource_version: Revision,
    #[serde(default)]
    labels: Labels,
}

async fn list(client: &kube::Client, scope: &Scope) -> anyhow::Result<(Versions, Revision)> {
    let selector = scope.selector.to_string();
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("labelSelector", &selector)
        .finish();
    let path = scope.resource.collection(scope.namespace.as_deref());
    let request = Request::get(format!("{path}?{query}"))
        .header(
            header::ACCEPT,
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        )
        .body(Body::empty())?;
    let response = client.send(request).await?;
    anyhow::ensure!(response.status() == 200, "status {}", response.status());
    let body = Limited::new(response.into_body(), MAX_LIST).collect().await;
    let body = body.map_err(|why| anyhow::anyhow!(why))?.to_bytes();
    parse(&body)
}

fn parse(body: &Bytes) -> anyhow::Result<(Versions, Revision)> {
    let list: List = serde_json::from_slice(body)?;
    let items = list.items.unwrap_or_default().into_iter();
    let versions = items.filter_map(|Item { metadata }| {
        let key = ObjectKey::new(&metadata.namespace, &metadata.name);
        let is_exported = !is_the_api_server(&key, &metadata.labels);
        is_exported.then_some((key, (metadata.uid, metadata.resource_version)))
    });
    Ok((versions.collect(), list.metadata.resource_version))
}

#[cfg(test)]
mod tests {
    use super::{Bytes, ObjectKey, Questions, Revision, parse};

    #[test]
    fn a_list_tells_the_versions_of_what_is_exported() {
        let list = r#"{"metadata":{"resourceVersion":"9"},"items":[
            {"metadata":{"name":"a","namespace":"x","uid":"u","resourceVersion":"7"}},
            {"metadata":{"name":"kubernetes","namespace":"default","uid":"v","resourceVersion":"8"}}]}"#;
        let (versions, revision) = parse(&Bytes::from_static(list.as_bytes())).unwrap();
        assert_eq!(revision, Revision::new(9));
        assert_eq!(versions.len(), 1);
        let version = &versions[&ObjectKey::new("x", "a")];
        assert_eq!(version, &("u".into(), Revision::new(7)));
        let empty = r#"{"metadata":{"resourceVersion":"9"},"items":null}"#;
        assert!(parse(&Bytes::from_static(empty.as_bytes())).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_an_answer_but_not_for_ever() {
        let questions = Questions::default();
        assert!(questions.ask().await.is_ok(), "where nobody probes");
        let _prober = questions.asked.subscribe();
        assert!(questions.ask().await.is_err(), "where nothing comes of it");
        let (asked, ()) = tokio::join!(questions.ask(), async {
            tokio::task::yield_now().await;
            questions.answered.send_replace(2);
        });
        assert!(asked.is_ok());
    }
}
