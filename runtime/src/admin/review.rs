//! Clients that the API server authenticates and authorizes: TokenReview and SubjectAccessReview.
//!
//! Any client of the port can invent tokens. Few are reviewed at a time, fewer of one address, and
//! the response to an invalid one is delayed, so that they cost the API server little.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// Reviews at a time.
const MAX: usize = 16;
/// Reviews at a time for one address.
const MAX_OF_ADDRESS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(5);
/// Delay of the response to an invalid token.
const DELAY: Duration = Duration::from_secs(1);
const MAX_ANSWER: usize = 256 << 10;

/// Response of the API server about a token and a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its user may read the path.
    Allowed,
    /// Its user may not.
    Forbidden(String),
    /// No user has the token.
    Unknown,
    /// There are too many requests.
    Busy,
    /// It is unavailable.
    Failed(String),
}

/// Asks the API server.
pub(super) struct Reviewer {
    client: kube::Client,
    all: Semaphore,
    by_address: Mutex<BTreeMap<Option<IpAddr>, usize>>,
}

/// A place among the reviews of an address, until this is dropped.
struct Place<'a> {
    reviewer: &'a Reviewer,
    address: Option<IpAddr>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut by_address = self.reviewer.by_address.lock();
        if let Some(n) = by_address.get_mut(&self.address) {
            *n -= 1;
            if *n == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

impl std::fmt::Debug for Reviewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reviewer")
    }
}

impl Reviewer {
    pub(super) fn new(client: kube::Client) -> Self {
        Self {
            client,
            all: Semaphore::new(MAX),
            by_address: Mutex::default(),
        }
    }

    /// Returns whether the user of the token may get the path.
    pub(super) async fn review(&self, token: &str, path: &str, address: Option<IpAddr>) -> Verdict {
        let Some(_place) = self.place(address) else {
            return Verdict::Busy;
        };
        let verdict = async {
            let _turn = self.all.acquire().await;
            self.request(token, path).await
        };
        match tokio::time::timeout(PATIENCE, verdict).await {
            Ok(Ok(Verdict::Unknown)) => {
                tokio::time::sleep(DELAY).await;
                Verdict::Unknown
            }
            Ok(Ok(verdict)) => verdict,
            Ok(Err(why)) => Verdict::Failed(why),
            Err(_) => Verdict::Failed(format!("no answer within {PATIENCE:?}")),
        }
    }

    fn place(&self, address: Option<IpAddr>) -> Option<Place<'_>> {
        let mut by_address = self.by_address.lock();
        let n = by_address.entry(address).or_default();
        if MAX_OF_ADDRESS <= *n {
            return None;
        }
        *n += 1;
        Some(Place {
            reviewer: self,
            address,
        })
    }

    async fn request(&self, token: &str, path: &str) -> Result<Verdict, String> {
        let mut status = self
            .post(TOKEN_REVIEWS, "TokenReview", json!({"token": token}))
            .await?;
        if status["authenticated"] != true {
            return Ok(Verdict::Unknown);
        }
        let mut user = status["user"].take();
        let mut spec = json!({"nonResourceAttributes": {"path": path, "verb": "get"}});
        for (from, to) in [
            ("username", "user"),
            ("uid", "uid"),
            ("groups", "groups"),
            ("extra", "extra"),
        ] {
            spec[to] = user[from].take();
        }
        let name = spec["user"].as_str().unwrap_or_default().to_owned();
        let status = self
            .post(ACCESS_REVIEWS, "SubjectAccessReview", spec)
            .await?;
        Ok(
            match status["allowed"] == true && status["denied"] != true {
                true => Verdict::Allowed,
                false => Verdict::Forbidden(name),
            },
        )
    }

    /// The status of a review.
    async fn post(&self, path: &str, kind: &str, spec: Value) -> Result<Value, String> {
        let group = path.split('/').nth(2).unwrap_or_default();
        let review = json!({"apiVersion": format!("{group}/v1"), "kind": kind, "spec": spec});
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(review.to_string().into_bytes()))
            .map_err(|why| why.to_string())?;
        let response = self.client.send(request).await;
        let response = response.map_err(|why| why.to_string())?;
        let code = response.status();
        if code == StatusCode::FORBIDDEN {
            return Err(format!(
                "this program may not create a {kind} (manifests/monitoring)"
            ));
        }
        if !code.is_success() {
            return Err(format!("{path} was answered {code}"));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect();
        let body = body.await.map_err(|why| why.to_string())?.to_bytes();
        let answer = serde_json::from_slice::<Value>(&body);
        let mut answer = answer.map_err(|why| why.to_string())?;
        Ok(answer["status"].take())
    }
}
