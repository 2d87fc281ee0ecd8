//! External modifications: changes of managed objects that were as planned.

use crate::local::Local;
use crate::name::LocalKey;
use crate::plan::plan;
use crate::policy::Policy;
use crate::step::steps;
use crate::world::{Subject, Touched, World};

impl World {
    /// Applies a change to a local object, and counts it if another writer made it: if the object
    /// was as planned before, and is not any more.
    pub(super) fn update_ours(
        &mut self,
        subject: Option<Subject>,
        update: impl FnOnce(&mut Local, &Policy) -> Vec<LocalKey>,
    ) -> Touched {
        let subject = subject.filter(|it| self.is_as_planned(it));
        let mut touched = self.update_local(update);
        let changed = subject.filter(|it| !self.is_as_planned(it));
        touched.extend(changed.into_iter().flat_map(|it| self.count_change(it)));
        touched
    }

    /// Returns whether the plan has no write for an object.
    fn is_as_planned(&self, (key, object): &Subject) -> bool {
        let mut steps = steps(&plan(self, key), key, self.local()).into_iter();
        self.local().is_listed() && steps.all(|it| (it.resource, it.key) != *object)
    }
}
