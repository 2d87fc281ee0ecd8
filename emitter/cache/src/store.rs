//! The objects of one resource, and their recent history.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imbl::OrdMap;
use jiff::Timestamp;
use proto_types::object::ParseError;
use proto_types::{ObjectKey, RawObject, ResourceVersion};

use self::gaps::Gaps;
use crate::change::{Placed, Step};
use crate::view::Snapshot;
use crate::{Change, Entry, Fields, ResourceDescriptor, Scope, View};

mod gaps;
mod history;
mod relist;
mod turn;

pub use relist::{Beginning, RelistOutcome};

/// Limits of the history of a store.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Changes older than this are forgotten.
    pub age: Duration,
    /// At most so many changes.
    pub changes: usize,
    /// Maximum size in bytes of history: versions of objects that are not live, and encoded events.
    pub bytes: usize,
}

impl Default for Limits {
    /// Five minutes, as etcd keeps under a kube-apiserver (which itself answers
    /// from 75 seconds of memory), so that a consumer which was away for a restart
    /// need not list again. The other two bound a storm: 100 000 changes are what
    /// a kube-apiserver keeps at most.
    fn default() -> Self {
        Self {
            age: Duration::from_secs(300),
            changes: 100_000,
            bytes: 64 << 20,
        }
    }
}

/// Seconds within which clients that were connected come back, and list.
const DOUBT: i64 = 120;

/// All exported objects of one resource. Until the first list it is empty, and reports that.
#[derive(Debug)]
pub struct Store {
    form: &'static ResourceDescriptor,
    fields: Fields,
    limits: Limits,
    objects: OrdMap<ObjectKey, Arc<Entry>>,
    /// Everything up to here is in `objects`; `None` before the first list.
    progress: Option<ResourceVersion>,
    /// A watch can start from here and from all that follows.
    floor: ResourceVersion,
    history: VecDeque<Arc<Change>>,
    /// Number of changes that were forgotten.
    n_forgotten: u64,
    bytes: usize,
    /// Bytes of the encoded events of all changes.
    n_encoded: Arc<AtomicUsize>,
    gaps: Gaps,
    /// Number of new beginnings.
    epoch: u64,
    /// Up to here, a resource version may belong to a state that history does not continue.
    doubtful: Option<ResourceVersion>,
    /// Until then, every resource version may: how far the former history reached at other replicas
    /// is not known.
    all_doubtful_until: Option<Timestamp>,
    misfit: Option<UnknownField>,
}

/// Effect of an event on a store.
#[derive(Debug)]
pub enum Applied {
    /// The object is the one that was known.
    Unchanged,
    /// The object changed.
    Changed(Arc<Change>),
    /// The object changed at a resource version that was already complete. History cannot show
    /// that: it starts again, and every consumer must list.
    Fresh,
}

/// An object that does not fit protobuf: its upstream has fields that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// The object.
    pub key: ObjectKey,
    /// The unknown field.
    pub field: Box<str>,
}

/// A resource version before the history that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// The oldest resource version that would do.
    pub oldest: ResourceVersion,
}

impl Store {
    /// Creates a store without any event.
    #[must_use]
    pub fn new(
        form: impl Into<&'static ResourceDescriptor>,
        fields: Fields,
        limits: Limits,
    ) -> Self {
        Self {
            form: form.into(),
            fields,
            limits,
            objects: OrdMap::new(),
            progress: None,
            floor: ResourceVersion::ZERO,
            history: VecDeque::new(),
            n_forgotten: 0,
            bytes: 0,
            n_encoded: Arc::default(),
            gaps: Gaps::default(),
            epoch: 0,
            doubtful: None,
            all_doubtful_until: None,
            misfit: None,
        }
    }

    /// Returns the number of new beginnings: resource versions of different epochs
    /// cannot be compared.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns whether a client may hold that resource version with a state which history does not
    /// continue. Only clients that listed in this epoch may resume from there.
    #[must_use]
    pub fn is_doubtful(&self, revision: ResourceVersion) -> bool {
        let is_before = self.doubtful.is_some_and(|doubtful| revision <= doubtful);
        is_before || self.all_doubtful_until.is_some()
    }

    /// Ends the time in which every resource version is doubtful, when it is over. Those that were
    /// reached in it stay so.
    pub fn settle_doubts(&mut self, now: Timestamp) {
        if self.all_doubtful_until.is_some_and(|until| until <= now) {
            self.all_doubtful_until = None;
            self.doubtful = self.doubtful.max(self.progress);
        }
    }

    /// Doubts all resource versions for a while: other replicas may have served another history.
    pub fn distrust_all(&mut self, now: Timestamp) {
        let until = now.checked_add(jiff::SignedDuration::from_secs(DOUBT));
        self.all_doubtful_until = until.ok();
    }

    /// Forgets that another history was served, as a server that has started since.
    pub const fn trust_all(&mut self) {
        self.doubtful = None;
        self.all_doubtful_until = None;
    }

    /// Returns the bytes that history holds.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.bytes + self.n_encoded.load(Ordering::Relaxed)
    }

    /// The resource version up to which everything is known; `None` before the first list.
    #[must_use]
    pub const fn progress(&self) -> Option<ResourceVersion> {
        self.progress
    }

    /// The first object that did not fit protobuf. Where there was one there will be others, for
    /// the upstream is newer.
    #[must_use]
    pub const fn misfit(&self) -> Option<&UnknownField> {
        self.misfit.as_ref()
    }

    fn note_misfit(&mut self, entry: &Entry) {
        if let (None, Some(field)) = (&self.misfit, entry.misfit()) {
            let (key, field) = (entry.key().clone(), field.into());
            self.misfit = Some(UnknownField { key, field });
        }
    }

    /// Returns the number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The object of that key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Entry>> {
        self.objects.get(key)
    }

    /// Takes in a new version of an object.
    pub fn set(&mut self, object: RawObject, now: Timestamp) -> Result<Applied, ParseError> {
        let revision = object.revision;
        let before = self.objects.get(&object.key).cloned();
        let is_repeat = before.as_ref().is_some_and(|before| {
            before.object().uid == object.uid && revision <= before.revision()
        });
        if is_repeat {
            return Ok(Applied::Unchanged);
        }
        let after = Arc::new(Entry::new(self.form, &self.fields, object)?);
        self.note_misfit(&after);
        self.objects.insert(after.key().clone(), Arc::clone(&after));
        if let Some(progress) = self.progress.filter(|progress| revision <= *progress) {
            self.begin_anew(progress);
            return Ok(Applied::Fresh);
        }
        Ok(Applied::Changed(self.record(
            Step {
                revision,
                placed: Placed::At,
                before,
                after: Some(after),
            },
            now,
        )))
    }

    /// Takes in the deletion of an object at a resource version. Returns `None` if the object is
    /// not known, or is newer.
    ///
    /// A deletion at a resource version that was already complete comes of an upstream that missed
    /// it, and happened later.
    pub fn remove(
        &mut self,
        key: &ObjectKey,
        revision: ResourceVersion,
        now: Timestamp,
    ) -> Option<Arc<Change>> {
        let is_known = self
            .objects
            .get(key)
            .is_some_and(|entry| entry.revision() <= revision);
        let before = is_known.then(|| self.objects.remove(key)).flatten();
        if before.is_none() {
            self.reach(revision);
            return None;
        }
        let late = self.progress.filter(|progress| revision <= *progress);
        if let Some(progress) = late {
            self.gaps.open(progress);
        }
        let placed = late.map_or(Placed::At, |_| Placed::After);
        Some(self.record(
            Step {
                revision: late.unwrap_or(revision),
                placed,
                before,
                after: None,
            },
            now,
        ))
    }

    /// Takes in that nothing else happened up to a resource version. Returns whether that ends a
    /// range of missed deletions.
    pub fn advance(&mut self, revision: ResourceVersion) -> bool {
        let is_news = self.progress.is_some_and(|progress| progress < revision);
        self.reach(revision);
        is_news && self.gaps.close(revision)
    }

    fn reach(&mut self, revision: ResourceVersion) {
        if let Some(progress) = &mut self.progress {
            *progress = revision.max(*progress);
        }
    }

    /// Returns all objects as they are now. That costs nothing, however many there are:
    /// views of it are computed apart from the store, and from whatever guards it.
    #[must_use]
    pub fn present(&self) -> CurrentState {
        CurrentState {
            revision: self.progress.unwrap_or_default(),
            objects: self.objects.clone(),
        }
    }

    /// Returns the current state of a view.
    #[must_use]
    pub fn snapshot(&self, view: &View) -> Snapshot {
        Snapshot {
            revision: self.progress.unwrap_or_default(),
            entries: in_view(&self.objects, view, ResourceVersion::MAX),
        }
    }

    /// Returns the state of a view at an earlier resource version: the current state without later
    /// changes. It takes time in proportion to these changes, and no memory beforehand.
    pub fn snapshot_at(&self, view: &View, revision: ResourceVersion) -> Result<Snapshot, Expired> {
        let (objects, _) = self.state_at(revision)?;
        Ok(Snapshot {
            revision,
            entries: in_view(&objects, view, revision),
        })
    }

    /// Returns all objects at a resource version, and the position of the first change that they do
    /// not contain.
    pub(crate) fn state_at(&self, revision: ResourceVersion) -> Result<(Objects, u64), Expired> {
        let later = self.since(revision)?;
        let mut position = self.end();
        let mut objects = self.objects.clone();
        for change in later.rev() {
            position -= 1;
            match &change.before {
                Some(before) => objects.insert(before.key().clone(), Arc::clone(before)),
                None => objects.remove(change.key()),
            };
        }
        Ok((objects, position))
    }
}

/// All objects of a store at one moment.
#[derive(Debug, Clone)]
pub struct CurrentState {
    revision: ResourceVersion,
    objects: Objects,
}

impl CurrentState {
    /// Returns what a view sees.
    #[must_use]
    pub fn snapshot(&self, view: &View) -> Snapshot {
        Snapshot {
            revision: self.revision,
            entries: in_view(&self.objects, view, ResourceVersion::MAX),
        }
    }
}

/// All objects of one moment, in key order.
pub(crate) type Objects = OrdMap<ObjectKey, Arc<Entry>>;

/// Returns the objects in a view at a resource version, in key order; only the namespace's, where
/// the view has one.
pub(crate) fn in_view(objects: &Objects, view: &View, at: ResourceVersion) -> Vec<Arc<Entry>> {
    let first = ObjectKey::new(view.scope.namespace().unwrap_or(""), "");
    objects
        .range(first..)
        .map(|(_, entry)| entry)
        .take_while(|entry| match &view.scope {
            Scope::Cluster => true,
            Scope::Namespace(namespace) => entry.key().namespace() == namespace,
        })
        .filter_map(|entry| view.show(entry, at))
        .collect()
}
