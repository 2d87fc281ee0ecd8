//! Watches that count events and bytes without a look at what they say, so that they cost little.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Coding;
use super::chunks::Chunks;
use crate::serving::consumer::{Asked, connect, now};

/// When each change was made.
pub(super) type Times = Arc<Mutex<Vec<u128>>>;

/// What does not come so long after the last event is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open watch.
pub(super) struct Reader {
    stream: TlsStream<TcpStream>,
    coding: Coding,
    chunks: Chunks,
    /// What came with the head of the answer.
    rest: Vec<u8>,
}

/// What a watch received.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) delays: Vec<Duration>,
    /// Bytes within TLS, after the first event.
    pub(super) n_bytes: usize,
}

impl Reader {
    pub(super) async fn open(
        connector: &TlsConnector,
        (asked, headers): &(Asked, &'static str),
        coding: Coding,
    ) -> anyhow::Result<Self> {
        let mut stream = connect(connector, asked.address).await?;
        let Asked { path, token, .. } = asked;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\
             authorization: Bearer {token}\r\nuser-agent: load\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut head = Vec::new();
        let end = loop {
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).await?;
            ensure!(0 < n, "the connection ended within the head");
            head.extend_from_slice(&buffer[..n]);
            if let Some(end) = head.windows(4).position(|it| it == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
        ensure!(text.starts_with("http/1.1 200"), "the answer is {text:?}");
        let is_coded = text.contains(&format!("content-encoding: {}", coding.name()));
        ensure!(
            is_coded || coding == Coding::Plain,
            "not in that coding: {text:?}"
        );
        Ok(Self {
            stream,
            coding,
            chunks: Chunks::default(),
            rest: head.split_off(end),
        })
    }

    /// Reads so many events. The state comes first: an event that is not counted.
    pub(super) async fn read(mut self, events: usize, times: Times) -> Received {
        let mut received = Received::default();
        let _ = self.read_all(events, &times, &mut received).await;
        received
    }

    async fn read_all(
        &mut self,
        events: usize,
        times: &Times,
        received: &mut Received,
    ) -> anyhow::Result<()> {
        // gzip begins with a header in a chunk of its own; the state is one event.
        let mut before = match self.coding {
            Coding::Gzip => 2,
            Coding::Plain | Coding::Delta => 1,
        };
        let mut bytes = std::mem::take(&mut self.rest);
        loop {
            let mut n_events = 0_usize;
            let coding = self.coding;
            self.chunks.push(&bytes, |piece, is_last| {
                n_events += match coding {
                    Coding::Plain => piece.iter().filter(|it| **it == b'\n').count(),
                    Coding::Gzip | Coding::Delta => usize::from(is_last),
                };
            });
            let first = n_events.min(before);
            before -= first;
            if !received.delays.is_empty() {
                received.n_bytes += bytes.len();
            }
            for _ in first..n_events {
                let sent = times.lock().get(received.delays.len()).copied();
                let delay = now().saturating_sub(sent.context("nothing was changed")?);
                let delay = u64::try_from(delay)?;
                received.delays.push(Duration::from_nanos(delay));
            }
            if events <= received.delays.len() {
                return Ok(());
            }
            bytes.resize(16 << 10, 0);
            let n = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await??;
            ensure!(0 < n, "ended");
            bytes.truncate(n);
        }
    }
}
