//! Documents of the upstream API server.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Arc, Documents};
use crate::documents::Document;

#[tokio::test]
async fn a_failed_document_is_not_cached() {
    let n_requests = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&n_requests);
    let upstream = tower::service_fn(move |_: http::Request<kube::client::Body>| {
        let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let body = kube::client::Body::from(b"{}".to_vec());
            let status = if is_first { 503 } else { 200 };
            http::Response::builder().status(status).body(body)
        }
    });
    let documents = Documents::new(kube::Client::new(upstream, "default"));
    for expected in [503, 200, 200] {
        let document = documents
            .get(Document::find("/version", None).unwrap())
            .await
            .unwrap();
        assert_eq!(document.status().as_u16(), expected);
    }
    assert_eq!(n_requests.load(Ordering::Relaxed), 2, "the success is kept");
}
