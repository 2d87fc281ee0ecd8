//! Many who watch the same are told of a burst in few writes, and of each change in it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Scene;
use futures::future::try_join_all;
use tokio::time::Instant;

use crate::continuity::{change, revision_of};
use crate::lab::Lab;
use crate::stream::{Watch, client};

const WATCHERS: usize = 100;

/// A tenth of it for a tenth of a thousand.
const MAX_GATHER: &str = "--watch-batch-period=20s";
const GATHER: Duration = Duration::from_secs(2);

/// More than a busy machine needs for a hundred watches.
const SLACK: Duration = Duration::from_secs(10);

pub(crate) async fn many_watchers_are_told_every_change_of_a_burst(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_service("web").await?;
    let emitter = lab.emitter(&east, &["--fields=all", MAX_GATHER]).await?;
    let query = format!(
        "resourceVersion={}&timeoutSeconds=60",
        revision_of(&emitter.url).await?
    );
    let consumer = client(&emitter.url)?;
    let watches = (0..WATCHERS).map(|_| Watch::open(&consumer, &query));
    let mut watches = try_join_all(watches).await?;
    let mut theirs = Watch::open(&east.client, &query).await?;
    for round in ["one", "two"] {
        let last = change(&east, round).await?;
        let begin = Instant::now();
        let told = try_join_all(watches.iter_mut().map(|it| it.through(last))).await?;
        let took = begin.elapsed();
        let expected = theirs.through(last).await?;
        ensure!(told.iter().all(|it| *it == expected), "some were told less");
        ensure!(took < GATHER + SLACK, "it took {took:?}");
    }
    Ok(())
}
