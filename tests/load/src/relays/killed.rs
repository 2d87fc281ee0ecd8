//! The emitter in the middle is killed: what its own consumers do, and those of the one behind it.

use std::time::Duration;

use tokio::time::Instant;

use super::{PATIENCE, Tree};
use crate::emitters::{SERVICES, at};
use crate::watcher::Watcher;

/// What it took.
pub(super) struct Killed {
    /// Until each of its consumers was watching at the next tier, from where it had been.
    pub(super) back_median: Duration,
    pub(super) back_all: Duration,
    /// CPU of the next tier for each of them.
    pub(super) cpu: Duration,
    /// Number of consumers that missed the change that was made without the relay.
    pub(super) missed: usize,
    /// From its start until it is ready again.
    pub(super) ready: Duration,
    /// From its start until all consumers behind it had a change of the time without it.
    pub(super) told_all: Duration,
    /// Watches behind it that ended.
    pub(super) ended: usize,
}

/// Kills the second tier with so many consumers, and as many behind it.
pub(super) async fn measure(tree: &mut Tree, n: usize) -> anyhow::Result<Killed> {
    let own = tree.open(1, n).await?;
    let mut behind = tree.open(2, n).await?;
    let from = tree.revision(1).await?;
    tree.tiers[1].kill().await?;
    drop(own);
    let path = format!("{SERVICES}?watch=1&resourceVersion={from}");
    let address = tree.tiers[2].address;
    let used = tree.tiers[2].used()?;
    let cpu = used.cpu()?;
    let begin = Instant::now();
    let back = (0..n).map(async |_| {
        loop {
            if let Ok(watcher) = Watcher::open(address, &path).await {
                return (watcher, begin.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let back = futures::future::join_all(back).await;
    let cpu = (used.cpu()? - cpu) / u32::try_from(n.max(1))?;
    let (mut own, mut times): (Vec<_>, Vec<_>) = back.into_iter().unzip();

    tree.change()?;
    let begin = Instant::now();
    let keeper = &tree.keeper;
    tree.tiers[1].start_again(keeper)?;
    let (ready, told_all, told_own) = tokio::join!(
        async {
            tree.tiers[1].ready().await?;
            anyhow::Ok(begin.elapsed())
        },
        async {
            let told = told(&mut behind).await;
            (told, begin.elapsed())
        },
        told(&mut own),
    );
    Ok(Killed {
        back_median: at(&mut times, 0.5),
        back_all: at(&mut times, 1.0),
        cpu,
        missed: n - told_own,
        ready: ready?,
        ended: n - told_all.0,
        told_all: told_all.1,
    })
}

/// How many are told the next change.
async fn told(watchers: &mut [Watcher]) -> usize {
    let told = watchers.iter_mut().map(|it| it.delays(1, PATIENCE));
    let told = futures::future::join_all(told).await;
    told.iter().filter(|it| it.len() == 1).count()
}
