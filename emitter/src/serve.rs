//! Sockets: connections, their limits, and a clean end.

mod chunked_response;
mod connection;
mod http_connection;
mod replay_stream;
mod service;
mod write_coalescing;
mod write_timeout;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::connection::Server;
use self::http_connection::Http;
use self::service::Answers;
use crate::connections::{AcceptDecision, Connections};
use crate::tls::Certificates;

/// Time for which connections may finish their responses after all watches were ended.
pub const DRAIN: Duration = Duration::from_secs(10);

/// After an accept fails, mostly for want of file descriptors, others need a moment
/// to close theirs.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Transport of a listener.
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
        http: Http::new(connections.limits()),
        transport,
        limits: connections.limits().clone(),
        metrics: Arc::clone(connections.metrics()),
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
            AcceptDecision::Serve(place) => (place, Answers::All(router.clone())),
            AcceptDecision::Refuse(place) => (place, Answers::TooMany),
            AcceptDecision::Close => continue,
        };
        running.spawn(Arc::clone(&server).run(stream, place, answers));
    }
    drop(listener);
    connections.close();
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
    /// Cancelled when no connection is accepted any more; connections end after their responses.
    pub closing: CancellationToken,
    /// All watches have been ended.
    pub ended: CancellationToken,
}

#[cfg(test)]
mod tests;
