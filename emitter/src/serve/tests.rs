//! Each limit, met by a client on a real socket.

mod http2;
mod long;

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::*;
use crate::limits::ConnectionLimits;
use crate::metrics::Metrics;
use crate::tls::{Certificate, Sources, Suites};

/// Longer than any limit that is set here, and than a busy machine's hiccups.
const PATIENCE: Duration = Duration::from_secs(20);

const SHORT: Duration = Duration::from_millis(300);

struct Lab {
    address: SocketAddr,
    connections: Arc<Connections>,
    end: End,
    _server: JoinSet<io::Result<()>>,
}

impl Lab {
    async fn plain(change: impl FnOnce(&mut ConnectionLimits)) -> Self {
        Self::with(Transport::Plain, change).await
    }

    async fn with(transport: Transport, change: impl FnOnce(&mut ConnectionLimits)) -> Self {
        let mut limits = ConnectionLimits::standard();
        change(&mut limits);
        let connections = Connections::new(limits, Arc::new(Metrics::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endless = || async {
            let chunks =
                std::iter::repeat_with(|| Ok::<_, io::Error>(Bytes::from(vec![0; 1 << 16])));
            Body::from_stream(stream::iter(chunks))
        };
        let quiet = || async { Body::from_stream(stream::pending::<io::Result<Bytes>>()) };
        let router = Router::new()
            .route("/short", get(async || "short"))
            .route("/quiet", get(quiet))
            .route("/parts", get(async || Body::from_stream(long::parts())))
            .route("/endless", get(endless));
        let end = End::default();
        let mut server = JoinSet::new();
        let serving = serve(
            listener,
            transport,
            router,
            Arc::clone(&connections),
            end.clone(),
        );
        server.spawn(serving);
        Self {
            address,
            connections,
            end,
            _server: server,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ask(&self, head: &str) -> TcpStream {
        let mut client = self.connect().await;
        client.write_all(head.as_bytes()).await.unwrap();
        client
    }

    async fn refused(&self, limit: &str) -> bool {
        let mut registry = prometheus_client::registry::Registry::default();
        self.connections.metrics().register_all(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.contains(&format!(
            "heliograph_emitter_rejections_total{{limit=\"{limit}\"}}"
        ))
    }

    async fn eventually_has(&self, n_connections: usize) {
        while self.connections.len() < n_connections {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn eventually_empty(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.connections.is_empty() {
            assert!(Instant::now() < deadline, "the connection stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

const SHORT_REQUEST: &str = "GET /short HTTP/1.1\r\nhost: x\r\n\r\n";

/// All that comes until the server ends the connection.
async fn read_to_end(client: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut all)).await;
    // Whether it is closed or reset does not matter.
    let _ = read.expect("the server ends it");
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_ended() {
    let lab = Lab::plain(|limits| limits.header_timeout = SHORT).await;
    let mut silent = lab.connect().await;
    assert_eq!(read_to_end(&mut silent).await, "");
    assert!(lab.refused("header_timeout").await);
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let lab = Lab::plain(|limits| limits.header_timeout = SHORT).await;
    let mut slow = lab.ask("GET /short HTTP/1.1\r\n").await;
    let begin = Instant::now();
    while slow.write_all(b"x: y\r\n").await.is_ok() {
        assert!(begin.elapsed() < PATIENCE, "it goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(lab.refused("header_timeout").await);
}

#[tokio::test]
async fn an_idle_connection_is_ended_and_one_that_waits_for_an_answer_is_not() {
    let lab = Lab::plain(|limits| limits.idle_timeout = SHORT).await;
    let mut idle = lab.ask(SHORT_REQUEST).await;
    assert!(read_to_end(&mut idle).await.ends_with("short"));
    let mut waiting = lab.ask("GET /quiet HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut all = Vec::new();
    let read = tokio::time::timeout(4 * SHORT, waiting.read_to_end(&mut all)).await;
    assert!(read.is_err(), "a quiet watch is not idle");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let lab = Lab::plain(|limits| limits.write_timeout = SHORT).await;
    let greedy = lab.ask("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    lab.eventually_has(1).await;
    lab.eventually_empty().await;
    assert!(lab.refused("write_timeout").await);
    drop(greedy);
}

#[tokio::test]
async fn a_client_that_takes_its_time_is_not_cut_off() {
    let lab = Lab::plain(|limits| limits.write_timeout = 4 * SHORT).await;
    let mut slow = lab.ask("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut buffer = vec![0; 4 << 20];
    for _ in 0..8 {
        tokio::time::sleep(SHORT).await;
        slow.read_exact(&mut buffer).await.unwrap();
    }
}

#[tokio::test]
async fn too_many_connections_are_told_429_and_then_closed() {
    let lab = Lab::plain(|limits| limits.max_connections_per_address = 1.try_into().unwrap()).await;
    let first = lab.ask("GET /quiet HTTP/1.1\r\nhost: x\r\n\r\n").await;
    lab.eventually_has(1).await;
    let mut second = lab.ask(SHORT_REQUEST).await;
    let told = read_to_end(&mut second).await;
    assert!(told.starts_with("HTTP/1.1 429"), "{told}");
    assert!(told.contains("retry-after: 1\r\n"), "{told}");
    assert!(told.contains(r#""reason":"TooManyRequests""#), "{told}");
    let told = lab.connect().await;
    lab.eventually_has(2).await;
    let mut closed = lab.connect().await;
    assert_eq!(read_to_end(&mut closed).await, "");
    drop((first, told));
    lab.eventually_empty().await;
    let mut again = lab
        .ask("GET /short HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert!(read_to_end(&mut again).await.ends_with("short"));
}

#[tokio::test]
async fn a_head_that_begins_late_has_no_longer_for_that() {
    const LIMIT: Duration = Duration::from_secs(3);
    let lab = Lab::plain(|limits| limits.header_timeout = LIMIT).await;
    let begin = Instant::now();
    let mut client = lab.connect().await;
    tokio::time::sleep(LIMIT / 3 * 2).await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    read_to_end(&mut client).await;
    // Counted from the first byte it would be five thirds.
    assert!(begin.elapsed() < LIMIT / 2 * 3, "{:?}", begin.elapsed());
    assert!(lab.refused("header_timeout").await);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let lab = Lab::plain(|limits| limits.max_header_bytes = 8192.try_into().unwrap()).await;
    let long = "x".repeat(20_000);
    let head = format!("GET /short HTTP/1.1\r\nhost: x\r\ny: {long}\r\n\r\n");
    let mut client = lab.connect().await;
    let _ = client.write_all(head.as_bytes()).await;
    let told = read_to_end(&mut client).await;
    assert!(told.starts_with("HTTP/1.1 431"), "{told}");
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_turn() {
    let lab = Lab::plain(|_| {}).await;
    let last = "GET /short HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut client = lab
        .ask(&format!("{SHORT_REQUEST}{SHORT_REQUEST}{last}"))
        .await;
    let told = read_to_end(&mut client).await;
    let answers: Vec<&str> = told.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), 3, "{told}");
    for answer in answers {
        assert!(
            answer.starts_with("200") && answer.ends_with("short"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn bad_http2_ends_its_own_connection_only() {
    let lab = Lab::plain(|_| {}).await;
    let mut bad = lab.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    bad.write_all(&[0xff; 4096]).await.unwrap();
    read_to_end(&mut bad).await;
    let mut good = lab
        .ask("GET /short HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert!(read_to_end(&mut good).await.ends_with("short"));
}

#[tokio::test]
async fn a_handshake_that_hangs_ends_and_others_wait_their_turn() {
    runtime::client::install_crypto();
    let sources = Sources {
        certificate: Certificate::SelfSigned,
        named: Vec::new(),
        suites: Suites::default(),
        client_ca: None,
    };
    let certificates = crate::tls::Certificates::load(sources).unwrap();
    let lab = Lab::with(Transport::Tls(certificates), |limits| {
        limits.handshake_timeout = SHORT;
        limits.max_handshakes_per_address = 1.try_into().unwrap();
    })
    .await;
    let begin = Instant::now();
    let mut clients = [lab.connect().await, lab.connect().await];
    for client in &mut clients {
        assert_eq!(read_to_end(client).await, "");
    }
    assert!(SHORT <= begin.elapsed());
    assert!(lab.refused("handshake_timeout").await);
}

#[tokio::test]
async fn an_end_lets_answers_end_and_then_cuts_what_is_left() {
    let lab = Lab::plain(|_| {}).await;
    let mut idle = lab.ask(SHORT_REQUEST).await;
    let mut head = [0; 16];
    idle.read_exact(&mut head).await.unwrap();
    let waiting = lab.ask("GET /quiet HTTP/1.1\r\nhost: x\r\n\r\n").await;
    lab.eventually_has(2).await;
    tokio::time::sleep(SHORT).await;
    lab.end.closing.cancel();
    read_to_end(&mut idle).await;
    assert_eq!(lab.connections.len(), 1, "the answer goes on");
    assert!(TcpStream::connect(lab.address).await.is_err());
    drop(waiting);
    lab.eventually_empty().await;
}
