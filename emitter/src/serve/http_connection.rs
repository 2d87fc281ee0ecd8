//! Connection of the HTTP library, and how a response leaves it.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use super::replay_stream::{Protocol, Rewound};
use super::service::{Counted, Handover, Service};
use super::write_coalescing::Gathered;
use crate::connections::Connection;
use crate::limits::ConnectionLimits;

/// Time in which an HTTP/2 client must answer a ping; the default of Go is 15 s.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum size of the send buffer of one HTTP/2 stream. Watch events are shared and this is a
/// copy, so it is small.
const STREAM_BUFFER: usize = 64 << 10;

/// Streams that a client opened and reset before they were answered (CVE-2023-44487),
/// and those reset for its errors: more, and the connection ends. The first is h2's own
/// default.
const MAX_PENDING_RESETS: usize = 20;
const MAX_ERROR_RESETS: usize = 100;

/// The library takes no less.
const MIN_BUFFER: usize = 8 << 10;

/// Settings of the HTTP library.
pub(super) struct Http {
    one: http1::Builder,
    two: http2::Builder<TokioExecutor>,
}

/// One connection with the HTTP library.
pub(super) enum Conversation {
    /// Over HTTP/1.1.
    One(
        Box<http1::Connection<TokioIo<Rewound<Io>>, Service>>,
        Arc<Handover>,
    ),
    /// Over HTTP/2.
    Two(Box<Shared>),
}

type Two = http2::Connection<TokioIo<Gathered<Rewound<Io>>>, Service, TokioExecutor>;

/// A connection over HTTP/2, whose streams have tasks of their own.
pub(super) struct Shared {
    library: Two,
    /// Its writes are sent when the library has nothing more to do.
    turn: Gathered<Rewound<Io>>,
    connection: Arc<Connection>,
    /// The tasks of its streams have had their chance.
    has_yielded: bool,
}

/// A stream, what has been read from it already, and the answer to be written to it.
pub(super) type Handed = ((Io, Bytes), Response<Counted>);

/// A client's bytes, however they travel. On the heap, since it passes through many hands:
/// whatever waits for it would have room for it in each of them.
pub(super) type Io = Box<dyn ReadWrite>;

/// Stream of bytes in both directions.
pub(super) trait ReadWrite: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ReadWrite for S {}

impl Http {
    pub(super) fn new(limits: &ConnectionLimits) -> Self {
        let max_header_bytes = limits.max_header_bytes.get();
        let mut one = http1::Builder::new();
        one.timer(TokioTimer::new())
            // Its clock also runs while a connection sends no request.
            .header_read_timeout(limits.idle_timeout)
            .max_buf_size(max_header_bytes.max(MIN_BUFFER));
        let mut two = http2::Builder::new(TokioExecutor::new());
        two.timer(TokioTimer::new())
            .max_concurrent_streams(limits.http2_max_streams_per_connection)
            .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_ERROR_RESETS)
            .max_send_buf_size(STREAM_BUFFER)
            .keep_alive_interval(limits.http2_ping_interval)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { one, two }
    }
}

impl Conversation {
    pub(super) fn new(
        http: &Http,
        protocol: Protocol,
        stream: Rewound<Io>,
        service: Service,
    ) -> Self {
        let handover = Arc::clone(service.handover());
        match protocol {
            Protocol::One => {
                let stream = TokioIo::new(stream);
                let connection = http.one.serve_connection(stream, service);
                Self::One(Box::new(connection), handover)
            }
            Protocol::Two => {
                let (stream, turn) = Gathered::new(stream);
                let connection = Arc::clone(service.connection());
                let library = http.two.serve_connection(TokioIo::new(stream), service);
                Self::Two(Box::new(Shared {
                    library,
                    turn,
                    connection,
                    has_yielded: false,
                }))
            }
        }
    }

    /// Answers requests until the connection ends or an answer is handed over.
    pub(super) async fn next(&mut self) -> Option<Response<Counted>> {
        poll_fn(|cx| {
            let ended = match self {
                Self::One(connection, handover) => match Pin::new(connection).poll(cx) {
                    Poll::Ready(ended) => ended.map_err(Into::into),
                    Poll::Pending => {
                        let handed = handover.take();
                        return handed.map_or(Poll::Pending, |it| Poll::Ready(Some(it)));
                    }
                },
                Self::Two(shared) => ready!(shared.poll(cx)),
            };
            if let Err(error) = ended {
                debug!(%error, "a connection broke");
            }
            Poll::Ready(None)
        })
        .await
    }

    /// Takes no further request.
    pub(super) fn end(&mut self) {
        match self {
            Self::One(connection, _) => Pin::new(&mut **connection).graceful_shutdown(),
            Self::Two(shared) => Pin::new(&mut shared.library).graceful_shutdown(),
        }
    }

    /// Returns the stream after a response was handed over, with the bytes that were read from it.
    pub(super) fn leave(self, response: Response<Counted>) -> Option<Handed> {
        match self {
            Self::One(connection, _) => {
                let parts = connection.into_parts();
                let (stream, unread) = parts.io.into_inner().into_parts();
                // What the library has read comes before what it had not got to.
                let read = match unread.is_empty() {
                    true => parts.read_buf,
                    false => [parts.read_buf, unread].concat().into(),
                };
                Some(((stream, read), response))
            }
            Self::Two(_) => None,
        }
    }
}

impl Shared {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<dyn Error>>> {
        // The first stream that has something to send wakes this task, which would run
        // before the second has had its chance.
        self.has_yielded = !self.has_yielded && 1 < self.connection.n_in_flight();
        if self.has_yielded {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let ended = Pin::new(&mut self.library).poll(cx);
        // Where this has to wait, it wakes this task.
        if let Poll::Ready(Err(error)) = self.turn.end_turn(cx) {
            return Poll::Ready(Err(error.into()));
        }
        ended.map_err(Into::into)
    }
}
