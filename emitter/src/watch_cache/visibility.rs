//! Views in which Services decide what is shown: they go in step with the Services.

use std::sync::{Arc, Weak};
use std::time::Duration;

use emitter_cache::joined::{Joined, Lag, Passed, Progress};
use emitter_cache::view_filter::{IndexedService, ServiceIndex};
use emitter_cache::{Change, View};
use proto_types::evidence::Ruling;
use proto_types::{RawObject, ResourceVersion};
use runtime::watcher::Event;
use tokio::time::Instant;

use super::publish::{Batch, gap};
use super::{Inner, WatchCache};

/// Services, and what belongs to them.
pub(super) struct Joining {
    owners: Arc<ServiceIndex>,
    dependents: Vec<Arc<WatchCache>>,
}

/// Makes Services decide about the objects of other caches.
pub fn join(
    services: &Arc<WatchCache>,
    dependents: &[Arc<WatchCache>],
    owners: &Arc<ServiceIndex>,
) {
    for cache in dependents {
        cache.inner.lock().joined = Some(Joined::new(Arc::clone(owners)));
        let _ = cache.services.set(Arc::downgrade(services));
    }
    let _ = services.joining.set(Joining {
        owners: Arc::clone(owners),
        dependents: dependents.to_vec(),
    });
}

impl Joining {
    pub(super) fn apply(&self, event: &Event) {
        match event {
            Event::Listed(listing) => {
                let listed = listing.objects.iter();
                let listed = listed.filter_map(|service| {
                    let owner = IndexedService::read(service).ok()?;
                    Some((service.key.clone(), owner, service.revision))
                });
                match listing.ruling {
                    Ruling::AddOnly(_) => self.owners.add(listing.revision, listed.collect()),
                    _ => self.owners.replace(listing.revision, listed.collect()),
                }
            }
            Event::Applied(service) => self.set(service),
            Event::Deleted(service) => self.owners.remove(&service.key, service.revision),
            Event::Progress(_) | Event::Connected | Event::Failed(_) => {}
        }
    }

    fn set(&self, service: &RawObject) {
        if let Ok(owner) = IndexedService::read(service) {
            self.owners.set(&service.key, owner, service.revision);
        }
    }

    /// All Services are known up to that resource version.
    pub(super) fn advance(&self, revision: Option<ResourceVersion>) {
        if let Some(revision) = revision {
            self.owners.advance(revision);
        }
        for cache in &self.dependents {
            cache.step();
        }
    }
}

impl Inner {
    /// Returns the state at which Services and objects are both known, for a view in
    /// which Services decide.
    pub(super) fn joined_for(&self, view: &View, cache: &WatchCache) -> Option<&Joined> {
        self.joined.as_ref().filter(|_| view.is_joined(cache.form))
    }

    /// Moves the cut on, and appends what it passes to the event buffers of joined views. Returns
    /// whether lists of joined views may have become others.
    pub(super) fn step(&mut self, cache: &WatchCache) -> bool {
        let Some(joined) = &mut self.joined else {
            return false;
        };
        match joined.advance(&self.store) {
            Progress::Unknown => false,
            Progress::Fresh => {
                self.feeds.retain(|view, feed| {
                    let is_joined = view.is_joined(cache.form);
                    if let Some(feed) = feed.upgrade().filter(|_| is_joined) {
                        feed.close();
                    }
                    !is_joined
                });
                true
            }
            Progress::Passed(steps) => {
                self.publish_joined(&steps, cache);
                !steps.is_empty()
            }
        }
    }

    fn publish_joined(&mut self, steps: &[Passed], cache: &WatchCache) {
        let cut = self.joined.as_ref().and_then(Joined::revision);
        let Some(cut) = cut else { return };
        let max_bytes = emitter_cache::event_buffer::share(self.feeds.len());
        let changes = steps.iter().filter_map(|step| match step {
            Passed::Change(change) => Some(Arc::clone(change)),
            Passed::Turn(_) | Passed::Blind(_) => None,
        });
        let changes: Vec<Arc<Change>> = changes.collect();
        let (store, form) = (&self.store, cache.form);
        self.feeds.retain(|view, feed| {
            if !view.is_joined(form) {
                return true;
            }
            let Some(feed) = feed.upgrade() else {
                return false;
            };
            let concerns = |step: &Passed| match step {
                Passed::Turn(rejoined) => rejoined.concerns(&view.grant),
                Passed::Change(_) | Passed::Blind(_) => false,
            };
            if steps.iter().any(concerns) {
                feed.close();
                return false;
            }
            let mut ring = feed.ring.write();
            let head = ring.head();
            for step in steps {
                if let Passed::Blind(blind) = step {
                    ring.push(gap(blind.after, blind.until), max_bytes);
                }
            }
            Batch::new(&mut ring, view, max_bytes).push(&changes, store, cut, &cache.encoder);
            ring.advance(cut);
            let is_news = head != ring.head();
            drop(ring);
            if is_news {
                cache.pace.announce(&feed);
            }
            true
        });
    }

    fn lag(&self, cache: &WatchCache) -> Lag {
        let is_watched = self
            .feeds
            .iter()
            .any(|(view, feed)| 0 < feed.strong_count() && view.is_joined(cache.form));
        match &self.joined {
            Some(joined) if is_watched => joined.lag(&self.store),
            Some(_) | None => Lag::Nothing,
        }
    }
}

/// Shortest time between two questions on behalf of watches.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// Longest time between two questions on behalf of watches.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Longest time of a request that keeps resources in step.
const IN_STEP: Duration = Duration::from_secs(15);

/// A question may take this part of the time at most.
const PAUSE_PER_QUESTION: u32 = 10;

impl WatchCache {
    /// Goes on to where Services and objects are both known now.
    fn step(&self) {
        let mut inner = self.inner.lock();
        if inner.step(self) {
            self.forget_lists(&mut inner);
        }
        self.tell_cut(&inner);
    }

    pub(super) fn tell_cut(&self, inner: &Inner) {
        if inner.is_past {
            return;
        }
        if let Some(joined) = &inner.joined {
            self.cut.send_replace(joined.revision());
            if inner.lag(self) != Lag::Nothing {
                self.lags.notify_one();
            }
        }
    }

    /// Returns whether Services decide what a view shows of this cache.
    #[must_use]
    pub fn is_joined(&self, view: &View) -> bool {
        self.inner.lock().joined_for(view, self).is_some()
    }

    /// Returns the last resource version at which Services and objects are both known.
    #[must_use]
    pub fn common_version(&self) -> tokio::sync::watch::Receiver<Option<ResourceVersion>> {
        self.cut.subscribe()
    }

    /// Returns the cache of the Services that decide.
    #[must_use]
    pub fn services(&self) -> Option<Arc<Self>> {
        self.services.get().and_then(Weak::upgrade)
    }

    /// Asks, indefinitely, for what keeps watches of joined views waiting: a quiet resource reports
    /// its progress once a minute, and each change of the other would wait for that.
    pub async fn keep_in_step(self: Arc<Self>) {
        loop {
            let lag = self.inner.lock().lag(&self);
            let begin = Instant::now();
            let answer = match (lag, self.services()) {
                (Lag::Nothing, _) | (Lag::Services, None) => {
                    self.lags.notified().await;
                    continue;
                }
                (Lag::Services, Some(services)) => services.barrier.confirm(IN_STEP).await.is_ok(),
                (Lag::Objects, _) => self.barrier.confirm(IN_STEP).await.is_ok(),
            };
            let is_better = self.inner.lock().lag(&self) == Lag::Nothing;
            let pause = match answer && is_better {
                true => (PAUSE_PER_QUESTION * begin.elapsed()).clamp(MIN_PAUSE, MAX_PAUSE),
                false => MAX_PAUSE,
            };
            tokio::time::sleep(pause).await;
        }
    }
}
