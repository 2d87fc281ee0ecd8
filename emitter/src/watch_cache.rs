//! One resource's store, and the event buffers that its watchers share.
//!
//! One task writes ([`WatchCache::ingest`]); all others read. A watch joins under the writer's
//! lock, so its snapshot and its position in the event buffer are of one moment; from then on it
//! reads the event buffer alone. The cost of ingesting depends on the number of distinct views,
//! never on the number of watches.

mod batching;
mod broadcaster;
mod cached_list;
mod collector;
mod inner;
mod publish;
mod turn;
mod visibility;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use emitter_cache::encode::Encoder;
use emitter_cache::store::Expired;
use emitter_cache::view::Snapshot;
use emitter_cache::{Encoding, Entry, Fields, Limits, ResourceDescriptor, Scope, Store, View};
use jiff::Timestamp;
use parking_lot::Mutex;
use proto_types::resource::ApiResource;
use proto_types::{ObjectKey, ResourceVersion};
use runtime::watcher;
use tokio::sync::{Notify, watch};
use tracing::info;

use self::batching::UpdateBatcher;
pub use self::broadcaster::{Broadcaster, Listener, Start, Subscription};
pub use self::cached_list::CachedList;
pub use self::collector::Collected;
use self::inner::Inner;
use self::publish::Publication;
use self::visibility::Joining;
pub use self::visibility::join;
use crate::limits::MAX_LIST_BYTES;
use crate::read_barrier::{ReadBarrier, Versions};
use crate::sent_states::Told;

/// The exported objects of one resource, for reading by many.
pub struct WatchCache {
    form: &'static ResourceDescriptor,
    encoder: Encoder,
    inner: Mutex<Inner>,
    /// EndpointSlices and Endpoints that belong to the Services of this cache.
    joining: OnceLock<Joining>,
    /// The Services that the objects of this cache belong to.
    services: OnceLock<Weak<Self>>,
    cut: watch::Sender<Option<ResourceVersion>>,
    lags: Notify,
    ingested: watch::Sender<Option<ResourceVersion>>,
    /// The same, as far as it may be served.
    progress: watch::Sender<Option<ResourceVersion>>,
    lists: Mutex<HashMap<View, CachedList>>,
    /// Clients that listed in this history, where their resource versions do not show it.
    told: Told<Client>,
    list_hits: AtomicU64,
    barrier: ReadBarrier,
    pace: UpdateBatcher,
}

/// Name of a client, and what it lists.
pub type Client = (Arc<str>, Scope);

/// Maximum number of views whose list is cached. Consumers of one kind share a view, so more than a
/// few are ad-hoc queries.
const MAX_LISTS: usize = 32;

impl std::fmt::Debug for WatchCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WatchCache({})", self.names())
    }
}

impl WatchCache {
    /// Creates a cache without any event.
    #[must_use]
    pub fn new(
        form: impl Into<&'static ResourceDescriptor>,
        fields: Fields,
        limits: Limits,
    ) -> Self {
        let form = form.into();
        Self {
            form,
            encoder: Encoder::new(form),
            inner: Mutex::new(Inner {
                store: Store::new(form, fields, limits),
                joined: None,
                feeds: HashMap::new(),
                generation: 0,
                is_past: false,
            }),
            joining: OnceLock::new(),
            services: OnceLock::new(),
            cut: watch::Sender::new(None),
            lags: Notify::new(),
            ingested: watch::Sender::new(None),
            progress: watch::Sender::new(None),
            lists: Mutex::new(HashMap::new()),
            told: Told::default(),
            list_hits: AtomicU64::new(0),
            barrier: ReadBarrier::default(),
            pace: UpdateBatcher::default(),
        }
    }

    /// Returns the barrier of consistent reads.
    #[must_use]
    pub const fn barrier(&self) -> &ReadBarrier {
        &self.barrier
    }

    /// Returns whether exactly these versions are there.
    #[must_use]
    pub fn holds(&self, versions: &Versions) -> bool {
        let inner = self.inner.lock();
        let is_held = |(key, (uid, revision)): (&ObjectKey, &(Box<str>, ResourceVersion))| {
            let held = inner.store.get(key);
            held.is_some_and(|it| it.revision() == *revision && it.object().uid == *uid)
        };
        inner.store.len() == versions.len() && versions.iter().all(is_held)
    }

    /// The form of its objects.
    #[must_use]
    pub const fn form(&self) -> &'static ResourceDescriptor {
        self.form
    }

    /// Returns the names of the resource.
    #[must_use]
    pub const fn names(&self) -> &'static ApiResource {
        self.form.names
    }

    /// Returns the encoder of the resource.
    #[must_use]
    pub const fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The resource version up to which everything is known; `None` before the first list.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Option<ResourceVersion>> {
        self.progress.subscribe()
    }

    /// Returns the number of exported objects.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.inner.lock().store.len()
    }

    /// Returns the number of distinct views that are watched.
    #[must_use]
    pub fn feeds(&self) -> usize {
        let inner = self.inner.lock();
        inner
            .feeds
            .values()
            .filter(|feed| 0 < feed.strong_count())
            .count()
    }

    /// Applies an event of the upstream to the store, and to the views of other caches.
    pub fn ingest(&self, event: watcher::Event, now: Timestamp) {
        self.apply_services(&event);
        self.serve(event, now);
    }

    /// Applies an event of the upstream to the store, and publishes the changes.
    pub fn serve(&self, event: watcher::Event, now: Timestamp) {
        let mut inner = self.inner.lock();
        let has_misfit = inner.store.misfit().is_some();
        let news = match event {
            watcher::Event::Listed(listing) => inner.replace(self.names(), listing, now),
            watcher::Event::Applied(object) => inner.set(self.names(), object, now),
            watcher::Event::Deleted(object) => {
                let change = inner.store.remove(&object.key, object.revision, now);
                Publication::of(change)
            }
            watcher::Event::Progress(revision) => match inner.store.advance(revision) {
                true => Publication::GapClosed,
                false => Publication::Nothing,
            },
            watcher::Event::Connected | watcher::Event::Failed(_) => return,
        };
        inner.report_unknown_field(self.names(), has_misfit);
        self.publish(inner, &news);
    }

    /// Begins with events of the past, until [`Self::settle`].
    pub fn begin_in_the_past(&self) {
        self.inner.lock().is_past = true;
    }

    /// Ends the events of the past: the state is current.
    pub fn settle(&self) {
        let mut inner = self.inner.lock();
        let was_past = std::mem::replace(&mut inner.is_past, false);
        let progress = inner.store.progress();
        if was_past && let Some(revision) = progress {
            let (resource, n_objects) = (self.names(), inner.store.len());
            info!(%resource, n_objects, %revision, "serving the exported objects");
        }
        self.tell_cut(&inner);
        drop(inner);
        self.progress.send_replace(progress);
    }

    /// Returns the resource version up to which everything was reported, also while catching up.
    #[must_use]
    pub fn ingested(&self) -> watch::Receiver<Option<ResourceVersion>> {
        self.ingested.subscribe()
    }

    /// Returns whether all objects fit protobuf.
    #[must_use]
    pub fn fits_protobuf(&self) -> bool {
        self.form.protobuf.is_some() && self.inner.lock().store.misfit().is_none()
    }

    /// Forgets what was before the present.
    pub fn compact(&self) {
        self.inner.lock().store.compact();
    }

    /// Forgets that another history was served, as a server that has started since.
    pub fn trust_all(&self) {
        self.inner.lock().store.trust_all();
    }

    /// The object of that key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Entry>> {
        self.inner.lock().store.get(key).cloned()
    }

    /// Returns the current state of a view.
    #[must_use]
    pub fn snapshot(&self, view: &View) -> Snapshot {
        let present = self.inner.lock().present(view, self);
        present.snapshot(view)
    }

    /// Returns the state of a view at a resource version.
    pub fn snapshot_at(&self, view: &View, revision: ResourceVersion) -> Result<Snapshot, Expired> {
        self.inner.lock().store.snapshot_at(view, revision)
    }

    /// Returns a whole list that was encoded for another request already.
    #[must_use]
    pub fn listed(&self, view: &View) -> Option<CachedList> {
        let inner = self.inner.lock();
        let revision = inner.progress(view, self);
        let listed = self.lists.lock().get(view).cloned()?;
        drop(inner);
        self.list_hits.fetch_add(1, Ordering::Relaxed);
        Some(CachedList { revision, ..listed })
    }

    /// A whole list, encoded at most once for each change.
    #[must_use]
    pub fn list(&self, view: &View, now: Timestamp) -> CachedList {
        if let Some(listed) = self.listed(view) {
            return listed;
        }
        let inner = self.inner.lock();
        let revision = inner.progress(view, self);
        let generation = inner.generation;
        let present = inner.present(view, self);
        drop(inner);
        let entries = present.snapshot(view).entries;
        let entries = entries.iter().map(AsRef::as_ref);
        let items = self.encoder.items(entries, view.encoding, now);
        let listed = CachedList::new(items, revision);
        self.keep(view, &listed, generation);
        listed
    }

    /// Forgets all lists, and lists that are being encoded now.
    fn forget_lists(&self, inner: &mut Inner) {
        inner.generation += 1;
        self.lists.lock().clear();
    }

    /// Returns the number of lists that were cached when they were requested.
    #[must_use]
    pub fn list_hits(&self) -> u64 {
        self.list_hits.load(Ordering::Relaxed)
    }

    /// Keeps a list for the next request, unless anything changed in the meantime on which it
    /// depends: an object, or a Service that decides what the view shows.
    fn keep(&self, view: &View, listed: &CachedList, generation: u64) {
        let ages = matches!(view.encoding, Encoding::Table(_));
        let inner = self.inner.lock();
        if ages || inner.generation != generation {
            return;
        }
        let mut lists = self.lists.lock();
        let n_bytes: usize = lists.values().map(|it| it.items.len()).sum();
        let is_much = !lists.is_empty() && MAX_LIST_BYTES < n_bytes + listed.items.len();
        if lists.len() < MAX_LISTS && !is_much {
            lists.insert(view.clone(), listed.clone());
        }
    }

    /// Returns the number of the history, and the resource version up to which it is known.
    #[must_use]
    pub fn position(&self) -> (u64, ResourceVersion) {
        let inner = self.inner.lock();
        let progress = inner.store.progress().unwrap_or_default();
        (inner.store.epoch(), progress)
    }

    /// Returns the resource version up to which a view shows everything.
    #[must_use]
    pub fn progress_of(&self, view: &View) -> ResourceVersion {
        self.inner.lock().progress(view, self)
    }

    /// Notes that a client is sent the state at a resource version.
    pub fn record_sent(&self, client: impl FnOnce() -> Client, revision: ResourceVersion) {
        let mut inner = self.inner.lock();
        inner.store.settle_doubts(Timestamp::now());
        if inner.store.is_doubtful(revision) {
            self.told.note(client(), revision);
        }
    }

    /// Checks that a client can hold a resource version with a state of this history only.
    pub fn admits(
        &self,
        client: impl FnOnce() -> Client,
        revision: ResourceVersion,
    ) -> Result<(), Expired> {
        let mut inner = self.inner.lock();
        inner.store.settle_doubts(Timestamp::now());
        let is_known = !inner.store.is_doubtful(revision) || self.told.knows(&client(), revision);
        let oldest = inner.store.progress().unwrap_or_default();
        is_known.then_some(()).ok_or(Expired { oldest })
    }

    /// Joins the watchers of a view.
    pub fn subscribe(&self, view: &View, start: Start) -> Result<Subscription, Expired> {
        let mut inner = self.inner.lock();
        let progress = inner.progress(view, self);
        let (state, backlog, revision) = match start {
            Start::Now => (None, Vec::new(), progress),
            Start::State => (Some(inner.present(view, self)), Vec::new(), progress),
            Start::After(revision) => {
                let backlog = inner.backlog(view, revision, self)?;
                (None, backlog, revision.max(progress))
            }
        };
        let feed = inner.feed(view, progress);
        let cursor = feed.ring.read().head();
        // The writer does not wait while a view is computed of what was taken.
        drop(inner);
        let state = state.map_or_else(Vec::new, |it| it.snapshot(view).entries);
        Ok(Subscription {
            feed,
            cursor,
            state,
            backlog,
            revision,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
