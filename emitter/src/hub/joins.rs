//! Services that became others, so that what belongs to them may have come into sight of
//! a consumer, or gone out of it, without having changed itself.

use std::collections::VecDeque;
use std::sync::Arc;

use emitter_cache::View;
use emitter_cache::grant::{Owner, Rejoined};
use emitter_cache::store::Expired;
use proto_types::{ObjectKey, Revision};

use super::Hub;

/// How many are remembered; a watch from before the oldest must list again.
const MAX_JOINS: usize = 1000;

/// What lately became other, oldest first.
#[derive(Debug, Default)]
pub(super) struct Joins {
    recent: VecDeque<Rejoined>,
    floor: Revision,
}

impl Joins {
    fn push(&mut self, rejoined: Rejoined) {
        self.recent.push_back(rejoined);
        if MAX_JOINS < self.recent.len()
            && let Some(oldest) = self.recent.pop_front()
        {
            self.floor = oldest.revision;
        }
    }

    /// Whether what a view showed at a revision has changed only by what history tells.
    pub(super) fn check(&self, view: &View, revision: Revision) -> Result<(), Expired> {
        if view.grant.rules().show_all() {
            return Ok(());
        }
        let recent = self.recent.iter().rev();
        let mut later = recent.take_while(|it| revision <= it.revision);
        let concerned = later.find(|it| it.concerns(&view.grant));
        let forgotten = (revision < self.floor).then_some(self.floor);
        let oldest = concerned.map(|it| it.revision).or(forgotten);
        oldest.map_or(Ok(()), |oldest| Err(Expired { oldest }))
    }
}

impl Hub {
    /// A Service is another one now. Who sees something else of what belongs to it must
    /// list again: nothing happened to the objects that could be told.
    pub fn rejoin(&self, service: &ObjectKey, before: Option<Arc<Owner>>, after: Arc<Owner>) {
        let mut inner = self.inner.lock();
        let entries = inner.store.of_service(service);
        if entries.is_empty() {
            return;
        }
        let rejoined = Rejoined {
            revision: inner.store.progress().unwrap_or_default(),
            entries,
            before,
            after: Some(after),
        };
        inner.feeds.retain(|view, feed| {
            if !rejoined.concerns(&view.grant) {
                return true;
            }
            if let Some(feed) = feed.upgrade() {
                feed.close();
            }
            false
        });
        inner.joins.push(rejoined);
        self.lists.lock().clear();
    }
}
