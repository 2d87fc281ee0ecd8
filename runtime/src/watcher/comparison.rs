//! Comparison of what is known with a list, after a server was lost.
//!
//! After the restore of a backup a server counts on from there. Once it has passed the position of
//! a watcher, no response to a watch shows that it went back, and what happened in between would be
//! missing indefinitely. So a watcher whose server could not be reached resumes its watch, and
//! lists soon after. A watch that ends at its own time, or that is open again at the first attempt,
//! is no sign of that: a restore takes longer.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;
use crate::upstream::UpstreamStatus;

/// Server of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// It reports no upstream: a kube-apiserver.
    Apiserver,
    /// It has compared what it serves with its own upstream, unless it has started again.
    Emitter,
}

impl UpstreamStatus {
    /// Returns the tier of a server that reports this.
    pub(super) const fn tier(&self) -> Tier {
        match self {
            Self::Nothing => Tier::Apiserver,
            Self::Connected | Self::Disconnected(_) => Tier::Emitter,
        }
    }
}

/// State of the comparisons: lists by a watcher that could resume.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Failures since a watch was open.
    n_failures: u32,
    /// Time of the last accepted list.
    listed: Instant,
    due: Option<Instant>,
    is_under_way: bool,
}

impl Comparison {
    pub(super) fn new() -> Self {
        Self {
            n_failures: 0,
            listed: Instant::now(),
            due: None,
            is_under_way: false,
        }
    }

    /// Notes an attempt that failed, or a watch that broke.
    pub(super) const fn failed(&mut self) {
        self.n_failures = self.n_failures.saturating_add(1);
    }

    /// Notes that a watch ended before its time.
    pub(super) fn ended(&mut self) {
        self.n_failures = self.n_failures.max(1);
    }

    /// Notes that a watch is open again.
    pub(super) fn resumed(&mut self, limits: &Limits, tier: Tier) {
        let rest = match (std::mem::take(&mut self.n_failures), tier) {
            (0, _) | (1, Tier::Emitter) => return,
            (1, Tier::Apiserver) => limits.compare_rarely,
            // A connection that fails again and again costs no more than a list each time.
            _ => 3 * limits.compare,
        };
        let due = (Instant::now() + soon(limits.compare)).max(self.listed + rest);
        self.due = Some(self.due.map_or(due, |it| it.min(due)));
    }

    /// Returns the time of the next comparison.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Begins one.
    pub(super) const fn begin(&mut self) {
        self.due = None;
        self.is_under_way = true;
    }

    /// Notes an accepted list. Returns whether it compares.
    pub(super) fn listed(&mut self) -> bool {
        let is_under_way = self.is_under_way;
        *self = Self::new();
        is_under_way
    }
}

/// Returns a random delay between a quarter of the longest time and all of it, so that watchers
/// that lost a server together do not list together.
fn soon(longest: Duration) -> Duration {
    let share = RandomState::new().build_hasher().finish() % 751;
    longest.mul_f64(0.25 + share as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(failures: u32, tier: Tier) -> Option<f32> {
        let mut comparison = Comparison::new();
        (0..failures).for_each(|_| comparison.failed());
        comparison.resumed(&Limits::default(), tier);
        let due = comparison.due()?;
        Some(due.duration_since(Instant::now()).as_secs_f32().round())
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_server_that_could_not_be_reached_is_compared_soon() {
        assert_eq!(after(0, Tier::Apiserver), None);
        assert_eq!(after(1, Tier::Emitter), None);
        assert_eq!(after(1, Tier::Apiserver), Some(600.0));
        for tier in [Tier::Apiserver, Tier::Emitter] {
            assert_eq!(after(2, tier), Some(60.0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_comparison_comes_between_five_and_twenty_seconds_after_an_old_list() {
        for _ in 0..20 {
            let mut comparison = Comparison::new();
            tokio::time::advance(Duration::from_secs(60)).await;
            comparison.failed();
            comparison.failed();
            comparison.resumed(&Limits::default(), Tier::Apiserver);
            let due = comparison.due().map(|it| it - Instant::now());
            let due = due.unwrap_or_default().as_secs_f32();
            assert!((5.0..=20.1).contains(&due), "{due}");
            // Later failures do not put it off.
            tokio::time::advance(Duration::from_secs(3)).await;
            let before = comparison.due();
            (0..3).for_each(|_| comparison.failed());
            comparison.resumed(&Limits::default(), Tier::Apiserver);
            assert!(comparison.due() <= before);
        }
    }
}
