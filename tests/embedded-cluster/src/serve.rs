//! Connections: accepted, refused, cut, frozen.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Whether anybody listens, and what becomes of who is connected.
pub(crate) struct Door {
    is_open: watch::Sender<bool>,
    lines: Mutex<Lines>,
}

/// What connections of the present listen to.
#[derive(Clone, Default)]
struct Lines {
    cut: CancellationToken,
    freeze: CancellationToken,
}

impl Door {
    pub(crate) fn new() -> Self {
        let lines = Mutex::default();
        let is_open = watch::Sender::new(true);
        Self { is_open, lines }
    }

    /// Whether new connections are accepted.
    pub(crate) fn open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }

    /// Ends every connection.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut *self.lines.lock()).cut.cancel();
    }

    /// Silences every connection for good.
    pub(crate) fn freeze(&self) {
        let mut lines = self.lines.lock();
        let frozen = std::mem::replace(&mut lines.freeze, CancellationToken::new());
        frozen.cancel();
    }
}

/// What is served.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) router: Router,
    pub(crate) door: Arc<Door>,
}

impl Server {
    /// Serves until it is dropped.
    pub(crate) async fn run(self, mut listener: TcpListener) {
        let mut door = self.door.is_open.subscribe();
        // It may have been closed before anybody ran.
        door.mark_changed();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok(()) = door.changed() => {
                    if *door.borrow_and_update() {
                        continue;
                    }
                    drop(listener);
                    self.door.cut();
                    let Ok(again) = self.closed(&mut door).await else { return };
                    listener = again;
                }
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(self.connection(stream))),
                    Err(error) => {
                        debug!(%error, "cannot accept a connection");
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    /// Waits until the door opens again. The port stays ours, and who knocks in the meantime is
    /// refused.
    async fn closed(&self, door: &mut watch::Receiver<bool>) -> io::Result<TcpListener> {
        let bound = bind(self.address)?;
        let opened = door.wait_for(|is_open| *is_open).await;
        opened.map_err(|_| io::ErrorKind::BrokenPipe)?;
        bound.listen(BACKLOG)
    }

    fn connection(&self, stream: TcpStream) -> impl Future<Output = ()> + 'static {
        let Lines { cut, freeze } = self.door.lines.lock().clone();
        let router = self.router.clone();
        let tls = self.tls.clone();
        let line = Line { stream, freeze };
        async move {
            let served = async move {
                let _ = line.stream.set_nodelay(true);
                match tls {
                    None => answer(line, router).await,
                    Some(tls) => match tls.accept(line).await {
                        Ok(stream) => answer(stream, router).await,
                        Err(error) => debug!(%error, "a TLS handshake failed"),
                    },
                }
            };
            cut.run_until_cancelled(served).await;
        }
    }
}

/// Clients that come at once, as kube-apiserver's system would queue them.
const BACKLOG: u32 = 1024;

/// An address that is ours, before anybody listens.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens there.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(BACKLOG)
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%error, "a connection broke");
    }
}

/// A connection that can fall silent.
struct Line {
    stream: TcpStream,
    freeze: CancellationToken,
}

impl Line {
    fn if_alive<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        // Nobody wakes a frozen line: that is the point.
        match self.freeze.is_cancelled() {
            true => Poll::Pending,
            false => poll(Pin::new(&mut self.stream)),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.if_alive(|stream| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.if_alive(|stream| stream.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.if_alive(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.if_alive(|stream| stream.poll_shutdown(context))
    }
}
