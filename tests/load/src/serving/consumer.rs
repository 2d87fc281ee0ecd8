//! A watch over TLS that only counts and clocks, so that what it costs stays small.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The label in which a change carries the time at which it was made.
pub(crate) const SENT: &str = "sent";

/// Longer than all watches take to open.
const PATIENCE: Duration = Duration::from_secs(120);

/// An open watch.
pub(crate) struct Consumer {
    stream: TlsStream<TcpStream>,
    line: Vec<u8>,
}

/// Trusts one authority.
pub(crate) fn connector(authority: &str) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Nanoseconds on this machine's clock, which servers and consumers share.
pub(crate) fn now() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos())
}

impl Consumer {
    /// Asks, and waits for the answer's head.
    pub(crate) async fn open(
        connector: &TlsConnector,
        address: SocketAddr,
        path: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let mut stream = connector.connect(name, stream).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\
             authorization: Bearer {token}\r\nuser-agent: load\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 4096];
        let n = stream.read(&mut head).await?;
        ensure!(
            head[..n].starts_with(b"HTTP/1.1 200"),
            "the answer is {:?}",
            String::from_utf8_lossy(&head[..n])
        );
        Ok(Self {
            stream,
            line: Vec::new(),
        })
    }

    /// Reads so many events, and returns how long each was on its way. What does not
    /// come within [`PATIENCE`] of the one before is lost.
    pub(crate) async fn read(mut self, events: usize) -> Vec<Duration> {
        let mut delays = Vec::with_capacity(events);
        let all = async {
            let mut buffer = vec![0; 16 << 10];
            while delays.len() < events {
                let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer));
                let n = read.await?.context("cut")?;
                ensure!(0 < n, "ended");
                for part in buffer[..n].split_inclusive(|byte| *byte == b'\n') {
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

/// How long the event in a line was on its way, if the line has one.
fn delay(line: &[u8]) -> Option<Duration> {
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
