//! Sources of which nothing came yet, neither data nor an error.

use std::collections::HashMap;
use std::time::Duration;

use reflector_planner::{Policy, SourceName};
use tokio::time::Instant;

use super::Contact;
use crate::metrics::Metrics;
use crate::watch_target::WatchTarget;

/// Times since which sources are followed.
#[derive(Debug, Default)]
pub(super) struct Since(HashMap<SourceName, Instant>);

impl Since {
    /// Takes over the sources that are watched from now on.
    pub(super) fn follow(&mut self, sources: &[SourceName]) {
        self.0.retain(|name, _| sources.contains(name));
        for name in sources {
            let since = self.0.entry(name.clone());
            since.or_insert_with(Instant::now);
        }
    }

    /// A source is followed again.
    pub(super) fn restart(&mut self, source: &SourceName) {
        self.0.remove(source);
    }

    /// Returns the sources with a resource of which nothing came yet, and the time that they are
    /// followed.
    pub(super) fn unheard(
        &self,
        feeds: &HashMap<WatchTarget, Contact>,
        policy: &Policy,
    ) -> impl Iterator<Item = (&SourceName, Duration)> {
        let is_unheard = |feed: &WatchTarget| {
            let contact = feeds.get(feed);
            contact.is_none_or(|it| it.last.is_none() && it.lost.is_none())
        };
        let all = self.0.iter();
        all.filter(move |(name, _)| WatchTarget::all_of(name, policy).iter().any(is_unheard))
            .map(|(name, since)| (name, since.elapsed()))
    }
}

/// Shows the resources of sources without contact in the metrics.
pub(super) fn measure(
    sources: &[SourceName],
    feeds: &HashMap<WatchTarget, Contact>,
    policy: &Policy,
    metrics: &Metrics,
) {
    for name in sources {
        let new = WatchTarget::all_of(name, policy).into_iter();
        for feed in new.filter(|it| !feeds.contains_key(it)) {
            metrics.set_state(name, feed.resource_name(), "unsynced");
        }
    }
}
