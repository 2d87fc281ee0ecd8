//! Deletion holds, for the status, the metrics and the log.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use proto_types::Resource;
use reflector_planner::{HeldDeletions, Index, MonotonicTime};
use tracing::{info, warn};

use super::names;
use crate::metrics::{Metrics, of_feed};
use crate::status::HeldStatus;
use crate::watch_target::WatchTarget;

/// Number of held deletions of each source and resource, as logged last.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<WatchTarget, usize>);

impl Held {
    /// Updates the metrics, and logs each hold when it begins and when it ends.
    pub(super) fn measure(&mut self, metrics: &Metrics, index: &Index) {
        let now: BTreeMap<_, _> = holds(index).collect();
        for (feed, held) in &now {
            set(metrics, feed, held.n);
            if self.0.insert(feed.clone(), held.n).is_none() {
                let (n, why) = (held.n, held.why.describe());
                warn!(%feed, n, why, "deletions are held");
            }
        }
        let over = self.0.extract_if(.., |feed, _| !now.contains_key(feed));
        for (feed, n) in over {
            set(metrics, &feed, 0);
            info!(%feed, n, "deletion hold ended");
        }
    }
}

/// Returns what is held, for the status.
pub(super) fn status(index: &Index) -> Vec<HeldStatus> {
    let holds = holds(index);
    let held = holds.map(|(feed, held)| HeldStatus {
        source: feed.source().map(ToString::to_string).unwrap_or_default(),
        resource: feed.resource_name().to_owned(),
        deletions: held.n,
        reason: held.why.describe().to_owned(),
        until: until(held.since, index.now(), index.policy().hold).to_string(),
    });
    held.collect()
}

/// Returns the time of the next requested list.
pub(crate) fn until(since: MonotonicTime, now: MonotonicTime, hold: Duration) -> Timestamp {
    let elapsed = now.0.saturating_sub(since.0);
    let now = Timestamp::now();
    let whole = |it: Duration| Duration::from_secs(it.as_secs());
    let until = match hold.checked_sub(elapsed) {
        Some(left) => now.checked_add(whole(left)),
        None => now.checked_sub(whole(elapsed.saturating_sub(hold))),
    };
    let until = until.unwrap_or(now);
    Timestamp::from_second(until.as_second()).unwrap_or(until)
}

fn holds(index: &Index) -> impl Iterator<Item = (WatchTarget, HeldDeletions)> {
    let names = names(index.policy());
    let feeds = names
        .into_iter()
        .flat_map(|it| WatchTarget::all_of(&it, index.policy()));
    feeds.filter_map(|feed| {
        let rank = index.policy().rank(feed.source()?, feed.role())?;
        let source = index.source(rank);
        let hold = match feed.resource() {
            Resource::Services => &source.service_hold,
            Resource::EndpointSlices | Resource::Endpoints => &source.slice_hold,
        };
        let held = hold.held()?;
        Some((feed, held))
    })
}

fn set(metrics: &Metrics, feed: &WatchTarget, n: usize) {
    if let Some(source) = feed.source() {
        let labels = of_feed(source, feed.resource_name());
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        metrics.held_deletions.get_or_create(&labels).set(n);
    }
}
