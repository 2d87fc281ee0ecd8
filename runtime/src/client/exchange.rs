//! Results of requests, for metrics.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, header};
use kube::Client;
use kube::client::Body;
use tokio::time::Instant;
use tower::service_fn;

/// A request, up to the head of its answer.
#[derive(Debug)]
pub struct RequestOutcome<'a> {
    /// Kubernetes verb of the request.
    pub verb: &'static str,
    /// The method.
    pub method: &'a Method,
    /// The answer; none where none came.
    pub code: Option<StatusCode>,
    /// Duration.
    pub took: Duration,
}

/// Returns a client that reports each request. A request that was dropped is reported without a
/// response.
pub fn observed(
    client: Client,
    observe: impl Fn(&RequestOutcome<'_>) + Send + Sync + 'static,
) -> Client {
    let namespace = client.default_namespace().to_owned();
    let observe = Arc::new(observe);
    let service = service_fn(move |request: Request<Body>| {
        let client = client.clone();
        let pending = Pending {
            verb: verb(&request),
            method: request.method().clone(),
            code: None,
            began: Instant::now(),
            observe: Arc::clone(&observe),
        };
        async move {
            // The whole state, so that a dropped future is counted.
            let mut pending = pending;
            let response = client.send(request).await;
            pending.code = response.as_ref().ok().map(http::Response::status);
            response
        }
    });
    Client::new(service, namespace)
}

/// Returns the delay that a server named. Only the form in seconds is read: Kubernetes sends no
/// other.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

struct Pending<F: Fn(&RequestOutcome<'_>)> {
    verb: &'static str,
    method: Method,
    code: Option<StatusCode>,
    began: Instant,
    observe: Arc<F>,
}

impl<F: Fn(&RequestOutcome<'_>)> Drop for Pending<F> {
    fn drop(&mut self) {
        (self.observe)(&RequestOutcome {
            verb: self.verb,
            method: &self.method,
            code: self.code,
            took: self.began.elapsed(),
        });
    }
}

fn verb(request: &Request<Body>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|it| it == "watch=true") {
        return "watch";
    }
    match *request.method() {
        Method::GET if is_collection(request.uri().path()) => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

/// Returns whether a path names all objects of a kind, in all namespaces or in one.
fn is_collection(path: &str) -> bool {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let (["api", _, within @ ..] | ["apis", _, _, within @ ..]) = &parts[..] else {
        return false;
    };
    matches!(within, [_] | ["namespaces", _, _])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::connect;
    use crate::mock_server::{Answer, MockServer};
    use parking_lot::Mutex;

    #[test]
    fn requests_are_named_as_kubernetes_names_them() {
        for (method, uri, expected) in [
            ("GET", "/api/v1/services", "list"),
            (
                "GET",
                "/api/v1/namespaces/demo/services?labelSelector=a",
                "list",
            ),
            (
                "GET",
                "/api/v1/services?watch=true&timeoutSeconds=1",
                "watch",
            ),
            ("GET", "/api/v1/namespaces/demo/services/web", "get"),
            ("GET", "/api/v1/namespaces/kube-system", "get"),
            ("GET", "/apis/discovery.k8s.io/v1/endpointslices", "list"),
            ("GET", "/version", "get"),
            ("PUT", "/api/v1/namespaces/demo/services/web", "update"),
            ("POST", "/api/v1/namespaces/demo/services", "create"),
            ("DELETE", "/api/v1/namespaces/demo/services/web", "delete"),
        ] {
            let request = Request::builder().method(method).uri(uri);
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(verb(&request), expected, "{method} {uri}");
        }
    }

    #[tokio::test]
    async fn each_request_is_told_of_once_with_its_answer() {
        let busy = Answer::refusal("429 Too Many Requests", "");
        let server = MockServer::start(vec![Answer::ok("{}"), busy]).await;
        let client = connect(&server.access(), "test").await.unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&told);
        let client = observed(client, move |it: &RequestOutcome<'_>| {
            said.lock().push((it.verb, it.code.map(|it| it.as_u16())));
        });
        for _ in 0..2 {
            let request = Request::get("/version").body(Body::empty()).unwrap();
            client.send(request).await.unwrap();
        }
        drop(server);
        let request = Request::get("/api/v1/services").body(Body::empty());
        assert!(client.send(request.unwrap()).await.is_err());
        let told = told.lock().clone();
        assert_eq!(
            told,
            [("get", Some(200)), ("get", Some(429)), ("list", None)]
        );
    }
}
