//! Cluster identity of a server, and the proof that an answer is of that cluster.
//!
//! An emitter reports its identity in the headers of each response. A kube-apiserver reports
//! it in the namespace `kube-system` alone, which takes a request that another server behind
//! the same address may answer. A response of it is proved by the UID of its FlowSchema,
//! which kube-apiservers write into their headers: equal UIDs are of one cluster. Without
//! that header, the identity is requested before and after, and both must be equal.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, Request, header};
use kube::client::Body;
use parking_lot::Mutex;
use proto_types::evidence::Expected;
use serde::Deserialize;

use super::request::{RequestError, collect, send};
use super::{FailureCause, Limits};

/// Cluster identity that a server reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportedIdentity {
    /// UID of the `kube-system` namespace.
    Known(Box<str>),
    /// The server does not report it to this watcher, for that reason.
    Untold(FailureCause),
    /// The server could not report it now.
    Failed(FailureCause),
}

/// Decision about a server of that identity: the clusters that are accepted from then on,
/// or the reason to reject it.
pub type IdentityCheck =
    Arc<dyn Fn(ReportedIdentity) -> Result<Expected, FailureCause> + Send + Sync>;

const NAMESPACE: &str = "/api/v1/namespaces/kube-system";
const HEADER: &str = "heliograph-cluster-uid";
const FLOW_SCHEMA: &str = "x-kubernetes-pf-flowschema-uid";
/// A namespace with all its labels and annotations.
const MAX_BYTES: usize = 1 << 20;
/// FlowSchemas of one cluster that apply to one user, generously.
const MAX_PROOFS: usize = 64;

/// Verification of the cluster identity of responses.
#[derive(Clone)]
pub struct Verifier {
    client: kube::Client,
    limits: Limits,
    guard: Option<IdentityCheck>,
    proofs: Arc<Mutex<Proofs>>,
}

#[derive(Debug, Default)]
struct Proofs {
    /// Clusters by the FlowSchemas that their servers reported.
    clusters: HashMap<Box<str>, Box<str>>,
    /// `true` if the headers of the last response proved its identity.
    suffice: bool,
}

/// Headers of a response that concern the identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerHeaders {
    cluster: Option<Box<str>>,
    flow_schema: Option<Box<str>>,
}

/// Identity that was accepted, and the clusters that are accepted from then on.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// UID of the `kube-system` namespace, if the server reports it.
    pub cluster: Option<Box<str>>,
    /// Clusters that are accepted.
    pub expected: Expected,
}

/// Identity before a request, where it may be needed.
pub struct Before(Option<Reported>);

/// Response to a request for the identity.
struct Reported {
    identity: ReportedIdentity,
    flow_schema: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Namespace {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    uid: String,
}

impl ServerHeaders {
    /// Reads the headers of a response.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name| {
            let value = headers.get(name)?.to_str().ok()?;
            (!value.is_empty()).then(|| value.into())
        };
        Self {
            cluster: text(HEADER),
            flow_schema: text(FLOW_SCHEMA),
        }
    }
}

impl Verifier {
    /// Verifier that calls that check; without one it accepts every server.
    #[must_use]
    pub fn new(client: kube::Client, limits: Limits, guard: Option<IdentityCheck>) -> Self {
        Self {
            client,
            limits,
            guard,
            proofs: Arc::default(),
        }
    }

    /// Prepares the verification of a response, before the request is sent.
    pub async fn before(&self) -> Before {
        if self.guard.is_none() || self.proofs.lock().suffice {
            return Before(None);
        }
        Before(Some(self.request_identity().await))
    }

    /// Returns the identity of the server of a response, if it is accepted.
    pub async fn verify(
        &self,
        before: Before,
        marks: ServerHeaders,
    ) -> Result<Accepted, FailureCause> {
        let Some(guard) = &self.guard else {
            return Ok(Accepted {
                cluster: marks.cluster,
                expected: Expected::Any,
            });
        };
        let identity = self.identity(before, marks).await;
        let cluster = match &identity {
            ReportedIdentity::Known(uid) => Some(uid.clone()),
            ReportedIdentity::Untold(_) | ReportedIdentity::Failed(_) => None,
        };
        let expected = guard(identity)?;
        Ok(Accepted { cluster, expected })
    }

    async fn identity(&self, before: Before, marks: ServerHeaders) -> ReportedIdentity {
        let proved = marks.cluster.or_else(|| {
            before.0.iter().for_each(|before| self.record(before));
            self.proved_by(marks.flow_schema.as_deref())
        });
        self.proofs.lock().suffice = proved.is_some();
        if let Some(uid) = proved {
            return ReportedIdentity::Known(uid);
        }
        let after = self.request_identity().await;
        self.record(&after);
        if let Some(uid) = self.proved_by(marks.flow_schema.as_deref()) {
            return ReportedIdentity::Known(uid);
        }
        match (before.0.map(|it| it.identity), after.identity) {
            (Some(before), after) if before == after => after,
            (Some(ReportedIdentity::Known(before)), ReportedIdentity::Known(after)) => {
                ReportedIdentity::Failed(FailureCause::Replaced(format!(
                    "the server reported cluster {before} before a request and {after} after it; \
                     put the servers of one cluster alone behind its address"
                )))
            }
            // The next request is between two reports.
            (Some(_) | None, ReportedIdentity::Known(_)) => {
                ReportedIdentity::Failed(FailureCause::Unidentified(
                    "the identity was not reported before the request".to_owned(),
                ))
            }
            (_, after @ (ReportedIdentity::Untold(_) | ReportedIdentity::Failed(_))) => after,
        }
    }

    fn record(&self, reported: &Reported) {
        if let Reported {
            identity: ReportedIdentity::Known(uid),
            flow_schema: Some(schema),
        } = reported
        {
            let mut proofs = self.proofs.lock();
            if MAX_PROOFS <= proofs.clusters.len() {
                proofs.clusters.clear();
            }
            proofs.clusters.insert(schema.clone(), uid.clone());
        }
    }

    fn proved_by(&self, schema: Option<&str>) -> Option<Box<str>> {
        self.proofs.lock().clusters.get(schema?).cloned()
    }

    async fn request_identity(&self) -> Reported {
        let (identity, marks) = match self.uid().await.map_err(|it| it.cause) {
            Ok((uid, marks)) if uid.is_empty() => {
                let why = "its kube-system namespace has no uid".to_owned();
                (
                    ReportedIdentity::Untold(FailureCause::NotServed(why)),
                    marks,
                )
            }
            Ok((uid, marks)) => (ReportedIdentity::Known(uid.into()), marks),
            Err(why @ (FailureCause::Forbidden(_) | FailureCause::NotServed(_))) => {
                (ReportedIdentity::Untold(why), ServerHeaders::default())
            }
            Err(why) => (ReportedIdentity::Failed(why), ServerHeaders::default()),
        };
        Reported {
            identity,
            flow_schema: marks.flow_schema,
        }
    }

    async fn uid(&self) -> Result<(String, ServerHeaders), RequestError> {
        let request = Request::get(NAMESPACE)
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .expect("a constant path is a URI");
        let Limits { response, .. } = self.limits;
        let answer = async {
            let answer = send(&self.client, request).await?;
            let marks = ServerHeaders::of(answer.headers());
            let body = collect(answer.into_body(), MAX_BYTES).await?;
            Ok::<_, RequestError>((body, marks))
        };
        let answer = tokio::time::timeout(response, answer).await;
        let (body, marks) = answer.unwrap_or(Err(FailureCause::Slow(response).into()))?;
        let namespace: Result<Namespace, _> = serde_json::from_slice(&body);
        match namespace {
            Ok(namespace) => Ok((namespace.metadata.uid, marks)),
            Err(why) => Err(FailureCause::Garbage(why.to_string()).into()),
        }
    }
}
