//! Former versions of objects, from which an emitter may send differences.
//!
//! A watcher holds what watches sent it lately: since the last but one was opened. It says so when
//! it opens the next, and an emitter then sends a difference only from such a version. What comes
//! of a difference is checked; one that does not fit breaks the watch, and the watcher requests no
//! more of them until it lists.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use proto_types::delta::Former;
use proto_types::{ObjectKey, RawObject, ResourceVersion};

use super::{Event, Watcher};

/// Bytes that one watcher holds at most.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Bytes of former versions that all watchers of a process hold at most.
pub const MAX_BYTES_OF_ALL: usize = 32 << 20;

static BYTES_OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// Former versions of objects that a watcher holds.
#[derive(Debug, Default)]
pub(super) struct Formers {
    mode: Mode,
    revisions: HashMap<ObjectKey, ResourceVersion>,
    versions: HashMap<ResourceVersion, Bytes>,
    n_bytes: usize,
}

#[derive(Debug, Default, Clone, Copy)]
enum Mode {
    /// Nothing was watched yet, or by a server that sends no differences.
    #[default]
    Idle,
    /// Versions are held from the watch on that was open before the last one.
    Holding {
        /// Resource version at which the last watch began.
        opened: ResourceVersion,
    },
    /// There was no room: until the next watch but one nothing is held.
    Resting { is_open: bool },
    /// Something did not fit: until the next list the watcher requests no differences.
    Off,
}

/// Differences that a watch requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeltaRequest {
    /// No records.
    Nothing,
    /// Records, and differences from what is held since then.
    Records(Option<ResourceVersion>),
}

/// Room for the versions of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// The server counts on what is held no more: the watch has to be opened again.
    Exceeded,
}

impl Formers {
    /// Begins a watch from a resource version on.
    pub(super) fn begin(&mut self, from: ResourceVersion) -> DeltaRequest {
        let since = match self.mode {
            Mode::Off => return DeltaRequest::Nothing,
            Mode::Resting { is_open: false } => {
                self.mode = Mode::Resting { is_open: true };
                return DeltaRequest::Records(None);
            }
            Mode::Idle | Mode::Resting { is_open: true } => from,
            Mode::Holding { opened } => opened.min(from),
        };
        self.mode = Mode::Holding { opened: from };
        self.forget_before(since);
        DeltaRequest::Records(Some(ResourceVersion::new(since.number().saturating_add(1))))
    }

    /// Notes that a server answered in another way.
    pub(super) fn not_sent(&mut self) {
        self.clear();
        if !matches!(self.mode, Mode::Off) {
            self.mode = Mode::Idle;
        }
    }

    /// Notes that a difference did not fit.
    pub(super) fn broke(&mut self) {
        self.clear();
        self.mode = Mode::Off;
    }

    /// Notes that all is known again.
    pub(super) fn listed(&mut self) {
        self.clear();
        self.mode = Mode::Idle;
    }

    /// Holds an object instead of its former version.
    pub(super) fn apply(&mut self, object: &RawObject) -> Room {
        let Mode::Holding { .. } = self.mode else {
            return Room::Enough;
        };
        self.remove(&object.key);
        let n_bytes = object.json.len();
        let n_all = BYTES_OF_ALL.load(Ordering::Relaxed) + n_bytes;
        if MAX_BYTES < self.n_bytes + n_bytes || MAX_BYTES_OF_ALL < n_all {
            self.clear();
            self.mode = Mode::Resting { is_open: false };
            return Room::Exceeded;
        }
        self.add(n_bytes);
        let json = object.json.clone();
        self.revisions.insert(object.key.clone(), object.revision);
        if let Some(other) = self.versions.insert(object.revision, json) {
            self.subtract(other.len());
        }
        Room::Enough
    }

    /// Forgets an object that was deleted.
    pub(super) fn remove(&mut self, key: &ObjectKey) {
        let revision = self.revisions.remove(key);
        let version = revision.and_then(|it| self.versions.remove(&it));
        self.subtract(version.map_or(0, |it| it.len()));
    }

    /// Returns exactly the version that a difference names.
    pub(super) fn get(&self, former: &Former) -> Option<Bytes> {
        let version = self.versions.get(&former.revision)?;
        let is_same = Former::of(former.revision, version) == *former;
        is_same.then(|| version.clone())
    }

    fn forget_before(&mut self, since: ResourceVersion) {
        self.revisions.retain(|_, revision| since < *revision);
        let mut n_bytes = 0;
        self.versions.retain(|revision, json| {
            let stays = since < *revision;
            n_bytes += if stays { 0 } else { json.len() };
            stays
        });
        self.subtract(n_bytes);
    }

    fn clear(&mut self) {
        self.revisions = HashMap::new();
        self.versions = HashMap::new();
        self.subtract(self.n_bytes);
    }

    fn add(&mut self, n_bytes: usize) {
        self.n_bytes += n_bytes;
        BYTES_OF_ALL.fetch_add(n_bytes, Ordering::Relaxed);
    }

    fn subtract(&mut self, n_bytes: usize) {
        self.n_bytes -= n_bytes;
        BYTES_OF_ALL.fetch_sub(n_bytes, Ordering::Relaxed);
    }
}

impl Watcher {
    /// Holds the object as the former version of its next change.
    pub(super) fn applied(&mut self, object: RawObject) -> Option<Event> {
        let room = self.server.formers.lock().apply(&object);
        let event = self.changed(Event::Applied, object);
        if room == Room::Exceeded {
            self.ends();
            self.begin(self.watch_again());
        }
        event
    }
}

impl Drop for Formers {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use proto_types::Resource;

    use super::*;

    fn object(name: &str, revision: u64, n_bytes: usize) -> RawObject {
        let pad = "x".repeat(n_bytes);
        let json = format!(
            r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"ns","resourceVersion":"{revision}"}},"pad":"{pad}"}}"#
        );
        RawObject::parse(Resource::Services, &Bytes::from(json)).unwrap()
    }

    fn former(object: &RawObject) -> Former {
        Former::of(object.revision, &object.json)
    }

    fn since(revision: u64) -> DeltaRequest {
        DeltaRequest::Records(Some(ResourceVersion::new(revision)))
    }

    #[test]
    fn versions_of_the_last_two_watches_are_held() {
        let mut formers = Formers::default();
        let [a, b, a2, c] = [("a", 11), ("b", 12), ("a", 21), ("c", 31)]
            .map(|(name, revision)| object(name, revision, 10));
        // Nothing is held before a watch is open.
        formers.apply(&a);
        assert_eq!(formers.get(&former(&a)), None);
        assert_eq!(formers.begin(ResourceVersion::new(10)), since(11));
        formers.apply(&a);
        formers.apply(&b);
        assert_eq!(formers.begin(ResourceVersion::new(20)), since(11));
        assert_eq!(formers.get(&former(&a)), Some(a.json.clone()));
        formers.apply(&a2);
        assert_eq!(formers.get(&former(&a)), None, "replaced");
        assert_eq!(formers.begin(ResourceVersion::new(30)), since(21));
        assert_eq!(formers.get(&former(&b)), None, "too old");
        let mut other = former(&a2);
        other.checksum ^= 1;
        assert_eq!(formers.get(&other), None);
        formers.apply(&c);
        formers.remove(&a2.key);
        assert_eq!(formers.get(&former(&a2)), None);
        assert_eq!(formers.n_bytes, c.json.len());
        formers.listed();
        assert_eq!(formers.n_bytes, 0);
        assert_eq!(formers.begin(ResourceVersion::new(40)), since(41));
    }

    #[test]
    fn a_reader_without_room_rests_for_one_watch() {
        let mut formers = Formers::default();
        formers.begin(ResourceVersion::new(10));
        let large = |name, revision| object(name, revision, MAX_BYTES / 2);
        assert_eq!(formers.apply(&large("a", 11)), Room::Enough);
        assert_eq!(formers.apply(&large("a", 12)), Room::Enough, "replaced");
        assert_eq!(formers.apply(&large("b", 13)), Room::Exceeded);
        assert_eq!(formers.n_bytes, 0);
        assert_eq!(
            formers.begin(ResourceVersion::new(13)),
            DeltaRequest::Records(None)
        );
        assert_eq!(formers.apply(&large("a", 14)), Room::Enough);
        assert_eq!(formers.n_bytes, 0);
        assert_eq!(formers.begin(ResourceVersion::new(20)), since(21));
    }

    #[test]
    fn a_difference_that_did_not_fit_was_the_last_until_a_list() {
        let mut formers = Formers::default();
        formers.begin(ResourceVersion::new(10));
        formers.broke();
        assert_eq!(
            formers.begin(ResourceVersion::new(11)),
            DeltaRequest::Nothing
        );
        formers.not_sent();
        assert_eq!(
            formers.begin(ResourceVersion::new(12)),
            DeltaRequest::Nothing
        );
        formers.listed();
        assert_eq!(formers.begin(ResourceVersion::new(13)), since(14));
    }
}
