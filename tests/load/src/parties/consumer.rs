//! Hostile consumers: clients that ask and take as no client does.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Whom to be in the way of, and how many are of each kind.
#[derive(Debug, clap::Args)]
pub(crate) struct Consumers {
    server: SocketAddr,
    admin: SocketAddr,
    n: usize,
}

/// What a hostile consumer does.
#[derive(Debug, Clone, Copy)]
enum Malice {
    /// Lists over HTTP/2 with different selectors, and opens no window.
    NoWindow,
    /// Lists with selectors of thousands of terms.
    CostlySelectors,
    /// Lists as YAML, as a table, indented and compressed.
    CostlyForms,
    /// Brings tokens that nobody issued, long ones too.
    InventedTokens,
    /// Asks for documents of any path and query.
    Documents,
    /// Watches until the end of time.
    LongWatches,
    /// Begins heads, at the port for probes.
    HalfHeads,
    /// Opens watches with different selectors.
    ManyViews,
}

/// They come from another address, as they would.
const HOSTILE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Between two things that one hostile client does.
const PAUSE: Duration = Duration::from_millis(20);

/// How long one of them is content.
const HELD: Duration = Duration::from_secs(60);

impl Consumers {
    /// Goes on indefinitely.
    pub(crate) async fn play(&self) -> anyhow::Result<()> {
        let kinds = [
            Malice::NoWindow,
            Malice::CostlySelectors,
            Malice::CostlyForms,
            Malice::InventedTokens,
            Malice::Documents,
            Malice::LongWatches,
            Malice::HalfHeads,
            Malice::ManyViews,
        ];
        let mut clients = JoinSet::new();
        for kind in kinds {
            for i in 0..self.n {
                clients.spawn(kind.play(self.server, self.admin, i));
            }
        }
        while clients.join_next().await.is_some() {}
        Ok(())
    }
}

impl Malice {
    async fn play(self, server: SocketAddr, admin: SocketAddr, i: usize) {
        for n in i * 1_000_000.. {
            let _ = self.once(server, admin, n).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn once(self, server: SocketAddr, admin: SocketAddr, n: usize) -> anyhow::Result<()> {
        match self {
            Self::NoWindow => no_window(server, n).await,
            Self::CostlySelectors => {
                let terms: Vec<_> = (0..3400).map(|i| format!("!a{}", i + n % 7)).collect();
                let path = format!("/api/v1/services?labelSelector={}", terms.join(","));
                ask(server, &path, "").await
            }
            Self::CostlyForms => {
                let (accept, query) = [
                    ("application/yaml", ""),
                    (
                        "application/json;as=Table;v=v1;g=meta.k8s.io",
                        "&includeObject=Object",
                    ),
                    ("application/json", "&pretty=1"),
                ][n % 3];
                let path = format!("/api/v1/services?labelSelector=!x{n}{query}");
                let headers = format!("accept: {accept}\r\naccept-encoding: gzip\r\n");
                ask(server, &path, &headers).await
            }
            Self::InventedTokens => {
                let token = format!("{n}{}", "x".repeat(n % 2 * 30_000));
                let header = format!("authorization: Bearer {token}\r\n");
                ask(server, "/api/v1/services?limit=1", &header).await
            }
            Self::Documents => {
                let path = ["/openapi/v3/../../api/v1/secrets", "/openapi/v2"][n % 2];
                ask(server, &format!("{path}?n={n}"), "").await
            }
            Self::LongWatches => {
                let path = "/api/v1/services?watch=1&timeoutSeconds=9223372036854775807";
                ask(server, path, "").await
            }
            Self::HalfHeads => {
                let mut stream = dial(admin).await?;
                stream.write_all(b"GET /livez HTTP/1.1\r\n").await?;
                drain(&mut stream).await
            }
            Self::ManyViews => {
                let path = format!("/api/v1/services?watch=1&labelSelector=!v{n}");
                ask(server, &path, "").await
            }
        }
    }
}

/// Asks for a hundred lists on one connection, none of which may be sent.
async fn no_window(server: SocketAddr, n: usize) -> anyhow::Result<()> {
    let stream = dial(server).await?;
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, bytes::Bytes>(stream)
        .await?;
    let ask = async move {
        let mut client = client.ready().await?;
        let mut answers = Vec::new();
        for i in 0..100 {
            let path = format!("http://x/api/v1/services?labelSelector=!w{n}-{i}");
            let (answer, _) = client.send_request(Request::get(path).body(())?, true)?;
            answers.push(answer);
            client = client.ready().await?;
        }
        tokio::time::sleep(HELD).await;
        anyhow::Ok(())
    };
    tokio::select! {
        ended = connection => Ok(ended?),
        asked = ask => asked,
    }
}

async fn ask(server: SocketAddr, path: &str, headers: &str) -> anyhow::Result<()> {
    let mut stream = dial(server).await?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await?;
    drain(&mut stream).await
}

async fn drain(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let read = async {
        while 0 < stream.read(&mut buffer).await? {}
        anyhow::Ok(())
    };
    tokio::time::timeout(HELD, read).await?
}

async fn dial(server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((HOSTILE, 0).into())?;
    socket.connect(server).await
}
