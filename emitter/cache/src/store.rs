//! The objects of one resource, and their recent history.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jiff::Timestamp;
use proto_types::object::ParseError;
use proto_types::{ObjectKey, RawObject, Revision};

use crate::view::Snapshot;
use crate::{Change, Entry, Fields, Form, Scope, View};

mod relist;

pub use relist::Replaced;

/// How much history a store keeps.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Changes older than this are forgotten.
    pub age: Duration,
    /// At most so many changes.
    pub changes: usize,
    /// At most so many bytes.
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
            bytes: 256 << 20,
        }
    }
}

/// All exported objects of one resource. Until the first list it knows nothing,
/// and says so.
#[derive(Debug)]
pub struct Store {
    form: &'static Form,
    fields: Fields,
    limits: Limits,
    objects: OrdMap<ObjectKey, Arc<Entry>>,
    /// Everything up to here is in `objects`; `None` before the first list.
    progress: Option<Revision>,
    /// A watch can start from here and from all that follows.
    floor: Revision,
    history: VecDeque<Arc<Change>>,
    bytes: usize,
    misfit: Option<Misfit>,
}

/// An object that protobuf cannot say whole: its upstream knows more fields than we do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The object.
    pub key: ObjectKey,
    /// The field that we do not know.
    pub field: Box<str>,
}

/// A revision before the history that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// The oldest revision that would do.
    pub oldest: Revision,
}

impl Store {
    /// A store that has not been told anything yet.
    #[must_use]
    pub fn new(form: impl Into<&'static Form>, fields: Fields, limits: Limits) -> Self {
        Self {
            form: form.into(),
            fields,
            limits,
            objects: OrdMap::new(),
            progress: None,
            floor: Revision::ZERO,
            history: VecDeque::new(),
            bytes: 0,
            misfit: None,
        }
    }

    /// The revision up to which everything is known; `None` before the first list.
    #[must_use]
    pub const fn progress(&self) -> Option<Revision> {
        self.progress
    }

    /// The first object that protobuf could not say. Where there was one there will be
    /// others, for the upstream is newer.
    #[must_use]
    pub const fn misfit(&self) -> Option<&Misfit> {
        self.misfit.as_ref()
    }

    fn note_misfit(&mut self, entry: &Entry) {
        if let (None, Some(field)) = (&self.misfit, entry.misfit()) {
            let (key, field) = (entry.key().clone(), field.into());
            self.misfit = Some(Misfit { key, field });
        }
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The object of that key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Entry>> {
        self.objects.get(key)
    }

    /// The upstream has a new version of an object. `None` if it is not new.
    pub fn set(
        &mut self,
        object: RawObject,
        now: Timestamp,
    ) -> Result<Option<Arc<Change>>, ParseError> {
        let revision = object.revision;
        let before = self.objects.get(&object.key).cloned();
        let is_repeat = before.as_ref().is_some_and(|before| {
            before.object().uid == object.uid && revision <= before.revision()
        });
        if is_repeat {
            self.advance(revision);
            return Ok(None);
        }
        let after = Arc::new(Entry::new(self.form, &self.fields, object)?);
        self.note_misfit(&after);
        self.objects.insert(after.key().clone(), Arc::clone(&after));
        Ok(Some(self.record(revision, now, before, Some(after))))
    }

    /// An object is gone at that revision. `None` if it was not there.
    pub fn remove(
        &mut self,
        key: &ObjectKey,
        revision: Revision,
        now: Timestamp,
    ) -> Option<Arc<Change>> {
        let is_known = self
            .objects
            .get(key)
            .is_some_and(|entry| entry.revision() < revision);
        let before = is_known.then(|| self.objects.remove(key)).flatten();
        if before.is_none() {
            self.advance(revision);
            return None;
        }
        Some(self.record(revision, now, before, None))
    }

    /// Nothing else happened up to that revision.
    pub fn advance(&mut self, revision: Revision) {
        if let Some(progress) = &mut self.progress {
            *progress = revision.max(*progress);
        }
    }

    /// What a view sees now.
    #[must_use]
    pub fn snapshot(&self, view: &View) -> Snapshot {
        Snapshot {
            revision: self.progress.unwrap_or_default(),
            entries: in_view(&self.objects, view),
        }
    }

    /// What a view saw at an earlier revision: the present, with what came later
    /// undone. Costs what happened since, and no memory while nobody asks.
    pub fn snapshot_at(&self, view: &View, revision: Revision) -> Result<Snapshot, Expired> {
        let later = self.since(revision)?;
        let mut objects = self.objects.clone();
        for change in later.rev() {
            match &change.before {
                Some(before) => objects.insert(before.key().clone(), Arc::clone(before)),
                None => objects.remove(change.key()),
            };
        }
        Ok(Snapshot {
            revision,
            entries: in_view(&objects, view),
        })
    }

    /// What happened after a revision, oldest first.
    pub fn since(
        &self,
        revision: Revision,
    ) -> Result<impl DoubleEndedIterator<Item = &Arc<Change>>, Expired> {
        if revision < self.floor {
            return Err(Expired { oldest: self.floor });
        }
        let first = self
            .history
            .partition_point(|change| change.revision <= revision);
        Ok(self.history.range(first..))
    }

    /// The objects that belong to a Service.
    #[must_use]
    pub fn of_service(&self, service: &ObjectKey) -> Vec<Arc<Entry>> {
        let first = ObjectKey::new(service.namespace(), "");
        let entries = self.objects.range(first..).map(|(_, entry)| entry);
        let here = entries.take_while(|it| it.key().namespace() == service.namespace());
        here.filter(|it| crate::grant::service_of(it).as_ref() == Some(service))
            .cloned()
            .collect()
    }

    fn record(
        &mut self,
        revision: Revision,
        now: Timestamp,
        before: Option<Arc<Entry>>,
        after: Option<Arc<Entry>>,
    ) -> Arc<Change> {
        let last = self.history.back().map(|last| last.revision);
        if last.is_some_and(|last| revision < last) {
            // Late news cannot be told in its place: who resumes must list again.
            self.forget_history(self.progress.unwrap_or(revision));
        }
        let change = Arc::new(Change::new(revision, now, before, after));
        self.bytes += change.size();
        self.history.push_back(Arc::clone(&change));
        self.advance(revision);
        self.forget(now);
        change
    }

    /// History before the present is lost: who resumes must list again.
    pub fn compact(&mut self) {
        self.forget_history(self.progress.unwrap_or_default());
    }

    fn forget_history(&mut self, floor: Revision) {
        self.history.clear();
        self.bytes = 0;
        self.floor = floor;
    }

    /// Drops the oldest history beyond the limits.
    fn forget(&mut self, now: Timestamp) {
        let age =
            jiff::SignedDuration::try_from(self.limits.age).unwrap_or(jiff::SignedDuration::MAX);
        while let Some(oldest) = self.history.front() {
            let is_old = age < now.duration_since(oldest.at);
            let is_much =
                self.limits.changes < self.history.len() || self.limits.bytes < self.bytes;
            if !is_old && !is_much {
                return;
            }
            self.floor = self.floor.max(oldest.revision);
            self.bytes -= oldest.size();
            self.history.pop_front();
        }
    }
}

/// The objects in view, in key order; only the namespace's, where it is one.
fn in_view(objects: &OrdMap<ObjectKey, Arc<Entry>>, view: &View) -> Vec<Arc<Entry>> {
    let first = ObjectKey::new(view.scope.namespace().unwrap_or(""), "");
    objects
        .range(first..)
        .map(|(_, entry)| entry)
        .take_while(|entry| match &view.scope {
            Scope::Cluster => true,
            Scope::Namespace(namespace) => entry.key().namespace() == namespace,
        })
        .filter_map(|entry| view.show(entry))
        .collect()
}
