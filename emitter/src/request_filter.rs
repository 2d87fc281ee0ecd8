//! Filter of all requests: limits, authentication and authorization.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use proto_types::Status;
use proto_types::status::Details;

use crate::access::{Access, Credentials, Denied};
use crate::api::{Payload, RequestContext, response};
use crate::attributes::Attributes;
use crate::connections::{Connection, group};
use crate::consumers::{Caller, Consumers, Sending};
use crate::metrics::{Limit, Metrics};

/// Parts of the request filter.
pub struct RequestFilter {
    /// Consumers and their watches.
    pub consumers: Arc<Consumers>,
    /// Metrics of rejections.
    pub metrics: Arc<Metrics>,
    /// Authentication and authorization.
    pub access: Arc<Access>,
}

/// Middleware that passes a request on, or rejects it.
pub async fn filter(
    State(parts): State<Arc<RequestFilter>>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = RequestContext::new(&request);
    if let Err(status) = parts.measure(&request) {
        // A body that was announced is not waited for.
        return closing(response::refusal(&asked, &status));
    }
    let attributes = asked.attributes(request.method(), &decoded(request.uri().path()));
    let is_watch = attributes.is_watch();
    let is_about_objects = attributes.target.is_some();
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let caller = parts.caller(connection, request.headers(), attributes);
    let mut caller = match caller.await {
        Ok(caller) => caller,
        Err(denied) => return deny(&asked, &request, denied),
    };
    if is_about_objects {
        parts.metrics.count_request(caller.view(), is_watch);
    }
    if is_watch && let Err(status) = caller.take_watch() {
        let refusal = response::refusal(&asked, &status);
        return match parts.consumers.is_closing() {
            true => closing(refusal),
            false => refusal,
        };
    }
    if is_watch {
        request.extensions_mut().insert(caller);
        return next.run(request).await;
    }
    let permit = match caller.take_request() {
        Ok(permit) => permit,
        Err(status) => return response::refusal(&asked, &status),
    };
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    let payload = response.extensions_mut().remove::<Payload>();
    let charge = payload.map_or(Ok(None), |Payload(bytes)| caller.take_bytes(&bytes));
    let charge = match charge {
        Ok(charge) => charge,
        Err(status) => return response::refusal(&asked, &status),
    };
    let Caller {
        connection,
        consumers,
        ..
    } = caller;
    let held = (permit, charge);
    response.map(|body| Body::new(Sending::new(&consumers, connection, held, body)))
}

impl RequestFilter {
    /// Returns whether the request is of a size that is read at all.
    fn measure(&self, request: &Request) -> Result<(), Status> {
        let limits = self.consumers.limits();
        let uri = request.uri().path_and_query().map_or("", |it| it.as_str());
        if limits.max_uri_bytes.get() < uri.len() {
            self.metrics.refused(Limit::Uri);
            let why = format!(
                "the request's path and query have {} bytes, and may have {}",
                uri.len(),
                limits.max_uri_bytes
            );
            return Err(Status::failure(414, "", why));
        }
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| limits.max_body_bytes < length) {
            self.metrics.refused(Limit::Body);
            let why = format!("limit is {}", limits.max_body_bytes);
            let why = format!("Request entity too large: {why}");
            return Err(
                Status::failure(413, "RequestEntityTooLarge", why).about(Details::default())
            );
        }
        Ok(())
    }

    async fn caller(
        &self,
        connection: Option<Arc<Connection>>,
        headers: &HeaderMap,
        attributes: Attributes,
    ) -> Result<Caller, Denied> {
        let certificates = connection.as_ref().map(|it| it.certificates.lock().clone());
        let credentials = {
            let address = connection.as_ref().map(|it| group(it.address.ip()));
            Credentials::of(headers, certificates.unwrap_or_default(), address)
        };
        let right = self.access.right(credentials, attributes).await?;
        let address = connection.as_ref().map(|it| it.address.ip().to_canonical());
        let name = match right.user.is_anonymous() {
            true => address.map_or_else(|| "unknown".to_owned(), |it| it.to_string()),
            false => right.user.name.clone(),
        };
        Ok(Caller {
            name: name.into(),
            grant: right.grant.clone(),
            right: Some(Arc::new(right)),
            connection,
            consumers: Arc::clone(&self.consumers),
            place: None,
        })
    }
}

/// Decodes a path; one that is no text names no resource.
fn decoded(path: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy()
}

/// A refusal, as a kube-apiserver writes it.
fn deny(asked: &RequestContext, request: &Request, denied: Denied) -> Response {
    let mut response = match denied {
        Denied::Refused(status) => response::refusal(asked, &status),
        Denied::Failed(why) => {
            let uri = request.uri().path_and_query().map_or("/", |it| it.as_str());
            let text = format!("Internal Server Error: {uri:?}: {why}\n");
            let code = StatusCode::INTERNAL_SERVER_ERROR;
            response::with_type(asked, code, "text/plain; charset=utf-8", text)
        }
    };
    if response.status() != StatusCode::UNAUTHORIZED {
        let nosniff = HeaderValue::from_static("nosniff");
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    }
    response
}

/// An answer after which its connection ends, so that its client connects again.
fn closing(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, middleware, routing};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::limits::RequestLimits;

    struct Lab {
        router: Router,
        consumers: Arc<Consumers>,
    }

    impl Lab {
        fn new(change: impl FnOnce(&mut RequestLimits)) -> Self {
            let mut limits = RequestLimits::standard();
            change(&mut limits);
            let metrics = Arc::new(Metrics::default());
            let consumers = Consumers::new(limits, Arc::clone(&metrics));
            let filter = Arc::new(RequestFilter {
                consumers: Arc::clone(&consumers),
                access: crate::access::tests::open_to_all(&metrics),
                metrics,
            });
            let slow = async || tokio::time::sleep(Duration::from_secs(60)).await;
            let router = Router::new()
                .route("/slow", routing::get(slow))
                .fallback(async || "passed")
                .layer(middleware::from_fn_with_state(filter, super::filter));
            Self { router, consumers }
        }

        async fn send(&self, request: Request) -> (u16, Option<HeaderValue>, String) {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let retry = parts.headers.get(header::RETRY_AFTER).cloned();
            (parts.status.as_u16(), retry, body)
        }

        async fn get(&self, uri: &str) -> (u16, Option<HeaderValue>, String) {
            self.send(Request::get(uri).body(Body::empty()).unwrap())
                .await
        }
    }

    fn one() -> std::num::NonZeroUsize {
        1.try_into().unwrap()
    }

    #[tokio::test]
    async fn a_uri_that_is_too_long_is_refused() {
        let lab = Lab::new(|limits| limits.max_uri_bytes = 100.try_into().unwrap());
        assert_eq!(lab.get("/short").await.0, 200);
        let (status, _, body) = lab.get(&format!("/{}", "x".repeat(100))).await;
        assert_eq!(
            (status, body.contains("may have 100")),
            (414, true),
            "{body}"
        );
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_refused_unread() {
        let lab = Lab::new(|limits| limits.max_body_bytes = 10);
        let post = |n: usize| {
            let request = Request::post("/").header(header::CONTENT_LENGTH, n);
            request.body(Body::empty()).unwrap()
        };
        assert_eq!(lab.send(post(10)).await.0, 200);
        let (status, _, body) = lab.send(post(11)).await;
        let words = r#""reason":"RequestEntityTooLarge""#;
        assert_eq!((status, body.contains(words)), (413, true), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_requests_are_told_to_come_again() {
        let lab = Lab::new(|limits| limits.max_requests_inflight = one());
        let late = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            lab.get("/other").await
        };
        let (first, second) = tokio::join!(lab.get("/slow"), late);
        assert_eq!(first.0, 200);
        assert_eq!((second.0, second.1), (429, Some(HeaderValue::from(1))));
        assert_eq!(lab.get("/other").await.0, 200);
    }

    #[tokio::test]
    async fn too_many_watches_are_told_to_come_again() {
        let lab = Lab::new(|limits| limits.max_watches_per_consumer = one());
        let caller = |name: &str| Caller {
            name: name.into(),
            grant: emitter_cache::ViewFilter::default(),
            right: None,
            connection: None,
            consumers: Arc::clone(&lab.consumers),
            place: None,
        };
        let mut first = caller("a");
        assert!(first.take_watch().is_ok());
        let told = caller("a").take_watch().unwrap_err();
        assert_eq!(
            (told.code, told.message.contains("Too many watches")),
            (429, true)
        );
        assert!(caller("b").take_watch().is_ok(), "another consumer may");
        drop(first);
        assert!(caller("a").take_watch().is_ok());
    }

    #[tokio::test]
    async fn a_server_that_ends_sends_new_watches_elsewhere() {
        let lab = Lab::new(|_| {});
        lab.consumers.close();
        assert_eq!(lab.get("/api/v1/services").await.0, 200);
        let (status, retry, body) = lab.get("/api/v1/services?watch=1").await;
        assert_eq!((status, retry), (429, Some(HeaderValue::from(1))));
        assert!(body.contains("shutting down"), "{body}");
    }
}
