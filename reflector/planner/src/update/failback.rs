//! Failbacks that plans begin and end.

use crate::plan::{Case, global};
use crate::world::{Touched, World};

impl World {
    /// Records for each key which clusters still serve though earlier ones suffice.
    pub(super) fn update_failbacks(&mut self, touched: &Touched) {
        let keys = touched.iter().filter(|key| self.may_fail_back(key));
        for key in keys.cloned().collect::<Vec<_>>() {
            let plan = global::plan(&Case::new(self, &key));
            let failing_back = plan.map(|it| it.failing_back).unwrap_or_default();
            self.set_failback(key, failing_back);
        }
    }
}
