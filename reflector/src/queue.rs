//! Work queue: keys that are planned next, each once, in fair turns between sources, and those
//! that failed again later.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use reflector_planner::{MirrorKey, SourceName};
use tokio::time::Instant;
use tokio_util::time::{DelayQueue, delay_queue};

use crate::metrics::Metrics;
use crate::metrics::semaphore::{Load, Outcome, QueueId};

mod rate;

use rate::Rate;

/// Keys that wait, are worked on, or are tried again later. A key is worked on by
/// one at a time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Queues that have keys, in turn.
    turns: VecDeque<QueueId>,
    lanes: HashMap<QueueId, VecDeque<MirrorKey>>,
    waiting: HashMap<MirrorKey, Waiting>,
    in_work: HashMap<MirrorKey, Work>,
    retries: HashMap<MirrorKey, Retry>,
    timers: DelayQueue<MirrorKey>,
    metrics: Option<Metrics>,
    /// Rate of the writes for each source.
    rates: HashMap<SourceName, Rate>,
}

/// Delay of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Requeue {
    /// Another writer was faster; the present object is known.
    Now,
    /// It would fail again.
    WithBackoff,
    /// The server named the delay, for this object.
    After(Duration),
    /// The server named the delay, and has no capacity for any request.
    Busy(Duration),
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    lane: QueueId,
}

#[derive(Debug)]
struct Work {
    lane: QueueId,
    began: Instant,
    /// Queue of a change since the work began.
    outdated_by: Option<QueueId>,
}

#[derive(Debug)]
struct Retry {
    lane: QueueId,
    n_failures: u32,
    timer: Option<delay_queue::Key>,
    due: Instant,
}

// A change may be what helps: it does not wait for a long delay to end, yet a
// source that changes all the time does not make us try all the time.
const AT_ONCE: Duration = Duration::from_secs(1);
// A lost race is known at once; twice is bad luck already.
const SOON: Duration = Duration::from_millis(20);
const LATER: Duration = Duration::from_secs(1);
// What does not heal within a minute is worth one request a minute.
const LONGEST: Duration = Duration::from_secs(60);
/// Longest delay that a server can set.
pub(crate) const LONGEST_ASKED: Duration = Duration::from_secs(300);

impl Queue {
    /// One that counts.
    pub(crate) fn counted(metrics: Metrics) -> Self {
        Self {
            metrics: Some(metrics),
            ..Self::default()
        }
    }

    /// Returns the load of each queue.
    pub(crate) fn loads(&self) -> BTreeMap<QueueId, Load> {
        let mut loads: BTreeMap<QueueId, Load> = BTreeMap::new();
        for (lane, keys) in &self.lanes {
            loads.entry(lane.clone()).or_default().depth = count(keys.len());
        }
        for retry in self.retries.values().filter(|it| it.timer.is_some()) {
            loads.entry(retry.lane.clone()).or_default().requeued += 1;
        }
        for work in self.in_work.values() {
            let load = loads.entry(work.lane.clone()).or_default();
            let time = work.began.elapsed();
            load.unfinished += time;
            load.longest = load.longest.max(time);
        }
        loads
    }

    /// A key's plan may have changed.
    pub(crate) fn add(&mut self, lane: &QueueId, key: MirrorKey) {
        if let Some(work) = self.in_work.get_mut(&key) {
            let lane = match &work.outdated_by {
                Some(former) => freer(&self.rates, former, lane),
                None => lane,
            };
            work.outdated_by = Some(lane.clone());
            return;
        }
        if let Some(retry) = self.retries.get_mut(&key)
            && let Some(timer) = &retry.timer
        {
            retry.lane = freer(&self.rates, &retry.lane, lane).clone();
            let soon = Instant::now() + AT_ONCE;
            if soon < retry.due {
                retry.due = soon;
                self.timers.reset_at(timer, soon);
            }
            return;
        }
        self.wait(lane.clone(), key);
    }

    /// Lets no more be written for a source than that in a second, after a burst.
    pub(crate) fn limit(&mut self, source: &SourceName, per_second: u32) {
        self.rates.insert(source.clone(), Rate::new(per_second));
    }

    /// Returns whether a write for a source may be made for a key that is worked on. A write for no
    /// source that is known counts for the source whose change the key was added for.
    pub(crate) fn may_write(&self, key: &MirrorKey, source: &QueueId) -> bool {
        let free = free_at(&self.rates, self.payer(key, source));
        free.is_none_or(|it| it <= Instant::now())
    }

    /// A write for a source is made for a key that is worked on.
    pub(crate) fn charge(&mut self, key: &MirrorKey, source: &QueueId) {
        let payer = self.payer(key, source).clone();
        if let Some(rate) = payer.and_then(|it| self.rates.get_mut(&it)) {
            rate.take();
        }
    }

    /// Lets a key that is worked on wait until a write for a source may be made.
    pub(crate) fn postpone(&mut self, key: MirrorKey, source: &QueueId) {
        let payer = self.payer(&key, source).clone();
        let Some(work) = self.end(&key, Outcome::Done) else {
            return;
        };
        let lane = match &work.outdated_by {
            Some(lane) => freer(&self.rates, &payer, lane).clone(),
            None => payer,
        };
        self.wait(lane, key);
    }

    fn payer<'a>(&'a self, key: &MirrorKey, source: &'a QueueId) -> &'a QueueId {
        let is_limited = source
            .as_ref()
            .is_some_and(|it| self.rates.contains_key(it));
        match self.in_work.get(key) {
            Some(work) if !is_limited => &work.lane,
            Some(_) | None => source,
        }
    }

    /// Returns since when, or from when on, a key may be worked on; none if none waits.
    pub(crate) fn ready_at(&self) -> Option<Instant> {
        let lanes = self.turns.iter();
        lanes.filter_map(|lane| self.free_at(lane)).min()
    }

    /// The same for the next key of a lane. A lane without a rate has been free since
    /// its key came: "now" would be another instant at each look, and never past.
    fn free_at(&self, lane: &QueueId) -> Option<Instant> {
        let since = self.waiting.get(self.lanes.get(lane)?.front()?)?.since;
        let free = free_at(&self.rates, lane);
        Some(free.map_or(since, |free| free.max(since)))
    }

    /// Returns whether a key waits for its turn.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the number of keys that wait for their turn.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the number of keys that wait for a retry.
    pub(crate) fn n_retries(&self) -> usize {
        self.timers.len()
    }

    /// The next key, of the lane whose turn it is. It is in work until it is
    /// settled, written or failed.
    pub(crate) fn pop(&mut self) -> Option<MirrorKey> {
        let now = Instant::now();
        let mut turns = self.turns.iter();
        let next = turns.position(|lane| self.free_at(lane).is_some_and(|it| it <= now))?;
        let lane = self.turns.remove(next)?;
        let keys = self.lanes.get_mut(&lane)?;
        let key = keys.pop_front()?;
        if keys.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.turns.push_back(lane.clone());
        }
        let waiting = self.waiting.remove(&key);
        let waited = waiting.map(|it| it.since.elapsed()).unwrap_or_default();
        if let Some(metrics) = &self.metrics {
            metrics.waited(&lane, waited);
        }
        let work = Work {
            lane,
            began: Instant::now(),
            outdated_by: None,
        };
        self.in_work.insert(key.clone(), work);
        Some(key)
    }

    /// There was nothing to do for a key.
    pub(crate) fn settled(&mut self, key: &MirrorKey) {
        self.retries.remove(key);
        if let Some(work) = self.end(key, Outcome::Done)
            && let Some(lane) = work.outdated_by
        {
            self.wait(lane, key.clone());
        }
    }

    /// All was done for a key: its plan is looked at once more.
    pub(crate) fn written(&mut self, key: MirrorKey) {
        if let Some(work) = self.end(&key, Outcome::Done) {
            self.wait(work.outdated_by.unwrap_or(work.lane), key);
        }
    }

    /// Something failed for a key.
    pub(crate) fn failed(&mut self, key: MirrorKey, again: Requeue) {
        let Some(work) = self.end(&key, Outcome::Again) else {
            return;
        };
        let n_failures = self.retries.get(&key).map_or(0, |retry| retry.n_failures);
        let mut delay = match again {
            Requeue::Now => backoff(SOON, n_failures),
            Requeue::WithBackoff => backoff(LATER, n_failures),
            Requeue::After(delay) | Requeue::Busy(delay) => {
                delay.min(LONGEST_ASKED).max(backoff(LATER, n_failures))
            }
        };
        if work.outdated_by.is_some() {
            delay = delay.min(AT_ONCE);
        }
        let due = Instant::now() + delay;
        let timer = Some(self.timers.insert_at(key.clone(), due));
        let retry = Retry {
            lane: work.outdated_by.unwrap_or(work.lane),
            n_failures: n_failures + 1,
            timer,
            due,
        };
        self.retries.insert(key, retry);
    }

    /// Waits until a key is due again, and lets it wait for its turn. Pending
    /// while there is none. A dropped call loses nothing.
    pub(crate) async fn retry(&mut self) {
        let expired = std::future::poll_fn(|cx| match self.timers.poll_expired(cx) {
            std::task::Poll::Ready(Some(expired)) => std::task::Poll::Ready(expired),
            std::task::Poll::Ready(None) | std::task::Poll::Pending => std::task::Poll::Pending,
        })
        .await;
        let key = expired.into_inner();
        let Some(retry) = self.retries.get_mut(&key) else {
            return;
        };
        retry.timer = None;
        let lane = retry.lane.clone();
        self.wait(lane, key);
    }

    fn end(&mut self, key: &MirrorKey, outcome: Outcome) -> Option<Work> {
        let work = self.in_work.remove(key)?;
        if let Some(metrics) = &self.metrics {
            metrics.worked(&work.lane, work.began.elapsed(), outcome);
        }
        Some(work)
    }

    /// Returns whether a key can wait in a queue: it waits in no other, or leaves that one because
    /// its source has had its share of writes.
    fn leave(&mut self, lane: &QueueId, key: &MirrorKey) -> bool {
        let Some(Waiting { lane: former, .. }) = self.waiting.get(key) else {
            return true;
        };
        if freer(&self.rates, former, lane) == former {
            return false;
        }
        if let Some(keys) = self.lanes.get_mut(former) {
            keys.retain(|it| it != key);
            if keys.is_empty() {
                self.lanes.remove(former);
                self.turns.retain(|it| it != former);
            }
        }
        true
    }

    fn wait(&mut self, lane: QueueId, key: MirrorKey) {
        if !self.leave(&lane, &key) {
            return;
        }
        let waiting = Waiting {
            since: Instant::now(),
            lane: lane.clone(),
        };
        self.waiting.insert(key.clone(), waiting);
        if let Some(metrics) = &self.metrics {
            metrics.added(&lane);
        }
        let keys = self.lanes.entry(lane.clone()).or_default();
        if keys.is_empty() {
            self.turns.push_back(lane);
        }
        keys.push_back(key);
    }
}

/// Returns the time from which on a queue may write; none if that is long past.
fn free_at(rates: &HashMap<SourceName, Rate>, lane: &QueueId) -> Option<Instant> {
    rates.get(lane.as_ref()?)?.free_at()
}

/// Returns the queue that may write sooner; the first, if that is the same.
fn freer<'a>(
    rates: &HashMap<SourceName, Rate>,
    one: &'a QueueId,
    other: &'a QueueId,
) -> &'a QueueId {
    // A queue that had less than its share may write now, whatever it wrote.
    let at = |lane| free_at(rates, lane).filter(|it| Instant::now() < *it);
    match at(other) < at(one) {
        true => other,
        false => one,
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn backoff(first: Duration, n_failures: u32) -> Duration {
    first.saturating_mul(1 << n_failures.min(12)).min(LONGEST)
}

#[cfg(test)]
mod tests;
