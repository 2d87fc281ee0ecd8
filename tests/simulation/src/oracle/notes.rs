//! Faults, and who writes, as the judge is told of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Oracle, SETTLE};

/// Time in which a Lease cannot change hands twice.
const TWO_LEASES: Duration = Duration::from_secs(10);

impl Oracle {
    /// Notes that a fault of these sources begins.
    pub(crate) fn disturb(&self, sources: &BTreeSet<String>) {
        let now = self.trace.elapsed();
        let mut inner = self.inner.lock();
        for source in sources {
            let calm = inner.calm.entry(source.clone()).or_default();
            let is_calm = calm.n_faults == 0 && calm.healed.is_none_or(|it| it + SETTLE < now);
            if is_calm {
                calm.disturbed = now;
            }
            calm.n_faults += 1;
        }
    }

    /// Notes that a fault of these sources ends.
    pub(crate) fn heal(&self, sources: &BTreeSet<String>) {
        let now = self.trace.elapsed();
        let mut inner = self.inner.lock();
        for source in sources {
            let calm = inner.calm.entry(source.clone()).or_default();
            calm.n_faults = calm.n_faults.saturating_sub(1);
            calm.healed = Some(now);
        }
    }

    /// Notes that the API server of a source is down, or up again.
    pub(crate) fn down(&self, source: &str, is_down: bool) {
        let now = self.trace.elapsed();
        let down = &mut self.inner.lock().down;
        match is_down {
            true => drop(down.insert(source.to_owned(), now)),
            false => drop(down.remove(source)),
        }
    }

    /// Notes that the Lease is lost, so that two replicas may write for a moment.
    pub(crate) fn lose_lease(&self) {
        self.inner.lock().lease_lost = Some(self.trace.elapsed());
    }

    /// Notes which replica wrote.
    pub(crate) fn wrote(&self, replica: &Arc<str>) {
        let now = self.trace.elapsed();
        let mut inner = self.inner.lock();
        if inner.writers.last().is_some_and(|it| it.1 == *replica) {
            return;
        }
        inner.writers.push((now, Arc::clone(replica)));
        let is_lost = inner.lease_lost.is_some_and(|it| now < it + TWO_LEASES);
        let before = inner.writers.iter().rev().nth(2);
        if before.is_some_and(|it| now < it.0 + TWO_LEASES) && !is_lost {
            let what = format!("{replica} writes again, before a Lease could end twice");
            inner.violate("one replica writes", now, what);
        }
    }
}
