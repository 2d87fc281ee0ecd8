//! A watch over plain HTTP/1.1.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::serving::{delay, now};

/// An open watch.
pub(crate) struct Watcher {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Watcher {
    /// Opens a watch, and waits for the head of the answer.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\
             user-agent: load\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut watcher = Self {
            stream,
            buffer: Vec::new(),
        };
        let status = watcher.line().await?;
        ensure!(
            status.starts_with(b"HTTP/1.1 200"),
            "the answer is {:?}",
            String::from_utf8_lossy(&status)
        );
        Ok(watcher)
    }

    /// The next event, as JSON.
    pub(crate) async fn event(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            let line = self.line().await?;
            // All others are heads, and lengths of chunks.
            if line.starts_with(b"{") {
                return Ok(line);
            }
        }
    }

    /// The next event that says when it was sent, and how long it was on its way.
    pub(crate) async fn delay(&mut self) -> anyhow::Result<Duration> {
        loop {
            if let Some(delay) = delay(&self.event().await?) {
                return Ok(delay);
            }
        }
    }

    /// How long each of so many events was on its way, as far as they come within the time.
    pub(crate) async fn delays(&mut self, n: usize, patience: Duration) -> Vec<Duration> {
        let mut delays = Vec::with_capacity(n);
        while delays.len() < n {
            match tokio::time::timeout(patience, self.delay()).await {
                Ok(Ok(delay)) => delays.push(delay),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        delays
    }

    async fn line(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|it| *it == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            let n = self
                .stream
                .read_buf(&mut self.buffer)
                .await
                .context("cut")?;
            ensure!(0 < n, "ended");
        }
    }
}

/// The time now, as events carry it.
pub(crate) fn sent() -> String {
    now().to_string()
}
