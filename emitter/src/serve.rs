//! Sockets: connections, their limits, and a clean end.

mod connection;
mod paced;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::connection::{Answers, Server};
use crate::connections::{Admission, Connections};
use crate::limits::ConnectionLimits;
use crate::tls::Certificates;

/// How long connections may take to finish what they are answering, once all watches
/// have been ended.
pub const DRAIN: Duration = Duration::from_secs(10);

/// After an accept fails, mostly for want of file descriptors, others need a moment
/// to close theirs.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How long an HTTP/2 client may take to say that it is there; Go's default is 15 s.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What one HTTP/2 stream may have waiting to be sent. Frames are shared and this is a
/// copy, so it is kept small.
const STREAM_BUFFER: usize = 64 << 10;

/// Streams that a client opened and reset before they were answered (CVE-2023-44487),
/// and those reset for its errors: more, and the connection ends. The first is h2's own
/// default.
const MAX_PENDING_RESETS: usize = 20;
const MAX_ERROR_RESETS: usize = 100;

/// How bytes travel.
#[derive(Clone)]
pub enum Transport {
    /// As they are.
    Plain,
    /// Encrypted.
    Tls(Arc<Certificates>),
}

/// Serves until `closing`, then lets every answer come to its end; what has not when
/// `ended` is cancelled is cut after [`DRAIN`].
pub async fn serve(
    listener: TcpListener,
    transport: Transport,
    router: Router,
    connections: Arc<Connections>,
    end: End,
) -> io::Result<()> {
    let server = Arc::new(Server {
        http: builder(connections.limits()),
        transport,
        limits: connections.limits().clone(),
        metrics: Arc::clone(connections.metrics()),
        closing: end.closing.clone(),
    });
    let mut running = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = end.closing.cancelled() => break,
            Some(_) = running.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let (place, answers) = match connections.admit(address) {
            Admission::Serve(place) => (place, Answers::All(router.clone())),
            Admission::Refuse(place) => (place, Answers::TooMany),
            Admission::Close => continue,
        };
        running.spawn(Arc::clone(&server).run(stream, place, answers));
    }
    drop(listener);
    let all_ended = async { while running.join_next().await.is_some() {} };
    let too_late = async {
        end.ended.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = all_ended => {}
        () = too_late => debug!("connections were cut that did not end in time"),
    }
    Ok(())
}

/// The two steps of an end.
#[derive(Debug, Clone, Default)]
pub struct End {
    /// Nobody is accepted any more; connections end when they have answered.
    pub closing: CancellationToken,
    /// All watches have been ended.
    pub ended: CancellationToken,
}

fn builder(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let max_header_bytes = limits.max_header_bytes.get();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Its clock also runs while a connection has nothing to ask.
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(max_header_bytes.max(MIN_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_max_streams_per_connection)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .max_send_buf_size(STREAM_BUFFER)
        .keep_alive_interval(limits.http2_ping_interval)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// The library takes no less.
const MIN_BUFFER: usize = 8 << 10;

#[cfg(test)]
mod tests;
