//! Deadlines of waiting keys.

use std::time::Duration;

use proto_types::{ObjectKey, Resource};

use super::{AffectedKeys, Index};
use crate::hold::MonotonicTime;
use crate::policy::Rank;

/// Time for which EndpointSlices may follow their Service. Kubernetes takes milliseconds.
const SLICES_GRACE: Duration = Duration::from_secs(15);

impl Index {
    /// The slices of a Service that is new may be on their way.
    pub(super) fn await_slices(&mut self, rank: Rank, service: &ObjectKey) {
        let known = self.source(rank).slices.known();
        if known.is_none_or(|it| it.of(service).next().is_none()) {
            let until = MonotonicTime(self.now.0 + SLICES_GRACE);
            self.awaited.insert((rank, service.clone()), until);
        }
    }

    /// Returns whether slices may be on their way.
    pub(crate) fn may_have_slices_soon(&self, rank: Rank, service: &ObjectKey) -> bool {
        self.awaited.contains_key(&(rank, service.clone()))
    }

    /// Waits no longer for slices that do not come.
    pub(super) fn end_waits(&mut self) -> AffectedKeys {
        let now = self.now;
        let due = self.awaited.extract_if(|_, until| *until <= now);
        let due: Vec<_> = due.map(|(key, _)| key).collect();
        let homes = due
            .iter()
            .map(|(rank, service)| self.key_of(*rank, service));
        homes.collect()
    }

    /// Forgets the obstacles of keys that no Service claims any more.
    pub(crate) fn drop_write_failures(&mut self, affected: &AffectedKeys) {
        if self.local.n_obstacles() == 0 {
            return;
        }
        for key in affected {
            if !self.claims.has(key) && self.local.service(key).is_none() {
                self.local.clear_obstacle(Resource::Services, key.object());
                self.local.clear_obstacle(Resource::Endpoints, key.object());
            }
        }
    }
}
