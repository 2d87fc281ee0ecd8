//! One step of history.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use proto_types::frame::EventType;
use proto_types::{ObjectKey, Revision};

use crate::encode::{Encoder, Slots};
use crate::{Entry, View};

/// What an object was and what it became, at one revision.
#[derive(Debug)]
pub struct Change {
    /// When, in the upstream's history.
    pub revision: Revision,
    /// When, by the clock.
    pub at: Timestamp,
    /// The object before; `None` if it did not exist.
    pub before: Option<Arc<Entry>>,
    /// The object after; `None` if it exists no more.
    pub after: Option<Arc<Entry>>,
    frames: OnceLock<Box<Slots>>,
}

/// What a view sees of a change.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// The object came into view.
    Added(&'a Entry),
    /// The object was and is in view.
    Modified(&'a Entry),
    /// The object left the view; this is its last content there.
    Deleted(&'a Entry),
}

impl<'a> Seen<'a> {
    const fn of(before: Option<&'a Entry>, after: Option<&'a Entry>) -> Option<Self> {
        match (before, after) {
            (None, Some(after)) => Some(Self::Added(after)),
            (Some(_), Some(after)) => Some(Self::Modified(after)),
            (Some(before), None) => Some(Self::Deleted(before)),
            (None, None) => None,
        }
    }

    /// As a watch event calls it.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::Added(_) => EventType::Added,
            Self::Modified(_) => EventType::Modified,
            Self::Deleted(_) => EventType::Deleted,
        }
    }
}

impl Change {
    pub(crate) fn new(
        revision: Revision,
        at: Timestamp,
        before: Option<Arc<Entry>>,
        after: Option<Arc<Entry>>,
    ) -> Self {
        Self {
            revision,
            at,
            before,
            after,
            frames: OnceLock::new(),
        }
    }

    /// The key of the object that changed.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        let entry = self.after.as_ref().or(self.before.as_ref());
        entry.expect("a change has a before or an after").key()
    }

    /// What a view sees of it. Only before and after count, not what the upstream
    /// called the event: an object that stops matching is deleted for the view.
    #[must_use]
    pub fn seen_through(&self, view: &View) -> Option<Seen<'_>> {
        let before = self.before.as_deref().filter(|entry| view.sees(entry));
        let after = self.after.as_deref().filter(|entry| view.sees(entry));
        Seen::of(before, after)
    }

    /// The frame that tells a view's watchers, encoded at most once for all views
    /// that share event type and encoding.
    #[must_use]
    pub fn frame(&self, view: &View, encoder: &Encoder) -> Option<Bytes> {
        if view.grant.cuts() {
            return self.cut_frame(view, encoder);
        }
        let seen = self.seen_through(view)?;
        let slots = self.frames.get_or_init(Box::default);
        Some(slots.get(view.encoding, seen.event_type(), || {
            encoder.seen(seen, self.revision, view.encoding, self.at)
        }))
    }

    /// The same for a view that shows objects otherwise than they are: its own frame.
    fn cut_frame(&self, view: &View, encoder: &Encoder) -> Option<Bytes> {
        let before = self.before.as_ref().and_then(|entry| view.show(entry));
        let after = self.after.as_ref().and_then(|entry| view.show(entry));
        let seen = Seen::of(before.as_deref(), after.as_deref())?;
        Some(encoder.seen(seen, self.revision, view.encoding, self.at))
    }

    /// How many bytes history holds for it.
    #[must_use]
    pub fn size(&self) -> usize {
        // The before is the after of an earlier change, so it counts there.
        self.after.as_ref().map_or(0, |entry| entry.json().len()) + OVERHEAD
    }
}

/// A change's own structures, its entry's and its frames' (rounded up).
const OVERHEAD: usize = 1024;
