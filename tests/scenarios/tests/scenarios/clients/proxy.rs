//! A TCP proxy that breaks what it carries: connections are cut in the middle of a line
//! or a frame, refused, or led to another server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::lab::{eventually, free_port};

/// Carries connections until it is dropped.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    orders: watch::Sender<Orders>,
    n_cut: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Clone, Copy)]
struct Orders {
    /// Where connections lead; nowhere, and they are refused.
    target: Option<SocketAddr>,
    /// Connections that were made under another number end at once.
    epoch: u64,
    /// Whether connections are cut when their time has come.
    cuts: bool,
}

/// A reader that is cut off within a second of its question, before its first event,
/// takes that for a server's fault and lists again. So no connection is cut so soon after
/// a question.
const LIFETIMES: std::ops::Range<u64> = 1500..4000;

/// What a client sends in so many bytes is a question, and no mere acknowledgement.
const QUESTION: usize = 100;

impl Proxy {
    pub(super) async fn new(target: SocketAddr) -> anyhow::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let (orders, heard) = watch::channel(Orders {
            target: Some(target),
            epoch: 0,
            cuts: false,
        });
        let n_cut = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(address, heard, Arc::clone(&n_cut)));
        eventually("the proxy listens", async || {
            TcpStream::connect(address).await?;
            Ok(())
        })
        .await?;
        Ok(Self {
            address,
            orders,
            n_cut,
            _tasks: tasks,
        })
    }

    /// Begins or ends to cut connections.
    pub(super) fn cut(&self, cuts: bool) {
        self.orders.send_modify(|orders| orders.cuts = cuts);
    }

    /// How many it has cut in the middle of what they were told.
    pub(super) fn n_cut(&self) -> usize {
        self.n_cut.load(Ordering::Relaxed)
    }

    /// The next connections lead there; those that are open stay where they are.
    pub(super) fn lead_next_to(&self, target: SocketAddr) {
        self.orders
            .send_modify(|orders| orders.target = Some(target));
    }

    /// Ends all connections; the next lead there.
    pub(super) fn lead_to(&self, target: SocketAddr) {
        self.order(Some(target));
    }

    /// Ends all connections and refuses others, as a machine does on which no server runs.
    pub(super) async fn refuse(&self) -> anyhow::Result<()> {
        self.order(None);
        eventually("the proxy refuses connections", async || {
            ensure!(TcpStream::connect(self.address).await.is_err());
            Ok(())
        })
        .await
    }

    /// Leads there as soon as somebody listens there, ready or not.
    pub(super) async fn lead_to_when_it_listens(&self, target: SocketAddr) -> anyhow::Result<()> {
        eventually("there is a server", async || {
            TcpStream::connect(target).await?;
            Ok(())
        })
        .await?;
        self.order(Some(target));
        Ok(())
    }

    fn order(&self, target: Option<SocketAddr>) {
        self.orders.send_modify(|orders| {
            orders.target = target;
            orders.epoch += 1;
        });
    }
}

async fn serve(address: SocketAddr, mut orders: watch::Receiver<Orders>, n_cut: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    let mut listener = None;
    loop {
        let now = *orders.borrow_and_update();
        listener = match (now.target, listener) {
            (None, _) => None,
            (Some(_), None) => listen(address).ok(),
            (Some(_), listening) => listening,
        };
        tokio::select! {
            changed = orders.changed() => if changed.is_err() {
                return;
            },
            client = accept(listener.as_ref()) => if let (Some(client), Some(target)) = (client, now.target) {
                let orders = orders.clone();
                let n_cut = Arc::clone(&n_cut);
                connections.spawn(carry(client, target, now.epoch, orders, n_cut));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    epoch: u64,
    mut orders: watch::Receiver<Orders>,
    n_cut: Arc<AtomicUsize>,
) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let lifetime = || Instant::now() + Duration::from_millis(fastrand::u64(LIFETIMES));
    let dies = Mutex::new(lifetime());
    let cuts = orders.clone();
    let may_cut = || cuts.borrow().cuts && *dies.lock() < Instant::now();
    {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let up = async {
            let mut buffer = vec![0; 16 << 10];
            loop {
                let n_read = from_client.read(&mut buffer).await?;
                if QUESTION < n_read {
                    *dies.lock() = lifetime();
                }
                to_server.write_all(&buffer[..n_read]).await?;
                if n_read == 0 {
                    return std::io::Result::Ok(());
                }
            }
        };
        let down = async {
            let mut buffer = vec![0; 16 << 10];
            loop {
                let n_read = from_server.read(&mut buffer).await?;
                let is_cut = may_cut() && 0 < n_read;
                let n_told = if is_cut {
                    fastrand::usize(..n_read)
                } else {
                    n_read
                };
                to_client.write_all(&buffer[..n_told]).await?;
                if n_read == 0 || is_cut {
                    n_cut.fetch_add(usize::from(is_cut), Ordering::Relaxed);
                    return std::io::Result::Ok(());
                }
            }
        };
        tokio::select! {
            _ = up => {}
            _ = down => {}
            _ = orders.wait_for(|orders| orders.epoch != epoch) => {}
        }
    }
    // Some ends come as a reset, some as an end of the stream.
    if fastrand::bool() {
        let _ = client.set_zero_linger();
    }
}
