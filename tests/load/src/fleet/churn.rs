//! Changes of many sources, and when their mirrors follow.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use embedded_cluster::EmbeddedCluster;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Args;
use crate::emitters::{put, service};

/// Changes whose mirror was not seen yet.
pub(super) type Pending = Arc<Mutex<Changes>>;

/// Changes by the names of their mirrors.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The port that a mirror will have, and since when its source has it.
    waiting: HashMap<String, (u64, Instant)>,
    times: Vec<Duration>,
    n_made: u64,
}

/// How long the last changes may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Changes {
    /// A mirror was written with that port.
    pub(super) fn seen(&mut self, mirror: &str, port: u64) {
        let is_due = self.waiting.get(mirror).is_some_and(|it| it.0 == port);
        if let Some((_, since)) = self.waiting.remove(mirror).filter(|_| is_due) {
            self.times.push(since.elapsed());
        }
    }
}

/// Changes one Service after another, of one source after another; returns how long each took
/// until its mirror was written, and how many were not.
pub(super) async fn churn(
    args: &Args,
    sources: &[EmbeddedCluster],
    pending: &Pending,
) -> anyhow::Result<(Vec<Duration>, usize)> {
    let n = u64::from(args.rate) * args.seconds;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / args.rate.max(1));
    for i in 0..usize::try_from(n)? {
        tick.tick().await;
        let source = &sources[i % sources.len()];
        let name = format!("s{}", i / sources.len() % args.services);
        let port = {
            let mut changes = pending.lock();
            changes.n_made += 1;
            let port = 1024 + changes.n_made % 60_000;
            let mirror = format!("{}-demo-73736d-{name}", source.name());
            changes.waiting.insert(mirror, (port, Instant::now()));
            port
        };
        put(source, service(&name, port, "1"))?;
    }
    let until = Instant::now() + PATIENCE;
    while !pending.lock().waiting.is_empty() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut changes = pending.lock();
    let lost = changes.waiting.len();
    changes.waiting.clear();
    Ok((std::mem::take(&mut changes.times), lost))
}
