//! One resource's store, and the feeds that its watchers share.
//!
//! One task writes ([`Hub::ingest`]); everybody else reads. A watch joins under the
//! writer's lock, so that its snapshot and its place in the feed are of one moment;
//! from then on it reads the feed alone. What ingesting costs depends on the number
//! of distinct views, never on the number of watchers.

mod feed;
mod joins;
mod listed;
mod pace;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use emitter_cache::encode::Encoder;
use emitter_cache::ring::Frame;
use emitter_cache::store::{Expired, Misfit, Replaced};
use emitter_cache::view::Snapshot;
use emitter_cache::{Change, Encoding, Entry, Fields, Form, Limits, Store, View};
use jiff::Timestamp;
use parking_lot::Mutex;
use proto_types::resource::Names;
use proto_types::{ObjectKey, Revision};
use runtime::follow;
use tokio::sync::watch;
use tracing::{info, warn};

pub use self::feed::{Feed, Listener, Start, Subscription};
use self::joins::Joins;
pub use self::listed::Listed;
use self::pace::Pace;
use crate::probe::{Questions, Versions};

/// The exported objects of one resource, for reading by many.
pub struct Hub {
    form: &'static Form,
    encoder: Encoder,
    inner: Mutex<Inner>,
    ingested: watch::Sender<Option<Revision>>,
    /// The same, as far as it may be served.
    progress: watch::Sender<Option<Revision>>,
    lists: Mutex<HashMap<View, Listed>>,
    list_hits: AtomicU64,
    questions: Questions,
    pace: Pace,
}

struct Inner {
    store: Store,
    joins: Joins,
    feeds: HashMap<View, Weak<Feed>>,
    /// The store is catching up, and nobody may read it.
    is_past: bool,
}

/// How many distinct views may have their list kept ready. Consumers of one kind
/// share a view, so more than a few are a sign of ad-hoc queries.
const MAX_LISTS: usize = 32;

impl Hub {
    /// A hub that has not been told anything yet.
    #[must_use]
    pub fn new(form: impl Into<&'static Form>, fields: Fields, limits: Limits) -> Self {
        let form = form.into();
        Self {
            form,
            encoder: Encoder::new(form),
            inner: Mutex::new(Inner {
                store: Store::new(form, fields, limits),
                joins: Joins::default(),
                feeds: HashMap::new(),
                is_past: false,
            }),
            ingested: watch::Sender::new(None),
            progress: watch::Sender::new(None),
            lists: Mutex::new(HashMap::new()),
            list_hits: AtomicU64::new(0),
            questions: Questions::default(),
            pace: Pace::default(),
        }
    }

    /// What readers ask before they read.
    #[must_use]
    pub const fn questions(&self) -> &Questions {
        &self.questions
    }

    /// Whether exactly these versions are there.
    #[must_use]
    pub fn holds(&self, versions: &Versions) -> bool {
        let inner = self.inner.lock();
        let is_held = |(key, (uid, revision)): (&ObjectKey, &(Box<str>, Revision))| {
            let held = inner.store.get(key);
            held.is_some_and(|it| it.revision() == *revision && it.object().uid == *uid)
        };
        inner.store.len() == versions.len() && versions.iter().all(is_held)
    }

    /// The form of its objects.
    #[must_use]
    pub const fn form(&self) -> &'static Form {
        self.form
    }

    /// What its resource is called.
    #[must_use]
    pub const fn names(&self) -> &'static Names {
        self.form.names
    }

    /// What encodes for this resource.
    #[must_use]
    pub const fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The revision up to which everything is known; `None` before the first list.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Option<Revision>> {
        self.progress.subscribe()
    }

    /// How many objects are exported.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.inner.lock().store.len()
    }

    /// How many distinct views are being watched.
    #[must_use]
    pub fn feeds(&self) -> usize {
        let inner = self.inner.lock();
        inner
            .feeds
            .values()
            .filter(|feed| 0 < feed.strong_count())
            .count()
    }

    /// Takes in what the upstream says.
    pub fn ingest(&self, event: follow::Event, now: Timestamp) {
        let mut inner = self.inner.lock();
        let has_misfit = inner.store.misfit().is_some();
        let changes = match event {
            follow::Event::Listed(listing) => inner.replace(self.names(), listing, now),
            follow::Event::Applied(object) => {
                let key = object.key.clone();
                let change = inner.store.set(object, now);
                change.unwrap_or_else(|error| {
                    warn!(resource = %self.names(), %key, %error, "ignored an unreadable object");
                    None
                })
            }
            .into_iter()
            .collect(),
            follow::Event::Deleted(object) => {
                let change = inner.store.remove(&object.key, object.revision, now);
                change.into_iter().collect()
            }
            follow::Event::Progress(revision) => {
                inner.store.advance(revision);
                Vec::new()
            }
            follow::Event::Connected | follow::Event::Failed(_) => return,
        };
        inner.tell_misfit(self.names(), has_misfit);
        inner.publish(&changes, &self.encoder, &self.pace);
        if !changes.is_empty() {
            self.lists.lock().clear();
        }
        let progress = inner.store.progress();
        let is_past = inner.is_past;
        drop(inner);
        self.ingested.send_replace(progress);
        if !is_past {
            self.progress.send_replace(progress);
        }
    }

    /// What is told from now on was long ago, until [`Self::settle`].
    pub fn begin_in_the_past(&self) {
        self.inner.lock().is_past = true;
    }

    /// What is known is the present.
    pub fn settle(&self) {
        let mut inner = self.inner.lock();
        inner.is_past = false;
        let progress = inner.store.progress();
        drop(inner);
        self.progress.send_replace(progress);
    }

    /// The revision up to which everything has been told, also while catching up.
    #[must_use]
    pub fn ingested(&self) -> watch::Receiver<Option<Revision>> {
        self.ingested.subscribe()
    }

    /// Whether protobuf can say all that there is.
    #[must_use]
    pub fn fits_protobuf(&self) -> bool {
        self.form.protobuf.is_some() && self.inner.lock().store.misfit().is_none()
    }

    /// Forgets what was before the present.
    pub fn compact(&self) {
        self.inner.lock().store.compact();
    }

    /// The object of that key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Entry>> {
        self.inner.lock().store.get(key).cloned()
    }

    /// What a view sees now.
    #[must_use]
    pub fn snapshot(&self, view: &View) -> Snapshot {
        self.inner.lock().store.snapshot(view)
    }

    /// What a view saw at a revision.
    pub fn snapshot_at(&self, view: &View, revision: Revision) -> Result<Snapshot, Expired> {
        self.inner.lock().store.snapshot_at(view, revision)
    }

    /// A whole list, encoded at most once for each change.
    #[must_use]
    pub fn list(&self, view: &View, now: Timestamp) -> Listed {
        let inner = self.inner.lock();
        let revision = inner.store.progress().unwrap_or_default();
        if let Some(listed) = self.lists.lock().get(view) {
            self.list_hits.fetch_add(1, Ordering::Relaxed);
            let listed = listed.clone();
            return Listed { revision, ..listed };
        }
        let entries = inner.store.snapshot(view).entries;
        drop(inner);
        let entries = entries.iter().map(AsRef::as_ref);
        let items = self.encoder.items(entries, view.encoding, now);
        let listed = Listed::new(items, revision);
        self.keep(view, &listed);
        listed
    }

    /// How many lists were ready when they were asked for.
    #[must_use]
    pub fn list_hits(&self) -> u64 {
        self.list_hits.load(Ordering::Relaxed)
    }

    /// Keeps a list for the next who asks, unless it is old news already.
    fn keep(&self, view: &View, listed: &Listed) {
        let ages = matches!(view.encoding, Encoding::Table(_));
        let inner = self.inner.lock();
        if ages || inner.store.progress() != Some(listed.revision) {
            return;
        }
        let mut lists = self.lists.lock();
        if lists.len() < MAX_LISTS {
            lists.insert(view.clone(), listed.clone());
        }
    }

    /// Joins the watchers of a view.
    pub fn subscribe(&self, view: &View, start: Start) -> Result<Subscription, Expired> {
        let mut inner = self.inner.lock();
        let progress = inner.store.progress().unwrap_or_default();
        let (state, backlog, revision) = match start {
            Start::Now => (Vec::new(), Vec::new(), progress),
            Start::State => (inner.store.snapshot(view).entries, Vec::new(), progress),
            Start::After(revision) => {
                inner.joins.check(view, revision)?;
                let missed = inner.store.since(revision)?;
                let frames = missed.filter_map(|change| change.frame(view, &self.encoder));
                (Vec::new(), frames.collect(), revision.max(progress))
            }
        };
        let feed = inner.feed(view);
        let cursor = feed.ring.read().head();
        Ok(Subscription {
            feed,
            cursor,
            state,
            backlog,
            revision,
        })
    }
}

impl Inner {
    fn replace(
        &mut self,
        resource: &Names,
        listing: follow::Listing,
        now: Timestamp,
    ) -> Vec<Arc<Change>> {
        let n_objects = listing.objects.len();
        let revision = listing.revision;
        let (replaced, unreadable) = self.store.replace(revision, listing.objects, now);
        for error in unreadable {
            warn!(%resource, %error, "ignored an unreadable object");
        }
        match replaced {
            Replaced::Fresh => {
                info!(%resource, n_objects, %revision, "listed the exported objects");
                let feeds = self.feeds.drain().filter_map(|(_, feed)| feed.upgrade());
                feeds.for_each(|feed| feed.close());
                Vec::new()
            }
            Replaced::Continued(changes) => {
                let n_missed = changes.len();
                info!(%resource, n_objects, n_missed, %revision, "listed again");
                changes
            }
        }
    }

    /// Says once that there is what protobuf cannot say, and sends those who watch in
    /// it away: they come back, and are offered something else.
    fn tell_misfit(&mut self, resource: &Names, is_known: bool) {
        let Some(Misfit { key, field }) = self.store.misfit().filter(|_| !is_known) else {
            return;
        };
        warn!(%resource, %key, %field, "no protobuf any more: the upstream has a field that this emitter does not know");
        self.feeds.retain(|view, feed| {
            if !matches!(view.encoding, Encoding::Protobuf(_)) {
                return true;
            }
            if let Some(feed) = feed.upgrade() {
                feed.leave_behind();
            }
            false
        });
    }

    /// Appends changes to every feed that sees them.
    fn publish(&mut self, changes: &[Arc<Change>], encoder: &Encoder, pace: &Pace) {
        let progress = self.store.progress().unwrap_or_default();
        self.feeds.retain(|view, feed| {
            let Some(feed) = feed.upgrade() else {
                return false;
            };
            let mut ring = feed.ring.write();
            let mut is_news = false;
            for change in changes {
                if let Some(bytes) = change.frame(view, encoder) {
                    let revision = change.revision;
                    ring.push(Frame { revision, bytes });
                    is_news = true;
                }
            }
            ring.advance(progress);
            drop(ring);
            if is_news {
                pace.announce(&feed);
            }
            true
        });
    }

    fn feed(&mut self, view: &View) -> Arc<Feed> {
        if let Some(feed) = self.feeds.get(view).and_then(Weak::upgrade) {
            return feed;
        }
        let feed = Feed::new(view, self.store.progress().unwrap_or_default());
        self.feeds.insert(view.clone(), Arc::downgrade(&feed));
        feed
    }
}

#[cfg(test)]
pub(crate) mod tests;
