//! One step of history.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use proto_types::{ObjectKey, ResourceVersion};

use crate::encode::{EncodedEvents, Encoder};
use crate::view_event::ViewEvent;
use crate::{Encoded, Encoding, Entry, View};

/// Change of one object at one resource version.
#[derive(Debug)]
pub struct Change {
    /// Resource version in the history of the upstream.
    pub revision: ResourceVersion,
    /// Precision of the position in history.
    pub placed: Placed,
    /// Time of the change.
    pub at: Timestamp,
    /// The object before; `None` if it did not exist.
    pub before: Option<Arc<Entry>>,
    /// The object after; `None` if it exists no more.
    pub after: Option<Arc<Entry>>,
    frames: OnceLock<Box<EncodedEvents>>,
    /// Bytes of encoded events, of this change and of all changes of its store.
    n_encoded: AtomicUsize,
    n_encoded_of_all: Arc<AtomicUsize>,
}

/// Accuracy of the resource version of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// The change happened at its resource version.
    At,
    /// The change happened after its resource version, and a list or a late event revealed it.
    ///
    /// A consumer that receives such a change knows everything up to its resource version, and
    /// nothing about resource versions after it.
    After,
}

impl Change {
    pub(crate) fn new(step: Step, at: Timestamp, n_encoded_of_all: Arc<AtomicUsize>) -> Self {
        let Step {
            revision,
            placed,
            before,
            after,
        } = step;
        Self {
            revision,
            placed,
            at,
            before,
            after,
            frames: OnceLock::new(),
            n_encoded: AtomicUsize::new(0),
            n_encoded_of_all,
        }
    }

    /// The key of the object that changed.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        let entry = self.after.as_ref().or(self.before.as_ref());
        entry.expect("a change has a before or an after").key()
    }

    /// Returns the change as a view sees it. Only the states before and after count, not the type
    /// of the upstream's watch event: an object that stops matching is deleted for the view.
    #[must_use]
    pub fn seen_through(&self, view: &View) -> Option<ViewEvent<'_>> {
        let before = self
            .before
            .as_deref()
            .filter(|entry| view.sees(entry, self.revision));
        let after = self
            .after
            .as_deref()
            .filter(|entry| view.sees(entry, self.revision));
        ViewEvent::of(before, after)
    }

    /// The watch event for the watches of a view, encoded at most once for all views that share
    /// event type and encoding.
    #[must_use]
    pub fn frame(&self, view: &View, encoder: &Encoder) -> Option<Encoded> {
        if view.grant.cuts() {
            return self.own_frame(view, encoder, self.at);
        }
        let seen = self.seen_through(view)?;
        let slots = self.frames.get_or_init(Box::default);
        Some(slots.get(view.encoding, seen.event_type(), || {
            let frame = encoder.seen(seen, self.revision, view.encoding, self.at);
            self.n_encoded.fetch_add(frame.len(), Ordering::Relaxed);
            self.n_encoded_of_all
                .fetch_add(frame.len(), Ordering::Relaxed);
            let former = match (view.encoding, seen) {
                (Encoding::Object, ViewEvent::Modified(_) | ViewEvent::Deleted(_)) => {
                    self.before.as_ref()
                }
                _ => None,
            };
            Encoded::counted(frame, &self.n_encoded_of_all, former)
        }))
    }

    /// The same for a watch that resumes later: a table shows how old objects are now.
    #[must_use]
    pub fn resumed_frame(&self, view: &View, encoder: &Encoder, now: Timestamp) -> Option<Encoded> {
        match view.encoding {
            Encoding::Table(_) => self.own_frame(view, encoder, now),
            Encoding::Object | Encoding::Metadata | Encoding::Protobuf(_) => {
                self.frame(view, encoder)
            }
        }
    }

    /// The encoded event of a view that shows objects otherwise than they are, or of a moment.
    fn own_frame(&self, view: &View, encoder: &Encoder, now: Timestamp) -> Option<Encoded> {
        let before = self
            .before
            .as_ref()
            .and_then(|entry| view.show(entry, self.revision));
        let after = self
            .after
            .as_ref()
            .and_then(|entry| view.show(entry, self.revision));
        let seen = ViewEvent::of(before.as_deref(), after.as_deref())?;
        let frame = encoder.seen(seen, self.revision, view.encoding, now);
        Some(Encoded::shared(frame))
    }

    /// Returns the oldest resource version whose consumers do not need the change.
    #[must_use]
    pub(crate) const fn floor(&self) -> ResourceVersion {
        match self.placed {
            Placed::At => self.revision,
            Placed::After => ResourceVersion::new(self.revision.number() + 1),
        }
    }

    /// Returns the bytes that history holds for the change, without encoded events.
    ///
    /// The object after the change is either live or the object before a later change,
    /// so that each version in history counts once.
    #[must_use]
    pub fn size(&self) -> usize {
        self.before.as_ref().map_or(0, |entry| entry.json().len()) + OVERHEAD
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let n_encoded = *self.n_encoded.get_mut();
        self.n_encoded_of_all
            .fetch_sub(n_encoded, Ordering::Relaxed);
    }
}

/// Content of a change.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) revision: ResourceVersion,
    pub(crate) placed: Placed,
    pub(crate) before: Option<Arc<Entry>>,
    pub(crate) after: Option<Arc<Entry>>,
}

/// A change's own structures, its entry's and its encoded events' (rounded up).
const OVERHEAD: usize = 1024;
