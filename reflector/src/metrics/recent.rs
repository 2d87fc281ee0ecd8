//! Percentiles of the times of propagation of each source, over the hour before its last change.
//!
//! They change with a change of endpoints alone, never with time: a source at rest keeps them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use reflector_planner::SourceName;

/// Upper ends of the buckets in milliseconds. The last one stands for all longer times.
const BUCKETS: [u32; 15] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000,
];

/// Length of a window in seconds.
const WINDOW: i64 = 600;

/// Number of windows that are kept.
const WINDOWS: i64 = 6;

/// Number of buckets by which a percentile moves before it counts as another one.
const MATERIAL: usize = 2;

/// Percentiles of all sources.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<BTreeMap<Box<str>, VecDeque<Window>>>>);

/// Changes of one source that were written within one window.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// Number of the window since 1970.
    at: i64,
    /// Number of changes by bucket.
    counts: [u32; BUCKETS.len()],
}

/// Percentiles of the times of propagation of one source, each the upper end of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Percentiles {
    /// Milliseconds within which half of the changes were written.
    pub(crate) p50: u32,
    /// Milliseconds within which 99 % of the changes were written.
    pub(crate) p99: u32,
}

impl Recent {
    /// Counts a change that was written now.
    pub(super) fn add(&self, source: &str, now: Timestamp, took: Duration) {
        let at = now.as_second().div_euclid(WINDOW);
        let mut sources = self.0.lock();
        if !sources.contains_key(source) {
            sources.insert(source.into(), VecDeque::new());
        }
        let Some(windows) = sources.get_mut(source) else {
            return;
        };
        if windows.back().is_none_or(|it| it.at != at) {
            windows.push_back(Window {
                at,
                counts: [0; BUCKETS.len()],
            });
        }
        // A clock that is set back makes no second past.
        windows.retain(|it| (at - WINDOWS + 1..=at).contains(&it.at));
        if let Some(window) = windows.back_mut() {
            let count = &mut window.counts[bucket(took)];
            *count = count.saturating_add(1);
        }
    }

    /// Forgets a source.
    pub(super) fn remove(&self, source: &SourceName) {
        self.0.lock().remove(source.as_str());
    }

    /// Returns the percentiles of a source; `None` if no change of it was written.
    pub(crate) fn of(&self, source: &str) -> Option<Percentiles> {
        let sources = self.0.lock();
        let windows = sources.get(source)?;
        let mut counts = [0_u64; BUCKETS.len()];
        for window in windows {
            for (sum, count) in counts.iter_mut().zip(window.counts) {
                *sum += u64::from(count);
            }
        }
        drop(sources);
        Some(Percentiles {
            p50: percentile(&counts, 50)?,
            p99: percentile(&counts, 99)?,
        })
    }
}

impl Percentiles {
    /// Returns whether a percentile is far enough from another time to count as another one.
    pub(crate) fn is_material(one: u32, other: u32) -> bool {
        let place = |it: u32| bucket(Duration::from_millis(it.into()));
        MATERIAL <= place(one).abs_diff(place(other))
    }
}

fn bucket(took: Duration) -> usize {
    let fits = |end: &u32| took <= Duration::from_millis((*end).into());
    BUCKETS.iter().position(fits).unwrap_or(BUCKETS.len() - 1)
}

/// Returns the upper end of the bucket with that percentile; `None` without changes.
fn percentile(counts: &[u64; BUCKETS.len()], percent: u64) -> Option<u32> {
    let all: u64 = counts.iter().sum();
    let rank = (all * percent).div_ceil(100).max(1);
    let mut below = 0;
    let mut ends = BUCKETS.iter().zip(counts);
    let found = ends.find(|(_, count)| {
        below += **count;
        rank <= below
    });
    found.map(|(end, _)| *end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_900_000_200 + second).unwrap()
    }

    fn add(recent: &Recent, second: i64, milliseconds: u64) {
        recent.add("east", at(second), Duration::from_millis(milliseconds));
    }

    #[test]
    fn percentiles_are_upper_ends_of_buckets() {
        let recent = Recent::default();
        assert_eq!(recent.of("east"), None);
        for _ in 0..99 {
            add(&recent, 0, 40);
        }
        let of = |p50, p99| Some(Percentiles { p50, p99 });
        assert_eq!(recent.of("east"), of(50, 50));
        add(&recent, 1, 900);
        assert_eq!(recent.of("east"), of(50, 50), "99 of 100 were as fast");
        add(&recent, 1, 900);
        assert_eq!(recent.of("east"), of(50, 1_000));
        assert_eq!(recent.of("west"), None);
        let slow = Recent::default();
        slow.add("east", at(0), Duration::from_secs(100_000));
        assert_eq!(slow.of("east"), of(3_600_000, 3_600_000), "at most an hour");
    }

    #[test]
    fn the_hour_ends_with_a_later_change_alone() {
        let recent = Recent::default();
        add(&recent, 0, 900);
        add(&recent, 5 * WINDOW, 40);
        let p99 = |recent: &Recent| recent.of("east").unwrap().p99;
        assert_eq!(p99(&recent), 1_000);
        add(&recent, 6 * WINDOW, 40);
        assert_eq!(p99(&recent), 50, "the slow change is older than an hour");
        assert_eq!(recent.0.lock()["east"].len(), 2);
        // The clock was set back.
        add(&recent, -9 * WINDOW, 900);
        assert_eq!(p99(&recent), 1_000);
        assert_eq!(recent.0.lock()["east"].len(), 1);
        recent.remove(&"east".parse().unwrap());
        assert_eq!(recent.of("east"), None);
    }

    #[test]
    fn a_neighbour_of_a_bucket_is_not_another_time() {
        for (one, other, expected) in [
            (50, 50, false),
            (50, 100, false),
            (50, 25, false),
            (50, 250, true),
            (250, 50, true),
            (3_600_000, 60_000, true),
        ] {
            assert_eq!(
                Percentiles::is_material(one, other),
                expected,
                "{one}, {other}"
            );
        }
    }
}
