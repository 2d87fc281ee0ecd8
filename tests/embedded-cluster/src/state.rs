//! What a cluster holds: its objects, in one history.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use emitter::watch_cache::WatchCache;
use emitter_cache::{Encoding, Entry, Fields, Limits, Scope, View};
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use proto_types::status::escape_html;
use proto_types::{FieldSelector, LabelSelector, ObjectKey, RawObject, ResourceVersion};
use runtime::watcher::{Event, Listing};
use serde_json::Value;

use crate::Kind;
use crate::defaults::twin;
use crate::metadata::{key, owners, set, text, unset};
use crate::service::Addresses;

/// The objects, for reading by many; who writes holds [`State`].
pub(crate) struct Storage {
    caches: Vec<Arc<WatchCache>>,
    observer: OnceLock<Observer>,
    state: Mutex<State>,
}

/// What only writers need.
pub(crate) struct State {
    revision: ResourceVersion,
    pub(crate) addresses: Addresses,
    /// What goes when its last owner has gone, by the owner's uid.
    owned: HashMap<String, HashSet<(Kind, ObjectKey)>>,
    alive: HashSet<String>,
}

/// A change of an object.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Its kind.
    pub kind: Kind,
    /// The object before; nothing where it is new.
    pub before: Option<&'a Value>,
    /// The object after; nothing where it is deleted.
    pub after: Option<&'a Value>,
}

/// Called with every change, while no other one can happen.
pub type Observer = Box<dyn Fn(Change<'_>) + Send + Sync>;

/// Everything at one moment, to go back to.
#[derive(Debug, Clone)]
pub struct Backup {
    revision: ResourceVersion,
    objects: Vec<(Kind, Bytes)>,
}

impl Storage {
    /// Nothing, at a resource version from which history goes on.
    pub(crate) fn new(addresses: Addresses, limits: Limits) -> Self {
        let caches =
            Kind::ALL.map(|kind| Arc::new(WatchCache::new(kind.form(), Fields::All, limits)));
        let storage = Self {
            caches: caches.into(),
            observer: OnceLock::new(),
            state: Mutex::new(State::new(addresses)),
        };
        storage.begin(ResourceVersion::new(1), &[]);
        storage
    }

    /// Who holds it writes, and nobody else does.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Calls it with every change from now on; only the first one is called.
    pub(crate) fn observe(&self, observer: Observer) {
        let _state = self.lock();
        // A second observer would be a mistake of a test.
        let _ = self.observer.set(observer);
    }

    fn tell(&self, kind: Kind, before: Option<&Value>, after: Option<&Value>) {
        if let Some(observer) = self.observer.get() {
            observer(Change {
                kind,
                before,
                after,
            });
        }
    }

    /// Objects before a change, where an observer wants to see them.
    fn before(&self, kind: Kind, key: &ObjectKey) -> Option<Value> {
        self.observer.get().and_then(|_| self.get(kind, key))
    }

    /// The objects of one kind.
    pub(crate) fn cache(&self, kind: Kind) -> &Arc<WatchCache> {
        let cache = self
            .caches
            .iter()
            .find(|cache| cache.names() == kind.names());
        cache.expect("there is a hub for every kind")
    }

    /// A cache that has nothing at the same resource version.
    pub(crate) fn empty_hub(&self, kind: Kind) -> Arc<WatchCache> {
        let cache = WatchCache::new(kind.form(), Fields::All, Limits::default());
        let revision = self.cache(kind).progress().borrow().unwrap_or_default();
        cache.ingest(listed(revision, Vec::new()), Timestamp::now());
        Arc::new(cache)
    }

    /// An object as it is.
    pub(crate) fn get(&self, kind: Kind, key: &ObjectKey) -> Option<Value> {
        self.cache(kind).get(key).map(|entry| value(&entry))
    }

    /// The objects of a kind that are in scope, as they are.
    pub(crate) fn list(&self, kind: Kind, scope: Scope, labels: &LabelSelector) -> Vec<Arc<Entry>> {
        let view = View {
            scope,
            labels: labels.clone(),
            fields: FieldSelector::default(),
            encoding: Encoding::Object,
            grant: emitter_cache::ViewFilter::default(),
        };
        self.cache(kind).snapshot(&view).entries
    }

    /// Stores an object at the next resource version.
    pub(crate) fn put(&self, state: &mut State, kind: Kind, mut object: Value) -> Arc<Entry> {
        let revision = state.next();
        set(&mut object, "resourceVersion", revision.to_string());
        state.learn(kind, &object);
        let (kind_of_twin, twin) = twin(kind, &object).unzip();
        let key = key(&object);
        self.tell(kind, self.before(kind, &key).as_ref(), Some(&object));
        self.ingest(kind, Event::Applied(raw(kind, object)));
        if let (Some(kind), Some(twin)) = (kind_of_twin, twin) {
            self.ingest(kind, Event::Applied(raw(kind, twin)));
        }
        self.progress(revision);
        let stored = self.cache(kind).get(&key);
        stored.expect("what was stored under the lock is there")
    }

    /// Removes an object at the next resource version.
    pub(crate) fn remove(&self, state: &mut State, kind: Kind, key: &ObjectKey) {
        let Some(mut object) = self.get(kind, key) else {
            return;
        };
        let revision = state.next();
        self.tell(kind, Some(&object), None);
        state.forget(kind, &object);
        set(&mut object, "resourceVersion", revision.to_string());
        let (kind_of_twin, twin) = twin(kind, &object).unzip();
        self.ingest(kind, Event::Deleted(raw(kind, object)));
        if let (Some(kind), Some(twin)) = (kind_of_twin, twin) {
            self.ingest(kind, Event::Deleted(raw(kind, twin)));
        }
        self.progress(revision);
    }

    /// What would be stored, without storing it.
    pub(crate) fn pretend(kind: Kind, mut object: Value) -> Arc<Entry> {
        let has_revision = !text(&object, "resourceVersion").is_empty();
        if !has_revision {
            // Objects without one cannot be held, and readers do not mind.
            set(&mut object, "resourceVersion", "0");
        }
        let entry = Entry::new(kind.form(), &Fields::All, raw(kind, object));
        Arc::new(entry.expect("what was checked can be read"))
    }

    /// Everything there is.
    pub(crate) fn backup(&self) -> Backup {
        let state = self.lock();
        let all = LabelSelector::default();
        // A twin comes back with its original.
        let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Events);
        let objects = kinds.flat_map(|kind| {
            let entries = self.list(kind, Scope::Cluster, &all);
            entries.into_iter().map(move |it| (kind, it.json().clone()))
        });
        Backup {
            revision: state.revision,
            objects: objects.collect(),
        }
    }

    /// Begins a history of its own with what a backup holds.
    pub(crate) fn restore(&self, backup: &Backup) {
        let objects: Vec<(Kind, Value)> = backup
            .objects
            .iter()
            .filter_map(|(kind, json)| Some((*kind, serde_json::from_slice(json).ok()?)))
            .collect();
        self.begin(backup.revision, &objects);
    }

    /// Forgets that there was another history.
    pub(crate) fn trust_all(&self) {
        self.caches.iter().for_each(|cache| cache.trust_all());
    }

    /// Begins a history with these objects.
    pub(crate) fn begin(&self, revision: ResourceVersion, objects: &[(Kind, Value)]) {
        let mut state = self.lock();
        self.tell_of_beginning(objects);
        *state = State::new(state.addresses.emptied());
        state.revision = revision;
        let mut listings: HashMap<Kind, Vec<RawObject>> = HashMap::new();
        for (kind, object) in objects {
            state.learn(*kind, object);
            if *kind == Kind::Services {
                state.addresses.keep(&object["spec"]);
            }
            if let Some((kind, twin)) = twin(*kind, object) {
                listings.entry(kind).or_default().push(raw(kind, twin));
            }
            let object = raw(*kind, object.clone());
            listings.entry(*kind).or_default().push(object);
        }
        for kind in Kind::ALL {
            let objects = listings.remove(&kind).unwrap_or_default();
            self.ingest(kind, listed(revision, objects));
            // What was before may not be told as if it led here.
            self.cache(kind).compact();
        }
    }

    /// Tells the difference between what is there and what will be.
    fn tell_of_beginning(&self, objects: &[(Kind, Value)]) {
        if self.observer.get().is_none() {
            return;
        }
        let all = LabelSelector::default();
        let mut after: HashMap<_, _> = objects
            .iter()
            .map(|(kind, it)| ((*kind, key(it)), it))
            .collect();
        for kind in Kind::ALL {
            for entry in self.list(kind, Scope::Cluster, &all) {
                let after = after.remove(&(kind, entry.key().clone()));
                self.tell(kind, Some(&value(&entry)), after);
            }
        }
        for (kind, object) in objects {
            if after.contains_key(&(*kind, key(object))) {
                self.tell(*kind, None, Some(object));
            }
        }
    }

    /// Forgets history: a watch can begin nowhere but now.
    pub(crate) fn compact(&self) {
        let _state = self.lock();
        for cache in &self.caches {
            cache.compact();
        }
    }

    fn ingest(&self, kind: Kind, event: Event) {
        self.cache(kind).ingest(event, Timestamp::now());
    }

    fn progress(&self, revision: ResourceVersion) {
        for cache in &self.caches {
            cache.ingest(Event::Progress(revision), Timestamp::now());
        }
    }
}

impl State {
    fn new(addresses: Addresses) -> Self {
        Self {
            revision: ResourceVersion::new(1),
            addresses,
            owned: HashMap::new(),
            alive: HashSet::new(),
        }
    }

    /// Resource version of the last change.
    pub(crate) const fn revision(&self) -> ResourceVersion {
        self.revision
    }

    fn next(&mut self) -> ResourceVersion {
        self.revision = ResourceVersion::new(self.revision.number() + 1);
        self.revision
    }

    fn learn(&mut self, kind: Kind, object: &Value) {
        self.alive.insert(text(object, "uid").to_owned());
        for owner in owners(object) {
            let owned = self.owned.entry(owner.to_owned()).or_default();
            owned.insert((kind, key(object)));
        }
    }

    fn forget(&mut self, kind: Kind, object: &Value) {
        self.alive.remove(text(object, "uid"));
        for owner in owners(object) {
            if let Some(owned) = self.owned.get_mut(owner) {
                owned.remove(&(kind, key(object)));
            }
        }
    }

    /// What lost its owner.
    pub(crate) fn orphans(&mut self, owner: &str) -> HashSet<(Kind, ObjectKey)> {
        self.owned.remove(owner).unwrap_or_default()
    }

    /// Whether one of an object's owners is there.
    pub(crate) fn has_owner(&self, object: &Value) -> bool {
        owners(object).any(|owner| self.alive.contains(owner))
    }
}

/// An object as it is stored.
pub(crate) fn value(entry: &Entry) -> Value {
    serde_json::from_slice(entry.json()).expect("what is stored is JSON")
}

fn listed(revision: ResourceVersion, objects: Vec<RawObject>) -> Event {
    Event::Listed(Listing::confirmed(revision, objects))
}

fn raw(kind: Kind, mut object: Value) -> RawObject {
    let names = kind.names();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    // Some objects are never without a resource version here, and some are.
    if text(&object, "resourceVersion").is_empty() {
        unset(&mut object, "resourceVersion");
    }
    let rest = escape_html(&object.to_string());
    let json = Bytes::from(format!("{}{}", names.object_head, &rest[1..]));
    RawObject::parse(names, &json).expect("what was checked can be read")
}
