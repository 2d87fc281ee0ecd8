//! The frames of one view.

use emitter_cache::ring::{Cursor, Read};
use emitter_cache::{Ring, View};
use parking_lot::RwLock;
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
