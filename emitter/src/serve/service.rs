//! HTTP service of one connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, Version, header};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use proto_types::Status;
use tower::ServiceExt;

use crate::connections::{Connection, InFlight};

/// Treatment of the requests of a connection.
#[derive(Clone)]
pub(super) enum Answers {
    /// The router answers them.
    All(Router),
    /// Each gets status code 429, because there are too many connections.
    TooMany,
}

/// Slot for a response that leaves the HTTP library.
pub(super) struct Handover {
    /// Set while the library may still have to write.
    unflushed: Arc<AtomicBool>,
    response: Mutex<Option<Response<Counted>>>,
}

/// Service that answers the requests of one connection.
pub(super) struct Service {
    pub(super) connection: Arc<Connection>,
    pub(super) answers: Answers,
    pub(super) handover: Arc<Handover>,
}

impl Service {
    pub(super) const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(super) const fn handover(&self) -> &Arc<Handover> {
        &self.handover
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Counted>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.connection.request();
        let connection = Arc::clone(&self.connection);
        let answers = self.answers.clone();
        let handover = may_leave(&request).then(|| Arc::clone(&self.handover));
        Box::pin(async move {
            let response = match answers {
                Answers::All(router) => {
                    let mut request = request.map(Body::new);
                    request.extensions_mut().insert(connection);
                    router.oneshot(request).await?
                }
                Answers::TooMany => too_many(),
            };
            let response = response.map(|body| Counted {
                body,
                _in_flight: in_flight,
            });
            let is_long = response.body().size_hint().exact().is_none();
            match handover.filter(|it| is_long && it.is_possible()) {
                Some(handover) => {
                    handover.give(response);
                    std::future::pending().await
                }
                None => Ok(response),
            }
        })
    }
}

/// Returns whether the HTTP library needs nothing of a request but its head.
fn may_leave(request: &Request<Incoming>) -> bool {
    let connection = request.headers().get(header::CONNECTION);
    request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && request.body().is_end_stream()
        && connection.is_none_or(|it| it.as_bytes().eq_ignore_ascii_case(b"keep-alive"))
}

fn too_many() -> Response<Body> {
    let status = Status::too_many_requests("Too many connections, please try again later.", 1);
    let mut response = Response::new(Body::from(status.to_json()));
    *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::RETRY_AFTER, "1"),
        (header::CONNECTION, "close"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Body that counts as a request in flight until it was sent.
pub(super) struct Counted {
    body: Body,
    _in_flight: InFlight,
}

impl HttpBody for Counted {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Handover {
    pub(super) fn new(unflushed: Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self {
            unflushed,
            response: Mutex::new(None),
        })
    }

    /// Returns whether the library has nothing left to write, so that another writer may.
    pub(super) fn is_possible(&self) -> bool {
        !self.unflushed.load(Ordering::Relaxed)
    }

    /// Hands a response over. The service never answers that request itself.
    pub(super) fn give(&self, response: Response<Counted>) {
        *self.response.lock() = Some(response);
    }

    /// Returns the response that was handed over, if there is one.
    pub(super) fn take(&self) -> Option<Response<Counted>> {
        self.response.lock().take()
    }
}
