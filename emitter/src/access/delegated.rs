//! Who somebody is, and what it may, as the upstream's API server says.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::User;
use super::cached::Cached;
use crate::api::Attributes;

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

const PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1 << 20;

/// Asks whose a token is.
#[derive(Debug)]
pub(super) struct Authentication {
    client: Client,
    answers: Cached<String, Option<User>>,
}

/// Asks who may do what.
#[derive(Debug)]
pub(super) struct Authorization {
    client: Client,
    answers: Cached<(String, Vec<String>, Attributes), Verdict>,
}

/// What the API server says of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub(super) struct Verdict {
    #[serde(default)]
    pub(super) allowed: bool,
    #[serde(default)]
    pub(super) reason: String,
}

/// How many questions are asked at a time: anybody can make up tokens.
const MAX_QUESTIONS: usize = 32;

struct Client {
    client: kube::Client,
    turns: Semaphore,
}

impl Client {
    fn new(client: kube::Client) -> Self {
        let turns = Semaphore::new(MAX_QUESTIONS);
        Self { client, turns }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    status: T,
}

#[derive(Deserialize)]
struct TokenStatus {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    user: User,
}

impl Authentication {
    pub(super) fn new(client: kube::Client, ttl: Duration) -> Self {
        Self {
            client: Client::new(client),
            answers: Cached::new(ttl),
        }
    }

    pub(super) async fn user(&self, token: &str) -> anyhow::Result<Option<User>> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        });
        let ask = async {
            let status: TokenStatus = self.client.review(TOKEN_REVIEWS, &review).await?;
            Ok(status.authenticated.then(|| status.user.authenticated()))
        };
        self.answers.get(&token.to_owned(), ask).await
    }
}

impl Authorization {
    pub(super) fn new(client: kube::Client, ttl: Duration) -> Self {
        Self {
            client: Client::new(client),
            answers: Cached::new(ttl),
        }
    }

    pub(super) async fn verdict(
        &self,
        user: &User,
        attributes: &Attributes,
    ) -> anyhow::Result<Verdict> {
        let review = review(user, attributes)?;
        let ask = self.client.review(ACCESS_REVIEWS, &review);
        let key = (user.name.clone(), user.groups.clone(), attributes.clone());
        self.answers.get(&key, ask).await
    }
}

#[derive(Serialize)]
struct Spec<'a> {
    user: &'a str,
    uid: &'a str,
    groups: &'a [String],
    extra: &'a BTreeMap<String, Vec<String>>,
}

fn review(user: &User, attributes: &Attributes) -> serde_json::Result<Value> {
    let mut spec = serde_json::to_value(Spec {
        user: &user.name,
        uid: &user.uid,
        groups: &user.groups,
        extra: &user.extra,
    })?;
    match &attributes.target {
        Some(target) => {
            spec["resourceAttributes"] = json!({
                "verb": attributes.verb,
                "group": target.group,
                "version": target.version,
                "namespace": target.namespace,
                "resource": target.resource,
                "subresource": target.subresource,
                "name": target.name,
            });
        }
        None => {
            spec["nonResourceAttributes"] = json!({
                "verb": attributes.verb,
                "path": attributes.path,
            });
        }
    }
    Ok(json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": spec,
    }))
}

impl Client {
    async fn review<T: DeserializeOwned>(&self, path: &str, review: &Value) -> anyhow::Result<T> {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(serde_json::to_vec(review)?))?;
        let answer = async {
            let _turn = self.turns.acquire().await;
            let response = self.client.send(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER);
            let body = body.collect().await.map_err(|why| anyhow::anyhow!(why))?;
            anyhow::ensure!(status.is_success(), "{path} is answered {status}");
            let Answer { status } = serde_json::from_slice(&body.to_bytes())?;
            Ok(status)
        };
        tokio::time::timeout(PATIENCE, answer).await?
    }
}
