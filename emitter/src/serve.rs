//! Sockets: connections, their limits, and a clean end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// A client that takes longer for its handshake or its request's head holds a
/// socket for nothing. A kube-apiserver gives 32 s; a LAN client needs milliseconds.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Watches that share one HTTP/2 connection, as in a kube-apiserver by default.
const MAX_STREAMS: u32 = 100;

/// How long connections may take to finish what they are answering.
const DRAIN: Duration = Duration::from_secs(10);

/// After an accept fails, mostly for want of file descriptors, others need a moment
/// to close theirs.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How bytes travel.
#[derive(Clone)]
pub enum Transport {
    /// As they are.
    Plain,
    /// Encrypted.
    Tls(TlsAcceptor),
}

/// Serves until `shutdown`, then lets every answer come to its end.
pub async fn serve(
    listener: TcpListener,
    transport: Transport,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let server = Arc::new(builder());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let connection = Connection {
            server: Arc::clone(&server),
            router: router.clone(),
            watcher: graceful.watcher(),
        };
        let transport = transport.clone();
        connections.spawn(async move { connection.run(stream, transport).await });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown())
        .await
        .is_err()
    {
        debug!("connections were cut that did not end in time");
    }
    Ok(())
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

struct Connection {
    server: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
}

impl Connection {
    async fn run(self, stream: TcpStream, transport: Transport) {
        // Events are small and must not wait for more of them.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "a connection was gone before it began");
            return;
        }
        match transport {
            Transport::Plain => self.answer(stream).await,
            Transport::Tls(acceptor) => {
                match tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => self.answer(stream).await,
                    Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
                    Err(_) => debug!("a TLS handshake took too long"),
                }
            }
        }
    }

    async fn answer(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = TowerToHyperService::new(self.router);
        let connection = self.server.serve_connection(TokioIo::new(stream), service);
        let connection = self.watcher.watch(connection.into_owned());
        if let Err(error) = connection.await {
            debug!(%error, "a connection broke");
        }
    }
}
