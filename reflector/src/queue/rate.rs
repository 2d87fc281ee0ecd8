//! Rate of the writes for a source.

use std::time::Duration;

use tokio::time::Instant;

/// Seconds for which a source that was quiet may write at once.
const BURST: u32 = 10;

/// A rate of writes, with a burst.
#[derive(Debug)]
pub(super) struct Rate {
    each: Duration,
    /// Time at which all writes so far would be done at that rate.
    paid_until: Instant,
}

impl Rate {
    pub(super) fn new(per_second: u32) -> Self {
        let now = Instant::now();
        Self {
            each: Duration::from_secs(1) / per_second.max(1),
            paid_until: now,
        }
    }

    /// Notes a write.
    pub(super) fn take(&mut self) {
        self.paid_until = self.paid_until.max(Instant::now()) + self.each;
    }

    /// Returns when there may be a write. None if that is long past.
    pub(super) fn free_at(&self) -> Option<Instant> {
        let burst = Duration::from_secs(BURST.into());
        (self.paid_until + self.each).checked_sub(burst)
    }
}
