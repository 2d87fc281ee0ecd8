//! Watches over TLS that only count and clock, so that what they cost stays small.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use h2::RecvStream;
use http::{Request, Version};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The label in which a change carries the time at which it was made.
pub(crate) const SENT: &str = "sent";

/// Longer than all watches take to open.
const PATIENCE: Duration = Duration::from_secs(120);

/// So much may be on its way to one stream, and to all of a connection: what Go's clients
/// say, in bytes.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// An open watch.
pub(crate) struct Consumer {
    stream: Stream,
    line: Vec<u8>,
}

/// How a watch's bytes come.
enum Stream {
    /// By a connection of its own.
    One(Box<TlsStream<TcpStream>>),
    /// By one that it may share, and that lives as long as one of them.
    Two {
        body: RecvStream,
        _connection: Arc<JoinSet<Result<(), h2::Error>>>,
    },
}

/// Whom a consumer asks, for what, and as whom.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) token: String,
}

/// Trusts one authority, and speaks one version of HTTP.
pub(crate) fn connector(authority: &str, version: Version) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    if version == Version::HTTP_2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Nanoseconds on this machine's clock, which servers and consumers share.
pub(crate) fn now() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos())
}

impl Consumer {
    const fn new(stream: Stream) -> Self {
        Self {
            stream,
            line: Vec::new(),
        }
    }

    /// Asks, and waits for the answer's head.
    pub(crate) async fn open(connector: &TlsConnector, asked: &Asked) -> anyhow::Result<Self> {
        let mut stream = connect(connector, asked.address).await?;
        let Asked { path, token, .. } = asked;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\
             authorization: Bearer {token}\r\nuser-agent: load\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        // Else it stays in the TLS session where many connections share this task's time.
        stream.flush().await?;
        let mut head = [0; 4096];
        let n = stream.read(&mut head).await?;
        ensure!(
            head[..n].starts_with(b"HTTP/1.1 200"),
            "the answer is {:?}",
            String::from_utf8_lossy(&head[..n])
        );
        Ok(Self::new(Stream::One(Box::new(stream))))
    }

    /// Asks the same so many times on one HTTP/2 connection.
    pub(crate) async fn open_shared(
        connector: &TlsConnector,
        asked: &Asked,
        n_streams: usize,
    ) -> anyhow::Result<Vec<Self>> {
        let stream = connect(connector, asked.address).await?;
        let (mut requests, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake::<_, Bytes>(stream)
            .await?;
        let mut running = JoinSet::new();
        running.spawn(connection);
        let running = Arc::new(running);
        let mut consumers = Vec::with_capacity(n_streams);
        for _ in 0..n_streams {
            let request = Request::get(format!("https://localhost{}", asked.path))
                .header("accept", "application/json")
                .header("authorization", format!("Bearer {}", asked.token))
                .header("user-agent", "load")
                .body(())?;
            requests = requests.ready().await?;
            let (response, _) = requests.send_request(request, true)?;
            let response = response.await?;
            if !response.status().is_success() {
                bail!("the answer is {}", response.status());
            }
            consumers.push(Self::new(Stream::Two {
                body: response.into_body(),
                _connection: Arc::clone(&running),
            }));
        }
        Ok(consumers)
    }

    /// Reads so many events, and returns how long each was on its way. What does not
    /// come within [`PATIENCE`] of the one before is lost.
    pub(crate) async fn read(mut self, events: usize) -> Vec<Duration> {
        let mut delays = Vec::with_capacity(events);
        let all = async {
            while delays.len() < events {
                let bytes = tokio::time::timeout(PATIENCE, self.stream.next()).await??;
                for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                    self.line.extend_from_slice(part);
                    if part.ends_with(b"\n") {
                        delays.extend(delay(&self.line));
                        self.line.clear();
                    }
                }
            }
            anyhow::Ok(())
        };
        let _ = all.await;
        delays
    }
}

impl Stream {
    /// What came next.
    async fn next(&mut self) -> anyhow::Result<Bytes> {
        match self {
            Self::One(stream) => {
                let mut buffer = vec![0; 16 << 10];
                let n = stream.read(&mut buffer).await.context("cut")?;
                ensure!(0 < n, "ended");
                buffer.truncate(n);
                Ok(buffer.into())
            }
            Self::Two { body, .. } => {
                let bytes = body.data().await.context("ended")??;
                body.flow_control().release_capacity(bytes.len())?;
                Ok(bytes)
            }
        }
    }
}

pub(super) async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    Ok(connector.connect(name, stream).await?)
}

/// How long the event in a line was on its way, if the line has one.
pub(crate) fn delay(line: &[u8]) -> Option<Duration> {
    let mark = format!("\"{SENT}\":\"");
    let at = line
        .windows(mark.len())
        .position(|it| it == mark.as_bytes())?;
    let digits = &line[at + mark.len()..];
    let end = digits.iter().position(|byte| *byte == b'"')?;
    let sent: u128 = std::str::from_utf8(&digits[..end]).ok()?.parse().ok()?;
    let nanoseconds = u64::try_from(now().saturating_sub(sent)).ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
