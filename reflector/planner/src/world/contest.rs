//! Objects of ours that something else keeps changing. They are repaired each time, first at
//! once and then after a delay that grows, and people are told that two are at it.
//!
//! Who did it does not matter: an object that was as it should be, and is not any more by what
//! was observed here alone, was changed by somebody else.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proto_types::{ObjectKey, Resource};

use super::{Touched, World};
use crate::hold::Moment;
use crate::local::Local;
use crate::name::LocalKey;
use crate::plan::plan;
use crate::policy::Policy;
use crate::step::steps;

/// Objects that others have changed lately, by the keys that they belong to.
pub(super) type Contests = HashMap<LocalKey, BTreeMap<Object, Contest>>;

type Object = (Resource, ObjectKey);

/// How often others have changed an object lately.
#[derive(Debug)]
pub(super) struct Contest {
    n_changes: u32,
    last: Moment,
}

/// An object of ours, and the key that it belongs to.
pub(super) type Subject = (LocalKey, Object);

/// Who edits by hand has seen by then that it is in vain.
const MANY: u32 = 5;
/// Programs that repair look again every few minutes.
const QUIET: Duration = Duration::from_mins(5);
/// Delay before the first repair that is not immediate. It doubles each time.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Longest delay before a repair.
const LONGEST_DELAY: Duration = Duration::from_mins(1);

impl World {
    /// What of a key something else keeps changing.
    pub(crate) fn contested(&self, key: &LocalKey) -> impl Iterator<Item = &Object> {
        let contests = self.contests.get(key).into_iter().flatten();
        let told = contests.filter(|(_, it)| it.is_told());
        told.map(|(object, _)| object)
    }

    /// Returns whether an object is left as it is for now, because another writer changes it
    /// each time that it was repaired.
    pub(crate) fn backs_off(&self, key: &LocalKey, object: &Object) -> bool {
        let contest = self.contests.get(key).and_then(|it| it.get(object));
        contest.is_some_and(|it| self.now < it.until())
    }

    /// Takes over what happened to an object of ours, if it is one, and counts it where
    /// somebody else did it.
    pub(super) fn update_ours(
        &mut self,
        subject: Option<Subject>,
        update: impl FnOnce(&mut Local, &Policy) -> Vec<LocalKey>,
    ) -> Touched {
        let subject = subject.filter(|it| self.is_in_order(it));
        let mut touched = self.update_local(update);
        touched.extend(self.contest(subject));
        touched
    }

    /// Whether nothing is to be done for an object.
    fn is_in_order(&self, (key, object): &Subject) -> bool {
        let mut steps = steps(&plan(self, key), key, &self.local).into_iter();
        self.local.is_listed() && steps.all(|it| (it.resource, it.key) != *object)
    }

    /// Counts a change of what was in order and is not any more.
    fn contest(&mut self, subject: Option<Subject>) -> Touched {
        let Some((key, object)) = subject.filter(|it| !self.is_in_order(it)) else {
            return Touched::new();
        };
        let last = self.now;
        let contests = self.contests.entry(key.clone()).or_default();
        let contest = contests
            .entry(object)
            .or_insert(Contest { n_changes: 0, last });
        contest.n_changes = contest.n_changes.saturating_add(1);
        contest.last = last;
        Touched::from([key])
    }

    /// Time passed since `before`; returns those that are repaired now, and those that are
    /// left alone again.
    pub(super) fn end_contests(&mut self, before: Moment) -> Touched {
        let now = self.now;
        let is_over = |it: &Contest| QUIET <= now.0.saturating_sub(it.last.0);
        let mut touched = Touched::new();
        self.contests.retain(|key, contests| {
            let mut contests_now = contests.values();
            let is_due = |it: &Contest| before < it.until() && it.until() <= now;
            if contests_now.any(|it| is_due(it) || (is_over(it) && it.is_told())) {
                touched.insert(key.clone());
            }
            contests.retain(|_, it| !is_over(it));
            !contests.is_empty()
        });
        touched
    }
}

impl Contest {
    const fn is_told(&self) -> bool {
        MANY <= self.n_changes
    }

    /// Time of the next repair.
    fn until(&self) -> Moment {
        let Some(n) = self.n_changes.checked_sub(MANY + 1) else {
            return self.last;
        };
        let delay = FIRST_DELAY * (1 << n.min(10));
        Moment(self.last.0 + delay.min(LONGEST_DELAY))
    }
}
