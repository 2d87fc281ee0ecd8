//! Open connections, and their limits.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tokio::sync::{Semaphore, watch};

use crate::limits::ConnectionLimits;
use crate::metrics::{Limit, Metrics};
use crate::notify::Notifier;

/// The connections of all servers of this process.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    metrics: Arc<Metrics>,
    open: Mutex<Open>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    is_closing: bool,
    all: HashMap<u64, Arc<Connection>>,
    addresses: HashMap<IpAddr, Address>,
}

/// Connections of one address.
#[derive(Debug)]
struct Address {
    n_connections: usize,
    handshakes: Arc<Semaphore>,
}

/// One connection, as the handlers of its requests see it.
#[derive(Debug)]
pub struct Connection {
    /// Its number, in the order of arrival.
    pub id: u64,
    /// The client's end.
    pub address: SocketAddr,
    /// Since when.
    pub since: Timestamp,
    /// Bytes that the socket took.
    pub bytes_written: AtomicU64,
    /// Certificate chain of the client, if it sent one.
    pub certificates: Mutex<Vec<CertificateDer<'static>>>,
    /// Heard by the one task that serves it.
    notifier: Notifier,
    requests: watch::Sender<Requests>,
}

/// Numbers of finished and of current requests.
#[derive(Debug, Clone, Copy, Default)]
struct Requests {
    n_begun: u64,
    n_in_flight: usize,
}

/// A place among the connections, for as long as it lives.
#[derive(Debug)]
pub struct ConnectionSlot {
    connections: Arc<Connections>,
    /// Connection in the slot.
    pub connection: Arc<Connection>,
    /// Taken for as long as a handshake is computed.
    pub handshakes: Arc<Semaphore>,
}

/// Decision about a client that connects.
#[derive(Debug)]
pub enum AcceptDecision {
    /// It is served.
    Serve(ConnectionSlot),
    /// There are too many, and the response is a 429.
    Refuse(ConnectionSlot),
    /// There are too many even for that.
    Close,
}

/// Counts one request for as long as it is answered.
#[derive(Debug)]
pub struct InFlight(Arc<Connection>);

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new(limits: ConnectionLimits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            metrics,
            open: Mutex::default(),
            next: AtomicU64::new(1),
        })
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    /// Returns the metrics that count rejections.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Decides about a client that connects.
    pub fn admit(self: &Arc<Self>, address: SocketAddr) -> AcceptDecision {
        let from = group(address.ip());
        let mut open = self.open.lock();
        let n_all = open.all.len();
        let n_here = open.addresses.get(&from).map_or(0, |it| it.n_connections);
        let whole = verdict(n_all, self.limits.max_connections.get());
        let here = verdict(n_here, self.limits.max_connections_per_address.get());
        for (verdict, limit) in [
            (whole, Limit::Connections),
            (here, Limit::ConnectionsPerAddress),
        ] {
            if verdict != Verdict::Serve {
                self.metrics.refused(limit);
            }
        }
        let verdict = whole.max(here);
        if verdict == Verdict::Close {
            return AcceptDecision::Close;
        }
        let place = self.place(&mut open, address, from);
        drop(open);
        match verdict {
            Verdict::Serve => AcceptDecision::Serve(place),
            Verdict::Refuse | Verdict::Close => AcceptDecision::Refuse(place),
        }
    }

    fn place(
        self: &Arc<Self>,
        open: &mut Open,
        address: SocketAddr,
        from: IpAddr,
    ) -> ConnectionSlot {
        let connection = Arc::new(Connection {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            address,
            since: Timestamp::now(),
            bytes_written: AtomicU64::new(0),
            certificates: Mutex::default(),
            notifier: Notifier::default(),
            requests: watch::Sender::default(),
        });
        if open.is_closing {
            connection.close();
        }
        open.all.insert(connection.id, Arc::clone(&connection));
        let here = open.addresses.entry(from).or_insert_with(|| Address {
            n_connections: 0,
            handshakes: Arc::new(Semaphore::new(self.limits.max_handshakes_per_address.get())),
        });
        here.n_connections += 1;
        ConnectionSlot {
            connections: Arc::clone(self),
            connection,
            handshakes: Arc::clone(&here.handshakes),
        }
    }

    /// Ends all, those to come too, after they have sent their responses.
    pub fn close(&self) {
        let mut open = self.open.lock();
        open.is_closing = true;
        open.all.values().for_each(|it| it.close());
    }

    /// All that are open.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.open.lock().all.values().cloned().collect()
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.lock().all.len()
    }

    /// Returns whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Compares a number with its limit; a sixteenth more is answered with the reason.
fn verdict(n_open: usize, limit: usize) -> Verdict {
    if n_open < limit {
        Verdict::Serve
    } else if n_open < limit + limit.div_ceil(16) {
        Verdict::Refuse
    } else {
        Verdict::Close
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Serve,
    Refuse,
    Close,
}

/// Returns the address, or its /64: a client with one of these addresses has all.
#[must_use]
pub fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.all.remove(&self.connection.id);
        let from = group(self.connection.address.ip());
        if let Some(here) = open.addresses.get_mut(&from) {
            here.n_connections -= 1;
            if here.n_connections == 0 {
                open.addresses.remove(&from);
            }
        }
    }
}

/// Signal to a connection; a later one overrides earlier ones.
#[repr(u8)]
enum Word {
    Close = 1,
    Cut,
}

impl Connection {
    fn close(&self) {
        self.notifier.set_signal(Word::Close as u8);
    }

    /// Ends it without a word.
    pub fn close_now(&self) {
        self.notifier.set_signal(Word::Cut as u8);
    }

    /// Returns when it is to end after it has sent its responses, or at once.
    pub async fn closing(&self) {
        self.notifier.wait_for(Word::Close as u8).await;
    }

    /// Returns when it is to end without a word.
    pub async fn closed_now(&self) {
        self.notifier.wait_for(Word::Cut as u8).await;
    }

    /// Returns whether it is to end without a word.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        Word::Cut as u8 <= self.notifier.signal()
    }

    /// A request has come; it counts until the guard is dropped.
    #[must_use]
    pub fn request(self: &Arc<Self>) -> InFlight {
        self.requests.send_modify(|requests| {
            requests.n_begun += 1;
            requests.n_in_flight += 1;
        });
        InFlight(Arc::clone(self))
    }

    /// Returns the number of requests in flight.
    #[must_use]
    pub fn n_in_flight(&self) -> usize {
        self.requests.borrow().n_in_flight
    }

    /// Returns when a first request has come.
    pub async fn first_request(&self) {
        let mut requests = self.requests.subscribe();
        // The sender is ours, and lives as long as we do.
        let _ = requests.wait_for(|it| 0 < it.n_begun).await;
    }

    /// Returns when no request has been there for that long.
    pub async fn idle(&self, timeout: Duration) {
        let mut requests = self.requests.subscribe();
        loop {
            let _ = requests.wait_for(|it| it.n_in_flight == 0).await;
            if tokio::time::timeout(timeout, requests.changed())
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let requests = &self.0.requests;
        requests.send_modify(|requests| requests.n_in_flight -= 1);
    }
}

#[cfg(test)]
mod tests;
