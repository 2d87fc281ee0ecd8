//! The socket of the admin port: bounded in connections, heads and time.
//!
//! A client of the port can take little of it: the probes of the kubelet come from another address,
//! and must be answered in any case.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, warn};

/// Maximum number of connections.
pub const MAX_CONNECTIONS: usize = 256;

/// Maximum number of connections of one address.
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 16;

/// Time for the head of a request, and between two requests.
const HEAD: Duration = Duration::from_secs(10);

/// Time for all requests of a connection. Clients open another one.
const LIFETIME: Duration = Duration::from_secs(60);

/// Time for requests to end after that, or at shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// Maximum size of a request's head in bytes.
pub const MAX_HEAD: usize = 16 << 10;

/// After an accept fails, mostly for want of file descriptors, others need a moment
/// to close theirs.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Address of the client, as an extension of each request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// The same routes for connections within this process, which are of the machine itself.
pub fn within_machine(router: Router) -> Router {
    router.layer(axum::Extension(Peer(IpAddr::from([127, 0, 0, 1]))))
}

/// Connections by address.
#[derive(Debug, Default)]
struct Places(Mutex<HashMap<IpAddr, usize>>);

/// A place among the connections, until this is dropped.
struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut open = self.0.lock();
        let n_all: usize = open.values().sum();
        let n_own = open.get(&address).copied().unwrap_or(0);
        if MAX_CONNECTIONS <= n_all || MAX_CONNECTIONS_PER_ADDRESS <= n_own {
            return None;
        }
        open.insert(address, n_own + 1);
        Some(Place {
            places: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.0.lock();
        if let Some(n) = open.get_mut(&self.address) {
            *n -= 1;
            if *n == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// Serves until `shutdown`, then lets requests end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Places::default());
    let mut running = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = running.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let address = peer.ip().to_canonical();
                let Some(place) = places.admit(address) else {
                    debug!(%address, "closed a connection to the admin port: there are too many");
                    continue;
                };
                let router = router.clone();
                let shutdown = shutdown.clone();
                running.spawn(async move {
                    converse(stream, peer, router, shutdown).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection to the admin port");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    while running.join_next().await.is_some() {}
    Ok(())
}

/// Answers the requests of one connection, for as long as it may last.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        let address = peer.ip().to_canonical();
        request.extensions_mut().insert(Peer(address));
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router
                    .oneshot(request)
                    .await
                    .unwrap_or_else(|it| match it {}),
            )
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                debug!(%error, "a connection to the admin port broke");
            }
            return;
        }
        () = tokio::time::sleep(LIFETIME) => {}
        () = shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(GRACE, connection).await;
}
