//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use proto_types::Status;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;

use super::Transport;
use super::paced::Paced;
use crate::connections::{Connection, InFlight, Place};
use crate::limits::ConnectionLimits;
use crate::metrics::{Limit, Metrics};

/// What all connections of a server share.
pub(super) struct Server {
    pub(super) http: auto::Builder<TokioExecutor>,
    pub(super) transport: Transport,
    pub(super) limits: ConnectionLimits,
    pub(super) metrics: Arc<Metrics>,
    /// Connections are to end when they have answered what they were asked.
    pub(super) closing: CancellationToken,
}

/// What is done with requests.
#[derive(Clone)]
pub(super) enum Answers {
    /// They are answered.
    All(Router),
    /// There are too many connections.
    TooMany,
}

impl Server {
    pub(super) async fn run(self: Arc<Self>, stream: TcpStream, place: Place, answers: Answers) {
        // Events are small and must not wait for more of them.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "a connection was gone before it began");
            return;
        }
        let connection = Arc::clone(&place.connection);
        let paced = Paced::new(
            stream,
            Arc::clone(&connection),
            self.limits.write_timeout,
            Arc::clone(&self.metrics),
        );
        match &self.transport {
            Transport::Plain => self.answer(paced, connection, answers).await,
            Transport::Tls(certificates) => {
                let handshake = async {
                    let _turn = place.handshakes.acquire().await;
                    certificates.acceptor().accept(paced).await
                };
                match tokio::time::timeout(self.limits.handshake_timeout, handshake).await {
                    Ok(Ok(stream)) => {
                        let (_, session) = stream.get_ref();
                        let chain = session.peer_certificates().unwrap_or_default();
                        *connection.certificates.lock() =
                            chain.iter().map(|it| it.clone().into_owned()).collect();
                        self.answer(stream, connection, answers).await;
                    }
                    Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
                    Err(_) => {
                        self.metrics.refused(Limit::Handshake);
                        debug!("a TLS handshake took too long");
                    }
                }
            }
        }
    }

    async fn answer(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        connection: Arc<Connection>,
        answers: Answers,
    ) {
        let cut = connection.cut.clone();
        let service = Service {
            connection: Arc::clone(&connection),
            answers,
        };
        let service = hyper::service::service_fn(move |request| service.clone().call(request));
        let mut serving = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = &mut serving => {
                if let Err(error) = ended {
                    debug!(%error, "a connection broke");
                }
                return;
            }
            () = self.first_head(&connection) => {
                self.metrics.refused(Limit::Header);
                debug!("a first request took too long");
                return;
            }
            () = connection.idle(self.limits.idle_timeout) => {}
            () = self.closing.cancelled() => {}
            () = cut.cancelled() => return,
        }
        // What is being answered comes to its end: watches are ended by their consumers'
        // entries, in their own time.
        serving.as_mut().graceful_shutdown();
        tokio::select! {
            _ = serving => {}
            () = cut.cancelled() => {}
        }
    }

    /// Returns if no request's head has come in time.
    async fn first_head(&self, connection: &Connection) {
        let first = connection.first_request();
        if tokio::time::timeout(self.limits.header_timeout, first)
            .await
            .is_ok()
        {
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Clone)]
struct Service {
    connection: Arc<Connection>,
    answers: Answers,
}

impl Service {
    fn call(
        self,
        request: Request<Incoming>,
    ) -> BoxFuture<'static, Result<Response<Counted>, Infallible>> {
        let in_flight = self.connection.request();
        Box::pin(async move {
            let response = match self.answers {
                Answers::All(router) => {
                    let mut request = request.map(Body::new);
                    request.extensions_mut().insert(self.connection);
                    router.oneshot(request).await?
                }
                Answers::TooMany => too_many(),
            };
            Ok(response.map(|body| Counted {
                body,
                _in_flight: in_flight,
            }))
        })
    }
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

/// A body that counts as a request in flight until it has been sent.
struct Counted {
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
