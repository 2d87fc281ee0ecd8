//! History of a store: its changes in order, and how far it reaches back.

use std::sync::Arc;

use jiff::Timestamp;
use proto_types::ResourceVersion;

use super::{Expired, Store};
use crate::Change;
use crate::change::{Placed, Step};

impl Store {
    /// Returns the resource version at which everything had happened that is recorded right after
    /// another, where that is known.
    #[must_use]
    pub fn end_of_gap(&self, after: ResourceVersion) -> Option<ResourceVersion> {
        self.gaps.end(after)
    }

    /// Returns the last resource version up to another one whose state is known exactly.
    pub(crate) fn known_before(&self, revision: ResourceVersion) -> ResourceVersion {
        self.gaps.before(revision).unwrap_or(revision)
    }

    /// Returns the position of the next change.
    pub(super) fn end(&self) -> u64 {
        self.n_forgotten + self.history.len() as u64
    }

    /// Returns the changes from a position on, unless some of them are forgotten.
    pub(crate) fn changes_from(&self, position: u64) -> Option<impl Iterator<Item = &Arc<Change>>> {
        let first = position.checked_sub(self.n_forgotten)?;
        let first = usize::try_from(first).ok()?;
        (first <= self.history.len()).then(|| self.history.range(first..))
    }

    /// Returns the changes that a consumer at a resource version has to receive, oldest first.
    pub fn since(
        &self,
        revision: ResourceVersion,
    ) -> Result<impl DoubleEndedIterator<Item = &Arc<Change>>, Expired> {
        if revision < self.floor {
            return Err(Expired { oldest: self.floor });
        }
        if let Some(oldest) = self.gaps.around(revision) {
            return Err(Expired { oldest });
        }
        let first = self.history.partition_point(|change| {
            change.revision < revision || change.revision == revision && change.placed == Placed::At
        });
        Ok(self.history.range(first..))
    }

    pub(super) fn record(&mut self, step: Step, now: Timestamp) -> Arc<Change> {
        let revision = step.revision;
        let change = Arc::new(Change::new(step, now, Arc::clone(&self.n_encoded)));
        self.bytes += change.size();
        self.history.push_back(Arc::clone(&change));
        self.reach(revision);
        self.drop_oldest(now);
        change
    }

    /// Forgets the history before the present: consumers of earlier resource versions must list.
    pub fn compact(&mut self) {
        self.forget_history(self.progress.unwrap_or_default());
    }

    pub(super) fn forget_history(&mut self, floor: ResourceVersion) {
        self.n_forgotten = self.end();
        self.history.clear();
        self.gaps.clear();
        self.bytes = 0;
        self.floor = floor;
    }

    /// Starts a history at a resource version. At that resource version, and at those of the former
    /// history which are not before it, two states have been served.
    pub(super) fn begin_anew(&mut self, revision: ResourceVersion) {
        self.epoch += 1;
        let former = self.progress.filter(|progress| revision <= *progress);
        self.doubtful = self.doubtful.max(former);
        self.forget_history(revision);
    }

    /// Drops the oldest history beyond the limits.
    pub(super) fn drop_oldest(&mut self, now: Timestamp) {
        let age =
            jiff::SignedDuration::try_from(self.limits.age).unwrap_or(jiff::SignedDuration::MAX);
        while let Some(oldest) = self.history.front() {
            let is_old = age < now.duration_since(oldest.at);
            let is_much =
                self.limits.changes < self.history.len() || self.limits.bytes < self.n_bytes();
            if !is_old && !is_much {
                break;
            }
            self.floor = self.floor.max(oldest.floor());
            self.bytes -= oldest.size();
            self.n_forgotten += 1;
            self.history.pop_front();
        }
        if self.gaps.drop_before(self.floor) {
            self.compact();
        }
    }
}
