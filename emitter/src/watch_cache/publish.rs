//! Appending of changes to the event buffers whose views show them.

use std::sync::Arc;
use std::sync::Weak;

use emitter_cache::change::Placed;
use emitter_cache::encode::Encoder;
use emitter_cache::event_buffer::{EncodedEvent, FrameKind, share};
use emitter_cache::{Change, Encoded, EventBuffer, Store, View};
use proto_types::ResourceVersion;

use super::{Broadcaster, Inner, WatchCache};

/// Effect of an event on the consumers of a cache.
pub(super) enum Publication {
    /// Nothing but progress.
    Nothing,
    /// One change.
    Change(Arc<Change>),
    /// All changes that a list revealed, in the order in which consumers receive them.
    Listed {
        changes: Vec<Arc<Change>>,
        /// Former progress.
        after: ResourceVersion,
        /// Resource version of the list.
        until: ResourceVersion,
    },
    /// Nothing else was missed up to the present.
    GapClosed,
    /// All watches have ended; consumers list.
    Fresh,
}

impl Publication {
    pub(super) fn of(change: Option<Arc<Change>>) -> Self {
        match change {
            Some(change) => Self::Change(change),
            None => Self::Nothing,
        }
    }

    pub(super) fn has_changes(&self) -> bool {
        match self {
            Self::Nothing | Self::GapClosed => false,
            Self::Listed { changes, .. } => !changes.is_empty(),
            Self::Change(_) | Self::Fresh => true,
        }
    }
}

impl Inner {
    /// Appends news to every event buffer whose view shows them.
    pub(super) fn publish(&mut self, news: &Publication, cache: &WatchCache) {
        let joins = self.joined.is_some();
        let store = &self.store;
        let progress = store.progress().unwrap_or_default();
        let max_bytes = share(self.feeds.len());
        self.feeds.retain(|view, feed| {
            let Some(feed) = feed.upgrade() else {
                return false;
            };
            let is_joined = joins && view.is_joined(cache.form);
            let mut ring = feed.ring.write();
            let head = ring.head();
            if let Publication::Listed { after, until, .. } = news {
                ring.push(gap(*after, *until), max_bytes);
            }
            if is_joined {
                return true;
            }
            match news {
                Publication::Nothing | Publication::Fresh => {}
                Publication::GapClosed => ring.push(bookmark(progress), max_bytes),
                Publication::Change(change) => {
                    let changes = std::slice::from_ref(change);
                    Batch::new(&mut ring, view, max_bytes).push(
                        changes,
                        store,
                        progress,
                        &cache.encoder,
                    );
                }
                Publication::Listed { changes, .. } => {
                    Batch::new(&mut ring, view, max_bytes).push(
                        changes,
                        store,
                        progress,
                        &cache.encoder,
                    );
                }
            }
            ring.advance(progress);
            let is_news = head != ring.head();
            drop(ring);
            if is_news {
                cache.pace.announce(&feed);
            }
            true
        });
    }

    /// Returns the event buffer of a view, made if nothing watches the view yet.
    pub(super) fn feed(&mut self, view: &View, progress: ResourceVersion) -> Arc<Broadcaster> {
        if let Some(feed) = self.feeds.get(view).and_then(Weak::upgrade) {
            return feed;
        }
        let feed = Broadcaster::new(view, progress);
        self.feeds.insert(view.clone(), Arc::downgrade(&feed));
        feed
    }
}

/// Appends changes to one event buffer.
pub(super) struct Batch<'a> {
    ring: &'a mut EventBuffer,
    view: &'a View,
    max_bytes: usize,
}

impl<'a> Batch<'a> {
    pub(super) const fn new(ring: &'a mut EventBuffer, view: &'a View, max_bytes: usize) -> Self {
        Self {
            ring,
            view,
            max_bytes,
        }
    }

    /// Appends changes. Bookmarks surround deletions whose own resource versions are not known, so
    /// that an emitter which follows this one knows that they happened after the first, and not
    /// after the second.
    pub(super) fn push(
        &mut self,
        changes: &[Arc<Change>],
        store: &Store,
        progress: ResourceVersion,
        encoder: &Encoder,
    ) {
        let mut end = None;
        let mut is_in_gap = false;
        for change in changes {
            let Some(bytes) = change.frame(self.view, encoder) else {
                continue;
            };
            let revision = change.revision;
            let kind = match change.placed {
                Placed::At => FrameKind::Change,
                Placed::After => {
                    end = store.end_of_gap(revision);
                    FrameKind::Missed { until: end }
                }
            };
            if matches!(kind, FrameKind::Missed { .. }) && !is_in_gap {
                is_in_gap = true;
                self.ring.push(bookmark(revision), self.max_bytes);
            }
            let frame = EncodedEvent {
                revision,
                kind,
                bytes,
            };
            self.ring.push(frame, self.max_bytes);
        }
        if let Some(end) = end.filter(|end| *end <= progress) {
            self.ring.push(bookmark(end), self.max_bytes);
        }
    }
}

fn bookmark(revision: ResourceVersion) -> EncodedEvent {
    EncodedEvent {
        revision,
        kind: FrameKind::Bookmark,
        bytes: Encoded::default(),
    }
}

pub(super) fn gap(after: ResourceVersion, until: ResourceVersion) -> EncodedEvent {
    EncodedEvent {
        revision: after,
        kind: FrameKind::Gap { until },
        bytes: Encoded::default(),
    }
}
