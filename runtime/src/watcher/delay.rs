//! Delays before a request is repeated.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::Limits;

// Longest delay that a server can set.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Growing delays, never the same in two watchers.
#[derive(Debug)]
pub(super) struct Delays {
    builder: ExponentialBuilder,
    growing: ExponentialBackoff,
    first: Duration,
    longest: Duration,
}

impl Delays {
    pub(super) fn new(limits: &Limits) -> Self {
        // Jitter adds up to the delay itself, hence the half.
        let builder = ExponentialBuilder::new()
            .with_min_delay(limits.first_delay)
            .with_max_delay((limits.longest_delay / 2).max(limits.first_delay))
            .without_max_times()
            .with_jitter();
        Self {
            builder,
            growing: builder.build(),
            first: limits.first_delay,
            longest: limits.longest_delay,
        }
    }

    /// The next delay, or the one that the server named, if that is longer.
    pub(super) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let own = self.growing.next().unwrap_or(self.longest);
        let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        own.max(asked)
    }

    /// The least delay: where nothing failed, but haste would be wrong.
    pub(super) const fn first(&self) -> Duration {
        self.first
    }

    /// All is well: the next failure is the first one again.
    pub(super) fn reset(&mut self) {
        self.growing = self.builder.build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(delay: Duration) -> f32 {
        delay.as_secs_f32()
    }

    #[test]
    fn delays_double_from_half_a_second_to_half_a_minute() {
        let mut delays = Delays::new(&Limits::default());
        for least in [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0] {
            let delay = seconds(delays.next(None));
            assert!((least..=2.0 * least).contains(&delay), "{delay}");
        }
        delays.reset();
        assert!(seconds(delays.next(None)) <= 1.0);
    }

    #[test]
    fn a_server_may_ask_for_more_but_not_for_ever() {
        let mut delays = Delays::new(&Limits::default());
        let minute = Duration::from_secs(60);
        assert_eq!(delays.next(Some(minute)), minute);
        assert_eq!(delays.next(Some(1000 * minute)), LONGEST_RETRY_AFTER);
        assert!(delays.next(Some(Duration::from_secs(1))) >= Duration::from_secs(2));
    }

    #[test]
    fn two_readers_do_not_wait_equally_long() {
        let mut one = Delays::new(&Limits::default());
        let mut another = Delays::new(&Limits::default());
        let differ = (0..8).any(|_| one.next(None) != another.next(None));
        assert!(differ);
    }
}
