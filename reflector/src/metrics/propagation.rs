//! Time from a change of endpoints in a source to its write, as a histogram and over time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use proto_types::ObjectKey;

use super::recent::Recent;
use super::{Filling, Labels};

/// Upper ends of the buckets in seconds: from a write on the same machine to a source that was
/// away for minutes.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Minutes that are kept.
const MINUTES: usize = 60;

/// Latency from which a change is an exemplar of its bucket.
const SLOW: Duration = Duration::from_millis(250);

/// Maximum number of characters of the name of an object in an exemplar. OpenMetrics allows 128 for
/// all labels.
const MAX_NAME: usize = 120;

/// The object that was written, as the label of an exemplar.
type Exemplar = [(&'static str, String); 1];

/// Times of propagation of all sources.
#[derive(Debug, Clone)]
pub(super) struct Propagation {
    seconds: Family<Labels<1>, HistogramWithExemplars<Exemplar>>,
    history: History,
    recent: Recent,
    /// Start of the process. Changes before it have no latency.
    began: Timestamp,
}

/// Times of propagation of the last hour, by minute.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(Arc<Mutex<VecDeque<Minute>>>);

/// Changes that were written within one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Minute {
    /// Number of the minute since 1970.
    pub(crate) at: i64,
    /// Number of changes.
    pub(crate) changes: u32,
    /// Sum of their times.
    pub(crate) sum: Duration,
    /// The longest time.
    pub(crate) longest: Duration,
}

impl Propagation {
    pub(super) fn registered(all: &mut Filling<'_>) -> Self {
        Self {
            seconds: all.seconds(
                "propagation",
                "From a change of endpoints at their source to its write here",
                Family::new_with_constructor(|| HistogramWithExemplars::new(BUCKETS.into_iter())),
            ),
            history: History::default(),
            recent: Recent::default(),
            began: Timestamp::now(),
        }
    }

    /// Returns the same for a process that began at that time.
    #[cfg(test)]
    pub(super) fn since(&self, began: Timestamp) -> Self {
        Self {
            began,
            ..self.clone()
        }
    }

    /// Returns the times of the last hour.
    pub(super) fn history(&self) -> History {
        self.history.clone()
    }

    /// Returns the percentiles of each source.
    pub(super) const fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Counts a change that the source dates so, and that was written now to that object. A slow
    /// one is the exemplar of its bucket.
    pub(super) fn observe(&self, source: String, changed: &str, object: &ObjectKey) {
        let now = Timestamp::now();
        let Some(took) = took(changed, self.began, now) else {
            return;
        };
        self.recent.add(&source, now, took);
        let seconds = self.seconds.get_or_create(&[("source", source.into())]);
        let exemplar = (SLOW <= took).then(|| [("object", name_of(object))]);
        seconds.observe(took.as_secs_f64(), exemplar, Some(now.into()));
        self.history.add(now, took);
    }
}

impl History {
    fn add(&self, now: Timestamp, took: Duration) {
        let at = minute(now);
        let mut minutes = self.0.lock();
        if minutes.back().is_none_or(|it| it.at != at) {
            while MINUTES <= minutes.len() {
                minutes.pop_front();
            }
            minutes.push_back(Minute {
                at,
                ..Minute::default()
            });
        }
        if let Some(last) = minutes.back_mut() {
            last.changes += 1;
            last.sum += took;
            last.longest = last.longest.max(took);
        }
    }

    /// Returns the last minutes, the present one last, also those without changes.
    pub(crate) fn last(&self, n: i64, now: Timestamp) -> Vec<Minute> {
        let now = minute(now);
        let minutes = self.0.lock();
        let of = |at: i64| {
            let found = minutes.iter().find(|it| it.at == at);
            found.copied().unwrap_or(Minute {
                at,
                ..Minute::default()
            })
        };
        (now - n + 1..=now).map(of).collect()
    }
}

impl Minute {
    /// Returns the mean time; zero without changes.
    pub(crate) fn mean(&self) -> Duration {
        self.sum.checked_div(self.changes).unwrap_or_default()
    }
}

fn name_of(object: &ObjectKey) -> String {
    let name = object.to_string();
    name.chars().take(MAX_NAME).collect()
}

fn minute(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

/// Returns the latency of a change with that time at its source. A change from before the start of
/// the process has none; if the clock of the source is ahead, the latency is zero.
pub(super) fn took(changed: &str, began: Timestamp, now: Timestamp) -> Option<Duration> {
    let changed: Timestamp = changed.parse().ok()?;
    let took = now.duration_since(changed);
    (began <= changed).then(|| Duration::try_from(took).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{History, MINUTES};

    #[test]
    fn minutes_without_changes_are_empty_and_old_ones_go() {
        let at = |minute: i64| Timestamp::from_second(minute * 60 + 59).unwrap();
        let history = History::default();
        for minute in 0..2 * i64::try_from(MINUTES).unwrap() {
            history.add(at(minute), Duration::from_secs(9));
        }
        assert_eq!(history.0.lock().len(), MINUTES);
        history.add(at(200), Duration::from_secs(1));
        history.add(at(200), Duration::from_secs(3));
        let last = history.last(3, at(201));
        assert_eq!(
            last.iter().map(|it| it.at).collect::<Vec<_>>(),
            [199, 200, 201]
        );
        assert_eq!(
            last.iter().map(|it| it.changes).collect::<Vec<_>>(),
            [0, 2, 0]
        );
        assert_eq!(last[1].mean(), Duration::from_secs(2));
        assert_eq!(last[1].longest, Duration::from_secs(3));
        assert_eq!(last[0].mean(), Duration::ZERO);
    }
}
