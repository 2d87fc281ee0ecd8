//! The server of probes: it responds with the requested number of bytes.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{MAGIC, MAX_BYTES};
use crate::args;

/// Maximum number of connections.
const MAX_CONNECTIONS: usize = 64;

/// Maximum length of a request in bytes.
const MAX_REQUEST: u64 = 100;

/// Time for a request and its answer.
const TIME: Duration = Duration::from_secs(20);

/// Serves until a signal.
pub(super) async fn run(asked: &args::Serve) -> anyhow::Result<ExitCode> {
    let shutdown = runtime::shutdown::on_signal()?;
    let listener = runtime::listen::bind(asked.bind_address, "--bind-address")?;
    let address = listener.local_addr()?;
    eprintln!("heliograph: answering probes at {address}");
    let name = match &asked.name {
        Some(name) => name.clone(),
        None => hostname(),
    };
    let served = shutdown.run_until_cancelled(serve(listener, name));
    served.await.unwrap_or(Ok(()))?;
    Ok(ExitCode::SUCCESS)
}

/// Name of the pod.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "probe".to_owned(), |it| it.trim().to_owned())
}

/// Answers until an error of the socket.
pub(super) async fn serve(listener: TcpListener, name: String) -> anyhow::Result<()> {
    let (name, places) = (Arc::new(name), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        let place = places.clone().acquire_owned().await?;
        let (stream, _): (TcpStream, SocketAddr) =
            listener.accept().await.context("cannot accept probes")?;
        let name = Arc::clone(&name);
        running.spawn(async move {
            // A client that leaves needs no message.
            let _ = tokio::time::timeout(TIME, answer(stream, &name)).await;
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    let mut request = String::new();
    let (reader, mut writer) = stream.split();
    BufReader::new(reader.take(MAX_REQUEST))
        .read_line(&mut request)
        .await?;
    let Some(n_bytes) = asked_bytes(&request) else {
        return writer.write_all(b"not a probe\n").await;
    };
    let head = format!("{MAGIC} {n_bytes} {name}\n");
    writer.write_all(head.as_bytes()).await?;
    writer.write_all(&vec![b'.'; n_bytes]).await?;
    writer.shutdown().await
}

/// Reads a request: the first word, and a number of bytes.
fn asked_bytes(request: &str) -> Option<usize> {
    let rest = request.strip_prefix(MAGIC)?.trim();
    let n_bytes: usize = rest.parse().ok()?;
    (n_bytes <= MAX_BYTES).then_some(n_bytes)
}
