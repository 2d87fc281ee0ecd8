//! Batching of notifications: at once, unless there was one a moment ago.
//!
//! The cost of a change is mostly the write to each client's socket. Changes that follow one
//! another closely share it: the first is sent at once, those within the batching period together.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Broadcaster, WatchCache};

/// Batching of notifications.
#[derive(Default)]
pub(super) struct UpdateBatcher {
    /// Longest batching period.
    max_rest: Duration,
    /// Notified if a batch is due later.
    owes: Notify,
}

impl UpdateBatcher {
    pub(super) fn announce(&self, feed: &Broadcaster) {
        if feed.announce(Instant::now(), self.max_rest) {
            self.owes.notify_one();
        }
    }
}

impl WatchCache {
    /// Enables batching, for no longer than that. A task must [`pace`](Self::pace) it.
    #[must_use]
    pub const fn gathering(mut self, max_rest: Duration) -> Self {
        self.pace.max_rest = max_rest;
        self
    }

    /// Tells clients what was gathered while they rested, indefinitely.
    pub async fn pace(self: Arc<Self>) {
        loop {
            let feeds: Vec<Arc<Broadcaster>> = {
                let inner = self.inner.lock();
                inner.feeds.values().filter_map(Weak::upgrade).collect()
            };
            let now = Instant::now();
            let due = feeds
                .iter()
                .filter_map(|feed| feed.settle(now, self.pace.max_rest))
                .min();
            drop(feeds);
            tokio::select! {
                () = self.pace.owes.notified() => {}
                () = tokio::time::sleep_until(due.unwrap_or(now)), if due.is_some() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::Notifier;
    use crate::watch_cache::{Listener, Start, tests::cache_and_view};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Wake, Waker};

    use proto_types::{RawObject, Resource, ResourceVersion};
    use runtime::watcher::{Event, Listing};

    const MAX_REST: Duration = Duration::from_millis(100);

    fn change(cache: &WatchCache, revision: u64) {
        let json = format!(
            r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"a","namespace":"demo","uid":"a","resourceVersion":"{revision}"}},"spec":{{}}}}"#
        );
        let object = RawObject::parse(Resource::Services, &json.into()).unwrap();
        cache.ingest(Event::Applied(object), jiff::Timestamp::now());
    }

    /// A cache with so many clients, which is being paced.
    async fn paced(
        n_listeners: usize,
    ) -> (Arc<WatchCache>, Vec<Listener>, tokio::task::JoinSet<()>) {
        let (cache, view) = cache_and_view();
        let cache = Arc::new(cache.gathering(MAX_REST));
        let listing = Listing::confirmed(ResourceVersion::new(1), Vec::new());
        cache.ingest(Event::Listed(listing), jiff::Timestamp::now());
        let feed = cache.subscribe(&view, Start::Now).ok().unwrap().feed;
        let listen = || feed.listen(Arc::new(Notifier::default()));
        let listeners = std::iter::repeat_with(listen).take(n_listeners).collect();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(Arc::clone(&cache).pace());
        tokio::task::yield_now().await;
        (cache, listeners, tasks)
    }

    /// Listener of a notifier.
    #[derive(Default)]
    struct Ear(AtomicBool);

    impl Wake for Ear {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    impl Ear {
        fn at(listener: &Listener) -> Arc<Self> {
            let ear = Arc::new(Self::default());
            let waker = Waker::from(Arc::clone(&ear));
            listener.notifier.listen(&Context::from_waker(&waker));
            ear
        }

        /// Returns the milliseconds until the notification, if it comes within a second.
        async fn hears(&self) -> Option<u128> {
            let begin = Instant::now();
            while !self.0.load(Ordering::Relaxed) {
                if Duration::from_secs(1) < begin.elapsed() {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Some(begin.elapsed().as_millis())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_within_a_batching_period_are_sent_at_its_end() {
        let (cache, listeners, _tasks) = paced(500).await;
        for round in 0..3 {
            let ear = Ear::at(&listeners[0]);
            change(&cache, 10 * round + 2);
            assert_eq!(ear.hears().await, Some(0), "the first is told at once");
            let ear = Ear::at(&listeners[499]);
            (3..9).for_each(|it| change(&cache, 10 * round + it));
            let waited = ear.hears().await.unwrap();
            assert!((50..=52).contains(&waited), "{waited}");
            // Nothing is owed any more; this also is the time in which they rest.
            assert_eq!(Ear::at(&listeners[300]).hears().await, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_watch_waits_longer_than_the_batching_period() {
        let (cache, listeners, _tasks) = paced(5000).await;
        change(&cache, 2);
        let ear = Ear::at(&listeners[0]);
        change(&cache, 3);
        let waited = ear.hears().await.unwrap();
        assert!((100..=102).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn few_readers_never_rest() {
        let (cache, listeners, _tasks) = paced(19).await;
        for revision in 2..9 {
            let ear = Ear::at(&listeners[0]);
            change(&cache, revision);
            assert_eq!(ear.hears().await, Some(0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_sent_away_is_notified_at_once() {
        let (cache, listeners, _tasks) = paced(1000).await;
        change(&cache, 2);
        let ear = Ear::at(&listeners[0]);
        listeners[0].feed.close();
        assert_eq!(ear.hears().await, Some(0));
    }
}
