//! Objects of ours that something else keeps changing. They are repaired each time, and
//! people are told that two are at it.
//!
//! Who did it does not matter: a key of which all was as it should be, and is not any more
//! by what was observed here alone, was changed by somebody else.

use std::collections::HashMap;
use std::time::Duration;

use proto_types::{ObjectKey, Resource};

use super::{Touched, World};
use crate::hold::Moment;
use crate::local::Local;
use crate::name::LocalKey;
use crate::plan::plan;
use crate::policy::Policy;
use crate::step::steps;

/// The keys of which others have changed something lately.
pub(super) type Contests = HashMap<LocalKey, Contest>;

/// How often others have changed something lately.
#[derive(Debug)]
pub(super) struct Contest {
    /// What was changed last.
    object: (Resource, ObjectKey),
    n_changes: usize,
    last: Moment,
}

/// An object of ours, and the key that it belongs to.
pub(super) type Subject = (LocalKey, (Resource, ObjectKey));

/// Who edits by hand has seen by then that it is in vain.
const MANY: usize = 5;
/// Programs that repair look again every few minutes.
const QUIET: Duration = Duration::from_mins(5);

impl World {
    /// What of a key something else keeps changing.
    pub(crate) fn contested(&self, key: &LocalKey) -> Option<&(Resource, ObjectKey)> {
        let contest = self.contests.get(key).filter(|it| it.is_told());
        contest.map(|it| &it.object)
    }

    /// Takes over what happened to an object of ours, if it is one, and counts it where
    /// somebody else did it.
    pub(super) fn update_ours(
        &mut self,
        subject: Option<Subject>,
        update: impl FnOnce(&mut Local, &Policy) -> Vec<LocalKey>,
    ) -> Touched {
        let subject = subject.filter(|(key, _)| self.is_in_order(key));
        let mut touched = self.update_local(update);
        touched.extend(self.contest(subject));
        touched
    }

    /// Whether nothing is to be done for a key.
    fn is_in_order(&self, key: &LocalKey) -> bool {
        self.local.is_listed() && steps(&plan(self, key), key, &self.local).is_empty()
    }

    /// Counts a change of what was in order and is not any more.
    fn contest(&mut self, subject: Option<Subject>) -> Touched {
        let Some((key, object)) = subject.filter(|(key, _)| !self.is_in_order(key)) else {
            return Touched::new();
        };
        let now = self.now;
        let contest = self.contests.entry(key.clone()).or_insert(Contest {
            object: object.clone(),
            n_changes: 0,
            last: now,
        });
        contest.n_changes += 1;
        contest.last = now;
        contest.object = object;
        Touched::from([key])
    }

    /// Time passed; returns those that are left alone again.
    pub(super) fn end_contests(&mut self) -> Touched {
        let now = self.now;
        let is_over = |it: &Contest| QUIET <= now.0.saturating_sub(it.last.0);
        let over = self.contests.extract_if(|_, it| is_over(it));
        let told = over.filter(|(_, it)| it.is_told());
        told.map(|(key, _)| key).collect()
    }
}

impl Contest {
    const fn is_told(&self) -> bool {
        MANY <= self.n_changes
    }
}
