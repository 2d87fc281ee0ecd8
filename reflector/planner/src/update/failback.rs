//! Failbacks that plans begin and end.

use crate::index::{AffectedKeys, Index};
use crate::plan::{PlanContext, global};

impl Index {
    /// Records for each key which clusters still serve though earlier ones suffice.
    pub(super) fn update_failbacks(&mut self, affected: &AffectedKeys) {
        let keys = affected.iter().filter(|key| self.may_fail_back(key));
        for key in keys.cloned().collect::<Vec<_>>() {
            let plan = global::plan(&PlanContext::new(self, &key));
            let failing_back = plan.map(|it| it.failing_back).unwrap_or_default();
            self.set_failback(key, failing_back);
        }
    }
}
