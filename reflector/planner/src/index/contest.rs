//! External modifications: managed objects that another writer keeps changing. The reflector
//! repairs them each time, first at once and then after a delay that grows, and reports it.
//!
//! The identity of the writer does not matter: an object that was as planned, and is not any more
//! by what was observed in the local cluster alone, was changed by another writer.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proto_types::{ObjectKey, Resource};

use super::{AffectedKeys, Index};
use crate::hold::MonotonicTime;
use crate::name::MirrorKey;

/// Objects that others have changed lately, by the keys that they belong to.
pub(super) type Contests = HashMap<MirrorKey, BTreeMap<Object, Contest>>;

pub(crate) type Object = (Resource, ObjectKey);

/// Recent changes of an object by other writers.
#[derive(Debug)]
pub(super) struct Contest {
    n_changes: u32,
    last: MonotonicTime,
}

/// A managed object, and the key that it belongs to.
pub(crate) type Subject = (MirrorKey, Object);

/// Number of changes after which a problem is reported. A person has noticed the repairs by then.
const MANY: u32 = 5;
/// Programs that repair look again every few minutes.
const QUIET: Duration = Duration::from_mins(5);
/// Delay before the first repair that is not immediate. It doubles each time.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Longest delay before a repair.
const LONGEST_DELAY: Duration = Duration::from_mins(1);

impl Index {
    /// Returns the objects under a key that another writer keeps changing.
    pub(crate) fn contested(&self, key: &MirrorKey) -> impl Iterator<Item = &Object> {
        let contests = self.contests.get(key).into_iter().flatten();
        let told = contests.filter(|(_, it)| it.is_told());
        told.map(|(object, _)| object)
    }

    /// Returns whether an object is left as it is for now, because another writer changes it
    /// each time that it was repaired.
    pub(crate) fn backs_off(&self, key: &MirrorKey, object: &Object) -> bool {
        let contest = self.contests.get(key).and_then(|it| it.get(object));
        contest.is_some_and(|it| self.now < it.until())
    }

    /// Counts a change of an object by another writer.
    pub(crate) fn count_change(&mut self, (key, object): Subject) -> AffectedKeys {
        let last = self.now;
        let contests = self.contests.entry(key.clone()).or_default();
        let contest = contests
            .entry(object)
            .or_insert(Contest { n_changes: 0, last });
        contest.n_changes = contest.n_changes.saturating_add(1);
        contest.last = last;
        AffectedKeys::from([key])
    }

    /// Time passed since `before`; returns those that are repaired now, and those that are
    /// left alone again.
    pub(super) fn end_contests(&mut self, before: MonotonicTime) -> AffectedKeys {
        let now = self.now;
        let is_over = |it: &Contest| QUIET <= now.0.saturating_sub(it.last.0);
        let mut affected = AffectedKeys::new();
        self.contests.retain(|key, contests| {
            let mut contests_now = contests.values();
            let is_due = |it: &Contest| before < it.until() && it.until() <= now;
            if contests_now.any(|it| is_due(it) || (is_over(it) && it.is_told())) {
                affected.insert(key.clone());
            }
            contests.retain(|_, it| !is_over(it));
            !contests.is_empty()
        });
        affected
    }
}

impl Contest {
    const fn is_told(&self) -> bool {
        MANY <= self.n_changes
    }

    /// Time of the next repair.
    fn until(&self) -> MonotonicTime {
        let Some(n) = self.n_changes.checked_sub(MANY + 1) else {
            return self.last;
        };
        let delay = FIRST_DELAY * (1 << n.min(10));
        MonotonicTime(self.last.0 + delay.min(LONGEST_DELAY))
    }
}
