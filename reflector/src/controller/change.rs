//! Changes of the configuration, and of what depends on it.

use std::collections::HashSet;

use reflector_planner::Update;

use super::Controller;
use crate::local_ranges;
use crate::reload::Change;

impl Controller {
    /// Goes on by another configuration. What it does not change is not disturbed.
    pub(super) fn change(&mut self, change: Change) {
        let Change {
            policy,
            stopped,
            opened,
            is_everywhere,
            notes,
        } = change;
        for name in &stopped {
            self.following.stop(name);
        }
        let anew: HashSet<_> = opened.iter().map(|it| it.source.name.clone()).collect();
        let affected = self.index.reconfigure(policy, &anew);
        self.report.reconfigured(self.index.policy(), &anew, notes);
        for source in opened {
            let limits = source.source.limits;
            self.queue
                .limit(&source.source.name, limits.writes_per_second);
            self.inbox.add(self.following.follow(source, &self.index));
        }
        // The scope is never narrowed: existing objects would be forgotten, and not reported.
        if is_everywhere && self.local_namespace.take().is_some() {
            self.inbox.add(self.following.follow_local(None));
        }
        self.attend_to_endpoints();
        self.enqueue(&None, affected);
    }

    /// Watches the managed Endpoints where they matter: where some are wanted, and where there
    /// still are some that are not.
    pub(super) fn attend_to_endpoints(&mut self) {
        if self.index.concerns_endpoints() {
            let namespace = self.local_namespace.as_ref();
            self.inbox.add(self.following.follow_endpoints(namespace));
        }
    }

    /// Returns whether it is known what addresses the local cluster has, or is not to be had soon.
    pub(super) fn knows_ranges(&self) -> bool {
        local_ranges::are_known(self.local_ranges.as_ref(), self.started)
    }

    pub(super) fn set_local_cidrs(&mut self) {
        if let Some(ranges) = local_ranges::learned(&mut self.local_ranges) {
            let affected = self.index.update(Update::LocalRanges(ranges));
            self.enqueue(&None, affected);
        }
    }
}
