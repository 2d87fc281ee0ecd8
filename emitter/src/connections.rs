//! Who is connected, and how many may be.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::limits::ConnectionLimits;
use crate::metrics::{Limit, Metrics};

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
    all: HashMap<u64, Arc<Connection>>,
    addresses: HashMap<IpAddr, Address>,
}

/// What one address has.
#[derive(Debug)]
struct Address {
    n_connections: usize,
    handshakes: Arc<Semaphore>,
}

/// One connection, as those see it who answer its requests.
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
    /// What the client's certificate is, if it brought one.
    pub certificates: Mutex<Vec<CertificateDer<'static>>>,
    /// Ends it without a word.
    pub cut: CancellationToken,
    requests: watch::Sender<Requests>,
}

/// How many requests there were, and are.
#[derive(Debug, Clone, Copy, Default)]
struct Requests {
    n_begun: u64,
    n_in_flight: usize,
}

/// A place among the connections, for as long as it lives.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    /// Who has it.
    pub connection: Arc<Connection>,
    /// Taken for as long as a handshake is computed.
    pub handshakes: Arc<Semaphore>,
}

/// What becomes of a client that connects.
#[derive(Debug)]
pub enum Admission {
    /// It is served.
    Serve(Place),
    /// There are too many, and it is told so.
    Refuse(Place),
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

    /// What counts who is refused.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Decides about a client that connects.
    pub fn admit(self: &Arc<Self>, address: SocketAddr) -> Admission {
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
            return Admission::Close;
        }
        let place = self.place(&mut open, address, from);
        drop(open);
        match verdict {
            Verdict::Serve => Admission::Serve(place),
            Verdict::Refuse | Verdict::Close => Admission::Refuse(place),
        }
    }

    fn place(self: &Arc<Self>, open: &mut Open, address: SocketAddr, from: IpAddr) -> Place {
        let connection = Arc::new(Connection {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            address,
            since: Timestamp::now(),
            bytes_written: AtomicU64::new(0),
            certificates: Mutex::default(),
            cut: CancellationToken::new(),
            requests: watch::Sender::default(),
        });
        open.all.insert(connection.id, Arc::clone(&connection));
        let here = open.addresses.entry(from).or_insert_with(|| Address {
            n_connections: 0,
            handshakes: Arc::new(Semaphore::new(self.limits.max_handshakes_per_address.get())),
        });
        here.n_connections += 1;
        Place {
            connections: Arc::clone(self),
            connection,
            handshakes: Arc::clone(&here.handshakes),
        }
    }

    /// All that are open.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.open.lock().all.values().cloned().collect()
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.lock().all.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a count says against its limit; a sixteenth more is told why.
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

/// Whoever has one address of a /64 has all of them.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

impl Drop for Place {
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

impl Connection {
    /// A request has come; it counts until the guard is dropped.
    #[must_use]
    pub fn request(self: &Arc<Self>) -> InFlight {
        self.requests.send_modify(|requests| {
            requests.n_begun += 1;
            requests.n_in_flight += 1;
        });
        InFlight(Arc::clone(self))
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
mod tests {
    use super::*;

    fn connections(all: usize, each: usize) -> Arc<Connections> {
        let mut limits = ConnectionLimits::standard();
        limits.max_connections = all.try_into().unwrap();
        limits.max_connections_per_address = each.try_into().unwrap();
        Connections::new(limits, Arc::new(Metrics::default()))
    }

    fn from(connections: &Arc<Connections>, address: &str) -> Admission {
        connections.admit(format!("{address}:1000").parse().unwrap())
    }

    #[test]
    fn one_address_cannot_keep_out_another() {
        let connections = connections(10, 4);
        let mut kept = Vec::new();
        for _ in 0..4 {
            match from(&connections, "10.0.0.1") {
                Admission::Serve(place) => kept.push(place),
                other => unreachable!("{other:?}"),
            }
        }
        let told = from(&connections, "10.0.0.1");
        assert!(matches!(told, Admission::Refuse(_)), "{told:?}");
        assert!(matches!(from(&connections, "10.0.0.1"), Admission::Close));
        assert!(matches!(
            from(&connections, "10.0.0.2"),
            Admission::Serve(_)
        ));
        drop((kept, told));
        assert!(connections.is_empty());
        assert!(connections.open.lock().addresses.is_empty());
    }

    #[test]
    fn all_addresses_together_have_a_limit() {
        let connections = connections(2, 2);
        let _a = from(&connections, "10.0.0.1");
        let _b = from(&connections, "10.0.0.2");
        assert!(matches!(
            from(&connections, "10.0.0.3"),
            Admission::Refuse(_)
        ));
    }

    #[test]
    fn a_net_of_ipv6_is_one_address() {
        let connections = connections(10, 1);
        let _one = from(&connections, "[2001:db8::1]");
        let other = from(&connections, "[2001:db8::2]");
        assert!(matches!(other, Admission::Refuse(_)), "{other:?}");
        let elsewhere = from(&connections, "[2001:db8:0:1::1]");
        assert!(matches!(elsewhere, Admission::Serve(_)), "{elsewhere:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_request_is_noticed_by_all_who_wait_for_it() {
        let connections = connections(10, 10);
        let Admission::Serve(place) = from(&connections, "10.0.0.1") else {
            unreachable!("there is room");
        };
        let patience = Duration::from_secs(60);
        let first = tokio::time::timeout(patience, place.connection.first_request());
        let idle = tokio::time::timeout(patience, place.connection.idle(2 * patience));
        let ask = async {
            tokio::task::yield_now().await;
            let request = place.connection.request();
            tokio::time::sleep(2 * patience).await;
            drop(request);
        };
        let (first, idle, ()) = tokio::join!(first, idle, ask);
        assert!(first.is_ok() && idle.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_its_last_answer_has_ended_long_ago() {
        let connections = connections(10, 10);
        let Admission::Serve(place) = from(&connections, "10.0.0.1") else {
            unreachable!("there is room");
        };
        let request = place.connection.request();
        place.connection.first_request().await;
        let patience = Duration::from_secs(60);
        let idle = place.connection.idle(Duration::from_secs(10));
        tokio::pin!(idle);
        assert!(tokio::time::timeout(patience, &mut idle).await.is_err());
        drop(request);
        assert!(tokio::time::timeout(patience, idle).await.is_ok());
    }
}
