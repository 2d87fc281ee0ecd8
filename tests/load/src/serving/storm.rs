//! A storm: all consumers of a server lose their connections at once, and come back at once.

use std::time::Duration;

use tokio::time::Instant;

use super::rig::Rig;
use super::setup::Server;

/// How a server took it.
#[derive(Debug)]
pub(crate) struct Storm {
    pub(crate) server: Server,
    /// Until the last was answered.
    pub(crate) all: Duration,
    /// Until half of them were.
    pub(crate) median: Duration,
    /// The server's CPU for each of them.
    pub(crate) cpu: Duration,
    /// How often one was turned away and had to ask again.
    pub(crate) refused: usize,
    pub(crate) n: usize,
    /// The most memory that the server ever had, in bytes.
    pub(crate) peak: f64,
}

/// Before a consumer that was turned away asks again.
const AGAIN: Duration = Duration::from_millis(100);

/// After this long a consumer is given up, and the measurement with it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Opens so many watches, loses all, and opens them again.
pub(super) async fn measure(rig: &Rig, server: Server, watchers: usize) -> anyhow::Result<Storm> {
    let connections = rig.connections(watchers);
    let before = rig.open_all(server, connections).await?;
    let process = rig.process(server)?;
    drop(before);
    let cpu = process.cpu()?;
    let begin = Instant::now();
    let back = (0..connections).map(async |_| {
        let mut refused = 0;
        loop {
            match rig.open(server).await {
                Ok(consumers) => return anyhow::Ok((consumers, begin.elapsed(), refused)),
                Err(error) if PATIENCE < begin.elapsed() => return Err(error),
                Err(_) => refused += 1,
            }
            tokio::time::sleep(AGAIN).await;
        }
    });
    let back: Vec<_> = futures::future::try_join_all(back).await?;
    let cpu = process.cpu()?.saturating_sub(cpu);
    let mut delays: Vec<Duration> = back.iter().map(|(_, delay, _)| *delay).collect();
    delays.sort();
    Ok(Storm {
        server,
        all: delays.last().copied().unwrap_or_default(),
        median: delays.get(delays.len() / 2).copied().unwrap_or_default(),
        cpu: cpu / u32::try_from(watchers.max(1))?,
        refused: back.iter().map(|(_, _, refused)| refused).sum(),
        n: watchers,
        peak: process.peak_memory()?,
    })
}
