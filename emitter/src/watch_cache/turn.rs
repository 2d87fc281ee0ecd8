//! Changes of visibility that are no events of the objects themselves.

use jiff::Timestamp;
use parking_lot::MutexGuard;
use runtime::watcher;
use tracing::warn;

use super::publish::Publication;
use super::{Inner, WatchCache};
use crate::exposure::Turned;

impl WatchCache {
    /// Takes in Services that decide about the objects of other caches, shown or not.
    pub fn apply_services(&self, event: &watcher::Event) {
        if let Some(joining) = self.joining.get() {
            joining.apply(event);
        }
    }

    /// Shows or hides an object that had no event of its own.
    pub fn turn(&self, turned: Turned, now: Timestamp) {
        let mut inner = self.inner.lock();
        let has_misfit = inner.store.misfit().is_some();
        let change = match turned {
            Turned::Shown(object) => inner.store.show(object, now).unwrap_or_else(|error| {
                let resource = self.names();
                warn!(%resource, %error, "ignored an unreadable object");
                None
            }),
            Turned::Hidden(key) => inner.store.hide(&key, now),
        };
        inner.report_unknown_field(self.names(), has_misfit);
        self.publish(inner, &Publication::of(change));
    }

    /// Publishes a change to the watches.
    pub(super) fn publish(&self, mut inner: MutexGuard<'_, Inner>, news: &Publication) {
        if matches!(news, Publication::Fresh) {
            self.told.clear();
        }
        inner.publish(news, self);
        let has_stepped = inner.step(self);
        if news.has_changes() || has_stepped {
            self.forget_lists(&mut inner);
        }
        self.tell_cut(&inner);
        let progress = inner.store.progress();
        let is_past = inner.is_past;
        drop(inner);
        if let Some(joining) = self.joining.get() {
            joining.advance(progress);
        }
        self.ingested.send_replace(progress);
        if !is_past {
            self.progress.send_replace(progress);
        }
    }
}
