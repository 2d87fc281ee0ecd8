//! External modifications: changes of managed objects that were as planned.

use crate::index::{AffectedKeys, Index, Subject};
use crate::local::LocalState;
use crate::name::MirrorKey;
use crate::plan::plan;
use crate::policy::Policy;
use crate::step::steps;

impl Index {
    /// Applies a change to a local object, and counts it if another writer made it: if the object
    /// was as planned before, and is not any more.
    pub(super) fn update_ours(
        &mut self,
        subject: Option<Subject>,
        update: impl FnOnce(&mut LocalState, &Policy) -> Vec<MirrorKey>,
    ) -> AffectedKeys {
        let subject = subject.filter(|it| self.is_as_planned(it));
        let mut affected = self.update_local(update);
        let changed = subject.filter(|it| !self.is_as_planned(it));
        affected.extend(changed.into_iter().flat_map(|it| self.count_change(it)));
        affected
    }

    /// Returns whether the plan has no write for an object.
    fn is_as_planned(&self, (key, object): &Subject) -> bool {
        let mut steps = steps(&plan(self, key), key, self.local()).into_iter();
        self.local().is_listed() && steps.all(|it| (it.resource, it.key) != *object)
    }
}
