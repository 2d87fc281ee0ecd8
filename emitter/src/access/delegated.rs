//! Authentication and authorization by the upstream's API server.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::User;
use super::cached::{Cached, question};
use super::turns::Turns;
use super::unauthenticated::MAX_TOKEN;
use crate::attributes::Attributes;
use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

const PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 256 << 10;

/// Asks whose a token is.
#[derive(Debug)]
pub(super) struct Authentication {
    client: Client,
    answers: Cached<Reviewed>,
}

/// The user of a token, or why the API server rejects it.
type Reviewed = Result<User, String>;

/// Authorization by SubjectAccessReview.
#[derive(Debug)]
pub(super) struct Authorization {
    client: Client,
    answers: Cached<Verdict>,
}

/// Response of the API server to a SubjectAccessReview.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub(super) struct Verdict {
    #[serde(default)]
    pub(super) allowed: bool,
    #[serde(default)]
    pub(super) reason: String,
}

struct Client {
    client: kube::Client,
    turns: Turns,
}

impl Client {
    fn new(client: kube::Client) -> Self {
        Self {
            client,
            turns: Turns::default(),
        }
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
    #[serde(default)]
    error: String,
}

/// Longer words of an API server are cut, since answers are kept.
const MAX_WORDS: usize = 512;

impl TokenStatus {
    fn reviewed(self) -> Reviewed {
        match (self.authenticated, self.error.as_str()) {
            (true, _) => Ok(self.user.authenticated()),
            (false, "") => Err("the API server does not know the token".to_owned()),
            (false, words) => Err(words.chars().take(MAX_WORDS).collect()),
        }
    }
}

impl Authentication {
    pub(super) fn new(client: kube::Client, ttl: Duration) -> Self {
        Self {
            client: Client::new(client),
            answers: Cached::new(ttl, Result::is_ok),
        }
    }

    /// Returns the user of a token, or why it is rejected; [`Busy`](super::turns::Busy) where there
    /// are too many requests.
    pub(super) async fn user(
        &self,
        token: &str,
        address: Option<IpAddr>,
    ) -> anyhow::Result<Reviewed> {
        if MAX_TOKEN < token.len() {
            return Ok(Err(format!("it is longer than {MAX_TOKEN} bytes")));
        }
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        });
        let ask = async {
            let status: TokenStatus = self.client.review(TOKEN_REVIEWS, &review, address).await?;
            Ok(status.reviewed())
        };
        self.answers.get(&question(token.as_bytes()), ask).await
    }
}

impl Authorization {
    pub(super) fn new(client: kube::Client, ttl: Duration) -> Self {
        Self {
            client: Client::new(client),
            answers: Cached::new(ttl, |it| it.allowed),
        }
    }

    pub(super) async fn verdict(
        &self,
        user: &User,
        attributes: &Attributes,
        address: Option<IpAddr>,
    ) -> anyhow::Result<Verdict> {
        let review = review(user, attributes)?;
        let ask = self.client.review(ACCESS_REVIEWS, &review, address);
        // The whole request: a user's `extra` may restrict it, as that of a scoped token.
        let question = question(&serde_json::to_vec(&review)?);
        self.answers.get(&question, ask).await
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
    async fn review<T: DeserializeOwned>(
        &self,
        path: &str,
        review: &Value,
        address: Option<IpAddr>,
    ) -> anyhow::Result<T> {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(serde_json::to_vec(review)?))?;
        let _turn = self.turns.take(address).await?;
        let answer = async {
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
