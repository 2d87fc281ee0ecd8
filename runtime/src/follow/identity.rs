//! Which cluster a server is of, asked by whoever wants to know after each list and
//! before anything of a watch is told.

use std::sync::Arc;

use http::{HeaderMap, Request, header};
use kube::client::Body;
use serde::Deserialize;

use super::server::{Server, Trouble, collect};
use super::{Cause, Limits};

/// What a server says of which cluster it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The uid of the cluster's `kube-system` namespace.
    Known(Box<str>),
    /// It does not tell this reader, for that reason.
    Untold(Cause),
    /// It could not say it now.
    Failed(Cause),
}

/// Whether to go on with a server that is of that cluster.
pub type Guard = Arc<dyn Fn(Identity) -> Result<(), Cause> + Send + Sync>;

const NAMESPACE: &str = "/api/v1/namespaces/kube-system";
// An emitter says it with every answer.
const HEADER: &str = "heliograph-cluster-uid";
// A namespace with all that people write into it.
const MAX_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct Namespace {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    uid: String,
}

impl Server {
    /// Whether it is the one to go on with; `answer` is what it said with the answer
    /// that this is about.
    pub(super) async fn verify(&self, answer: Option<Box<str>>) -> Result<(), Trouble> {
        let Some(guard) = &self.guard else {
            return Ok(());
        };
        let identity = match answer {
            Some(uid) => Identity::Known(uid),
            None => self.identity().await,
        };
        guard(identity).map_err(Into::into)
    }

    async fn identity(&self) -> Identity {
        match self.uid().await.map_err(|it| it.cause) {
            Ok(uid) if uid.is_empty() => {
                let why = "its kube-system namespace has no uid".to_owned();
                Identity::Untold(Cause::NotServed(why))
            }
            Ok(uid) => Identity::Known(uid.into()),
            Err(why @ (Cause::Forbidden(_) | Cause::NotServed(_))) => Identity::Untold(why),
            Err(why) => Identity::Failed(why),
        }
    }

    async fn uid(&self) -> Result<String, Trouble> {
        let request = Request::get(NAMESPACE)
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .expect("a constant path is a URI");
        let Limits { response, .. } = self.limits;
        let answer = async {
            let answer = self.send(request).await?;
            collect(answer.into_body(), MAX_BYTES).await
        };
        let answer = tokio::time::timeout(response, answer).await;
        let body = answer.unwrap_or(Err(Cause::Slow(response).into()))?;
        let namespace: Result<Namespace, _> = serde_json::from_slice(&body);
        match namespace {
            Ok(namespace) => Ok(namespace.metadata.uid),
            Err(why) => Err(Cause::Garbage(why.to_string()).into()),
        }
    }
}

/// What a server says with an answer.
pub(super) fn of_answer(headers: &HeaderMap) -> Option<Box<str>> {
    let uid = headers.get(HEADER)?.to_str().ok()?;
    (!uid.is_empty()).then(|| uid.into())
}
