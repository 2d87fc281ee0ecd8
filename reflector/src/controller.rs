//! The loop: what is new goes into the index, the keys that it touches are planned, and
//! what the plans need is written.
//!
//! One task owns the index. An event decides nothing; it only names the keys to reconcile.

mod answer;
mod change;
mod chores;
mod event;
mod pressure;
mod renew;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use proto_types::name::DnsLabel;
use reflector_planner::{
    AffectedKeys, Index, MirrorKey, Policy, SourceName, Step, Update, plan, steps,
};
use runtime::{Readiness, Restarts, contain_call};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::events::EventRecorder;
use crate::informers::{Informers, Opened};
use crate::leader_election::Leadership;
use crate::local_ranges::{self, Ranges};
use crate::metrics::Metrics;
use crate::metrics::semaphore::QueueId;
use crate::queries::Question;
use crate::queue::{LONGEST_ASKED, Queue, Requeue};
use crate::reload::Reload;
use crate::report::StatusReporter;
use crate::sweep::Sweep;
use crate::watch_target::InformerEvent;
use crate::write::{WriteResult, Writer};

use event::{Event, Inbox};
use pressure::Pressure;

/// Owns the index.
pub(crate) struct Controller {
    index: Index,
    queue: Queue,
    inbox: Inbox,
    following: Informers,
    local_namespace: Option<DnsLabel>,
    writer: Writer,
    report: StatusReporter,
    metrics: Metrics,
    leadership: Leadership,
    local_ranges: Option<Ranges>,
    started: Instant,
    /// Time of the last plans.
    last_turn: Instant,
    /// `true` if keys were left then, because enough writes were in progress.
    has_backlog: bool,
    /// Time until which the local API server requested no writes.
    quiet_until: Instant,
    /// Reason for which the local API server takes no writes.
    unavailable: Option<String>,
    sweep: Sweep,
    pressure: Pressure,
    /// Delays after panics on what a source sent.
    restarts: HashMap<SourceName, Restarts>,
}

/// Parts of a [`Controller`].
pub(crate) struct Parts {
    /// Policy of the sources.
    pub(crate) policy: Policy,
    /// Warnings about the configuration.
    pub(crate) notes: Vec<String>,
    /// Message about mirrors outside of the mirror namespace, which were found at the start.
    pub(crate) found: Option<String>,
    /// The only namespace that has mirrors, if there is one.
    pub(crate) local_namespace: Option<DnsLabel>,
    /// The sources, with the ways to them.
    pub(crate) opened: Vec<Opened>,
    /// Informers of the sources.
    pub(crate) following: Informers,
    /// The CIDRs of the local cluster, where they are read.
    pub(crate) local_ranges: Option<Ranges>,
    /// Other configurations, where that may come.
    pub(crate) reloads: Option<mpsc::Receiver<Reload>>,
    /// Questions of the admin port.
    pub(crate) questions: mpsc::Receiver<Question>,
    /// The local API server.
    pub(crate) writer: Writer,
    /// Recorder of Events about problems.
    pub(crate) announcer: EventRecorder,
    /// Counts.
    pub(crate) metrics: Metrics,
    /// Readiness, which is set when all is known.
    pub(crate) readiness: Readiness,
    /// `true` if mirrors that a predecessor left behind are deleted.
    pub(crate) sweeps: bool,
}

// A Service and its slice come by two ways, and a rollout touches a slice many times:
// what comes within a few milliseconds is one plan. The first change does not wait.
const SETTLE: Duration = Duration::from_millis(5);
// One after another would wait for the network most of the time. A local API server
// with etcd on a disk is busy with that many.
const MAX_WRITES: usize = 16;
// So many events are taken in, and so many plans made, before the others have a turn:
// a few milliseconds.
const MAX_AT_ONCE: usize = 256;
// What a source exports is not written before it is known which addresses are local ones.
const TICK: Duration = Duration::from_secs(1);
// What is on its way is worth waiting for; what hangs is not.
const GRACE: Duration = Duration::from_secs(5);

impl Controller {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            policy,
            notes,
            found,
            local_namespace,
            opened,
            mut following,
            local_ranges,
            reloads,
            questions,
            writer,
            announcer,
            metrics,
            readiness,
            sweeps,
        } = parts;
        let sweep = Sweep::new(&policy, sweeps);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        let mut report =
            StatusReporter::new(&policy, metrics.clone(), &readiness, announcer, notes);
        report.found = found;
        let index = Index::new(policy);
        let mut inbox = Inbox::new(questions, reloads, tick);
        inbox.add(following.follow_local(local_namespace.as_ref()));
        if index.concerns_endpoints() {
            inbox.add(following.follow_endpoints(local_namespace.as_ref()));
        }
        inbox.add(following.follow_local_members());
        let mut queue = Queue::counted(metrics.clone());
        for source in opened {
            queue.limit(&source.source.name, source.source.limits.writes_per_second);
            inbox.add(following.follow(source, &index));
        }
        let mut this = Self {
            index,
            queue,
            inbox,
            following,
            local_namespace,
            local_ranges,
            leadership: writer.leadership.clone(),
            writer,
            report,
            metrics,
            started: now,
            last_turn: now,
            has_backlog: false,
            quiet_until: now,
            unavailable: None,
            sweep,
            pressure: Pressure::default(),
            restarts: HashMap::new(),
        };
        this.report.leads(this.leadership.holds());
        this.measure_as_semaphore();
        this
    }

    /// Runs until `shutdown`, and waits for running writes.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), JoinError> {
        loop {
            let first = tokio::select! {
                () = shutdown.cancelled() => break,
                event = self.next() => event,
            };
            self.take(first)?;
            for _ in 1..MAX_AT_ONCE {
                match self.next().now_or_never() {
                    Some(Event::Turn) | None => break,
                    Some(event) => self.take(event)?,
                }
            }
            self.dispatch();
        }
        let rest = async { while self.inbox.writes.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, rest).await;
        self.report.log(self.index.policy());
        Ok(())
    }

    /// Returns the next event. Cancel safe.
    async fn next(&mut self) -> Event {
        let has_turn = self.has_work();
        let due = self.due();
        tokio::select! {
            event = self.inbox.next() => event,
            error = self.following.failure() => Event::FeedFailed(error),
            () = self.leadership.changed() => Event::Leadership,
            () = self.queue.retry() => Event::Retry,
            () = local_ranges::changed(&mut self.local_ranges) => Event::LocalRanges,
            () = tokio::time::sleep_until(due), if has_turn => Event::Turn,
        }
    }

    fn has_work(&self) -> bool {
        self.queue.ready_at().is_some()
            && self.index.local().is_listed()
            && self.leadership.holds()
            && self.knows_ranges()
            && self.inbox.writes.len() < MAX_WRITES
    }

    fn take(&mut self, event: Event) -> Result<(), JoinError> {
        match event {
            Event::News(news) => self.handle(*news),
            Event::Written(written) => self.finish(written?),
            Event::LocalRanges => self.set_local_cidrs(),
            Event::Leadership => self.report.leads(self.leadership.holds()),
            Event::Retry | Event::Turn => {}
            Event::Tick => self.tick(),
            Event::Asked(question) => self.answer(question),
            Event::Reload(Reload::Changed(change)) => self.change(*change),
            Event::Reload(Reload::Refused(why)) => self.report.refused(why),
            // Watches contain their own panics; what else ended is missing from now on.
            Event::FeedFailed(error) => error!(%error, "task of a source panicked"),
        }
        Ok(())
    }

    fn handle(&mut self, news: InformerEvent) {
        if let Some(resource) = news.endpoints_of() {
            self.report.reads(&news.feed, resource);
        }
        let InformerEvent { feed, sign, update } = news;
        let was_listed = self.index.local().is_listed();
        let affected = update.map(|update| {
            contain_call(|| {
                #[cfg(test)]
                crate::planted::at("world", &update);
                self.note(&update);
                self.index.update(update)
            })
        });
        let affected = match affected.transpose() {
            Ok(affected) => affected,
            Err(why) => return self.renew(&feed, why),
        };
        if !was_listed && self.index.local().is_listed() {
            self.attend_to_endpoints();
        }
        self.following.settle(&self.index);
        self.report.handle(&feed, &sign, &self.index);
        let lane = feed.source().cloned();
        self.enqueue(&lane, affected.unwrap_or_default());
    }

    /// Counts what is new before it is known.
    fn note(&self, update: &Update) {
        if let Some(semaphore) = &self.metrics.semaphore {
            semaphore.record_event(&self.index, update);
        }
    }

    fn finish(&mut self, written: WriteResult) {
        let WriteResult {
            key,
            updates,
            again,
            unavailable,
            postponed,
        } = written;
        if let Some(source) = postponed {
            self.sweep.postpone(source);
            return;
        }
        for update in updates {
            self.note(&update);
            let mut affected = self.index.update(update);
            // It is looked at again anyway, sooner or later.
            affected.remove(&key);
            self.enqueue(&None, affected);
        }
        self.note_availability(unavailable);
        if let Some(delay) = self.pressure.note(&key, again) {
            let until = Instant::now() + delay.min(LONGEST_ASKED);
            self.quiet_until = self.quiet_until.max(until);
        }
        match again {
            None => self.queue.written(key),
            Some(again) => {
                self.metrics.retries.inc();
                if again != Requeue::Now {
                    self.review(&key);
                }
                self.queue.failed(key, again);
            }
        }
    }

    fn enqueue(&mut self, lane: &QueueId, keys: AffectedKeys) {
        // In order, so that a run can be understood.
        for key in BTreeSet::from_iter(keys) {
            self.queue.add(lane, key);
        }
    }

    /// Plans the keys whose turn it is, and has done what they need.
    fn dispatch(&mut self) {
        if Instant::now() < self.due() {
            return;
        }
        for _ in 0..MAX_AT_ONCE {
            if !self.has_work() {
                break;
            }
            // Those that wait may be of sources that have had their share of writes.
            let Some(key) = self.queue.pop() else {
                break;
            };
            match contain_call(|| self.review(&key)) {
                Ok(steps) if steps.is_empty() => self.queue.settled(&key),
                Ok(steps) => self.write(key, steps),
                Err(why) => self.set_aside(key, &why),
            }
            self.last_turn = Instant::now();
        }
        self.has_backlog = self.queue.ready_at().is_some();
    }

    /// Performs the writes of the sources that have not had their share. The others are planned
    /// again when they may be made.
    fn write(&mut self, key: MirrorKey, steps: Vec<Step>) {
        let source = |step: &Step| step.source.parse().ok();
        let may_write = |step: &Step| self.queue.may_write(&key, &source(step));
        let (now, later): (Vec<_>, Vec<_>) = steps.into_iter().partition(may_write);
        if let (true, Some(step)) = (now.is_empty(), later.first()) {
            self.queue.postpone(key, &source(step));
            return;
        }
        for step in &now {
            self.queue.charge(&key, &source(step));
        }
        let write = self.writer.clone().perform_contained(key, now);
        self.inbox.writes.spawn(write);
    }

    /// Returns the time of the next plans.
    fn due(&self) -> Instant {
        let due = match self.has_backlog {
            true => self.last_turn,
            false => self.last_turn + SETTLE,
        };
        let ready = self.queue.ready_at().unwrap_or(due);
        due.max(self.quiet_until).max(ready)
    }

    /// Plans a key, reports its problems, and returns what it needs.
    fn review(&mut self, key: &MirrorKey) -> Vec<Step> {
        #[cfg(test)]
        crate::planted::at("plan", key);
        let plan = plan(&self.index, key);
        self.metrics.plans.inc();
        let steps = steps(&plan, key, self.index.local());
        let uid = self.index.local().service(key).map(|it| &*it.uid);
        self.report.planned(key, uid, plan.problems);
        steps
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
