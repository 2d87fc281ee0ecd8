//! Periodic work beside the loop.

use reflector_planner::{MonotonicTime, Reason, Update};
use tracing::{info, warn};

use super::{Controller, count};
use crate::metrics::of_source;
use crate::report::names;
use crate::status::NO_WRITES;

impl Controller {
    /// Time passed.
    pub(super) fn tick(&mut self) {
        let now = MonotonicTime(self.started.elapsed());
        let affected = self.index.update(Update::Tick(now));
        self.enqueue(&None, affected);
        for doubt in self.index.relist_requests() {
            info!(source = %doubt.source, resource = %doubt.resource,
                "deletion hold is over; relisting");
            self.following.request_relist(doubt);
        }
        self.following.settle(&self.index);
        self.following.record();
        self.report.held(&self.index);
        self.sweep();
        self.report.leads(self.leadership.holds());
        let local = self.following.local_cluster();
        self.report
            .identified(self.following.identities(), local.as_deref());
        self.report.log(self.index.policy());
        self.measure();
        self.measure_as_semaphore();
    }

    /// Sets the gauges. Those of work are of the leader alone: a standby has none to do.
    fn measure(&self) {
        let leads = self.leadership.holds();
        let of_leader = |n: i64| if leads { n } else { 0 };
        let metrics = &self.metrics;
        metrics.leader.set(i64::from(leads));
        metrics.queue_depth.set(of_leader(count(self.queue.len())));
        metrics
            .retrying
            .set(of_leader(count(self.queue.n_retries())));
        let is_failing = i64::from(self.unavailable.is_some());
        metrics.local_writes_failing.set(of_leader(is_failing));
        for (source, held) in self.following.held() {
            let gauge = metrics.budgets.bytes.get_or_create(&of_source(source));
            gauge.set(count(held.bytes));
        }
    }

    pub(super) fn measure_as_semaphore(&self) {
        if let Some(semaphore) = &self.metrics.semaphore {
            semaphore.count(&self.index);
            let mut loads = self.queue.loads();
            let sources = names(self.index.policy()).into_iter().map(Some);
            for lane in sources.chain([None]) {
                loads.entry(lane).or_default();
            }
            semaphore.loaded(loads);
        }
    }

    /// Looks for what a predecessor left, when all else is done.
    pub(super) fn sweep(&mut self) {
        let is_idle = self.queue.is_empty() && self.inbox.writes.is_empty();
        if !is_idle || !self.index.local().is_listed() || !self.leadership.holds() {
            return;
        }
        if let Some((source, namespace, selector)) = self.sweep.due(&self.index) {
            let list = self.writer.clone().left_behind(source, namespace, selector);
            self.inbox.writes.spawn(list);
        }
    }

    /// Says once that the local API server takes no writes, and once that it does again.
    pub(super) fn note_availability(&mut self, unavailable: Option<String>) {
        match (&unavailable, &self.unavailable) {
            (Some(why), None) => {
                warn!(why, "{NO_WRITES}");
            }
            (None, Some(_)) => info!("the local API server takes writes again"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.metrics
            .local_writes_failing
            .set(i64::from(unavailable.is_some()));
        self.unavailable = unavailable;
    }

    /// Returns the reason for which no plan is written.
    pub(super) fn why_not_written(&self) -> Option<Reason> {
        self.unavailable.as_ref().map(|why| Reason {
            rule: "LocalWritesFail".to_owned(),
            text: format!("{NO_WRITES}: {why}"),
        })
    }
}
