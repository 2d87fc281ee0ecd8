//! The upstream's own documents: its version and its OpenAPI schemas.
//!
//! The emitter requests them with its own credentials, so a client chooses among the documents of a
//! list and decides nothing else: no path, no query, no header.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::limits::MAX_DOCUMENT_BYTES;

/// Time for which a document is cached: after an upgrade of the cluster, the new version is served
/// within a minute.
const KEEP: Duration = Duration::from_secs(60);

/// Time for the upstream's answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Maximum size of one document in bytes. OpenAPI v2 of a cluster with many custom
/// resources is some tens of megabytes.
const MAX_DOCUMENT: usize = 32 << 20;

/// Paths of the documents that are passed on.
const PATHS: [&str; 7] = [
    "/version",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/api",
    "/openapi/v3/api/v1",
    "/openapi/v3/apis/discovery.k8s.io",
    "/openapi/v3/apis/discovery.k8s.io/v1",
];

/// Media types of the requests to the upstream. What a client accepts selects one.
const MEDIA_TYPES: [&str; 4] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
];

/// Media type that no server has, for clients that accept nothing of the above.
const UNKNOWN: &str = "application/x-unknown";

/// One document of the upstream, in one media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Document {
    path: &'static str,
    accept: &'static str,
}

impl Document {
    /// Returns the document of that path, if it is passed on, in a media type that the
    /// client accepts.
    #[must_use]
    pub fn find(path: &str, accept: Option<&str>) -> Option<Self> {
        let path = path.trim_end_matches('/');
        let path = PATHS.into_iter().find(|it| *it == path)?;
        let accept = accept.unwrap_or("*/*");
        let named = MEDIA_TYPES.into_iter().find(|it| accept.contains(it));
        let accept = match named {
            Some(named) => named,
            None if accept.contains("application/json") => "application/json",
            None if accept.contains('*') => "*/*",
            None => UNKNOWN,
        };
        Some(Self { path, accept })
    }
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.path)
    }
}

/// Documents of the upstream, requested when a client asks, and kept for a while.
pub struct Documents {
    client: kube::Client,
    kept: Mutex<HashMap<Document, Kept>>,
}

#[derive(Clone)]
struct Kept {
    at: Instant,
    /// Set by the first request; the others wait for it.
    answer: Arc<OnceCell<Response<Bytes>>>,
}

impl Documents {
    /// The documents of that cluster.
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self {
            client,
            kept: Mutex::default(),
        }
    }

    /// Returns the upstream's answer for a document.
    pub async fn get(&self, document: Document) -> anyhow::Result<Response<Bytes>> {
        let answer = self.entry(document);
        let fetch = async {
            let fetch = tokio::time::timeout(PATIENCE, self.fetch(document));
            anyhow::Ok(fetch.await??)
        };
        let answer = answer.get_or_try_init(|| fetch).await?.clone();
        self.drop_oldest();
        // A failure is the response to the requests that waited for it, and to no other.
        if !answer.status().is_success() {
            self.kept.lock().remove(&document);
        }
        Ok(answer)
    }

    fn entry(&self, document: Document) -> Arc<OnceCell<Response<Bytes>>> {
        let mut kept = self.kept.lock();
        if let Some(it) = kept.get(&document)
            && it.at.elapsed() < KEEP
        {
            return Arc::clone(&it.answer);
        }
        let entry = Kept {
            at: Instant::now(),
            answer: Arc::default(),
        };
        let answer = Arc::clone(&entry.answer);
        kept.insert(document, entry);
        answer
    }

    /// Drops the oldest documents beyond the budget.
    fn drop_oldest(&self) {
        let mut kept = self.kept.lock();
        kept.retain(|_, it| it.at.elapsed() < KEEP);
        let size = |it: &Kept| it.answer.get().map_or(0, |answer| answer.body().len());
        while MAX_DOCUMENT_BYTES < kept.values().map(size).sum() {
            let oldest = kept.iter().filter(|(_, it)| 0 < size(it));
            let oldest = oldest.min_by_key(|(_, it)| it.at).map(|(name, _)| *name);
            let Some(oldest) = oldest else { return };
            kept.remove(&oldest);
        }
    }

    async fn fetch(&self, Document { path, accept }: Document) -> anyhow::Result<Response<Bytes>> {
        let request = Request::get(path)
            .header(header::ACCEPT, accept)
            .body(Body::empty())?;
        let response = self.client.send(request).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_DOCUMENT).collect().await;
        let body = body.map_err(|why| anyhow::anyhow!(why))?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn clients_choose_among_listed_documents_only() {
        for path in PATHS {
            assert!(Document::find(path, None).is_some(), "{path}");
        }
        for path in [
            "/openapi/v3/../../api/v1/secrets",
            "/openapi/v3/apis/apps/v1",
            "/openapi/v3/%2e%2e/%2e%2e/api",
            "/openapi",
            "/openapi/v2?x=1",
            "/api/v1/secrets",
        ] {
            assert_eq!(Document::find(path, None), None, "{path}");
        }
        let invented = Document::find("/version", Some("application/invented"));
        assert_eq!(invented.map(|it| it.accept), Some(UNKNOWN));
    }

    #[tokio::test]
    async fn those_who_ask_together_share_one_request() {
        let n_asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&n_asked);
        let service = tower::service_fn(move |_: Request<Body>| {
            let counted = Arc::clone(&counted);
            async move {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok::<_, std::convert::Infallible>(Response::new(Body::from(b"{}".to_vec())))
            }
        });
        let documents = Documents::new(kube::Client::new(service, "default"));
        let document = Document::find("/version", None).unwrap();
        let all = (0..50).map(|_| documents.get(document));
        for answer in futures::future::join_all(all).await {
            assert_eq!(&answer.unwrap().body()[..], b"{}");
        }
        assert_eq!(n_asked.load(Ordering::Relaxed), 1);
    }
}
