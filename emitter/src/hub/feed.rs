//! The frames of one view.

use std::sync::Arc;

use emitter_cache::ring::{Cursor, Read};
use emitter_cache::{Ring, View};
use parking_lot::RwLock;
use proto_types::Revision;
use tokio::sync::watch;

/// The frames of one view.
pub struct Feed {
    pub(super) view: View,
    pub(super) ring: RwLock<Ring>,
    pub(super) news: watch::Sender<()>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({:?})", self.view)
    }
}

impl Feed {
    /// Nothing yet, after what happened until then.
    pub(super) fn new(view: &View, progress: Revision) -> Arc<Self> {
        Arc::new(Self {
            view: view.clone(),
            ring: RwLock::new(Ring::new(progress)),
            news: watch::Sender::new(()),
        })
    }

    /// Sends all who read away, to resume elsewhere.
    pub(super) fn leave_behind(&self) {
        self.ring.write().leave_behind();
        self.news.send_replace(());
    }

    /// Ends all watches: who reads on must list again.
    pub(super) fn close(&self) {
        self.ring.write().close();
        self.news.send_replace(());
    }

    /// The view.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Wakes when there may be something to read.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// The cursor that sees what comes next.
    #[must_use]
    pub fn head(&self) -> Cursor {
        self.ring.read().head()
    }

    /// What is there from a cursor on.
    #[must_use]
    pub fn read(&self, cursor: Cursor) -> Read {
        self.ring.read().read(cursor)
    }
}
