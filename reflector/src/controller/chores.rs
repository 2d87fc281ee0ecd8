//! What is done from time to time, beside the loop.

use reflector_planner::Reason;
use tracing::{info, warn};

use super::Controller;
use crate::report::names;
use crate::status::NO_WRITES;

impl Controller {
    pub(super) fn measure_as_semaphore(&self) {
        if let Some(semaphore) = &self.metrics.semaphore {
            semaphore.count(&self.world);
            let mut loads = self.queue.loads();
            let sources = names(self.world.policy()).into_iter().map(Some);
            for lane in sources.chain([None]) {
                loads.entry(lane).or_default();
            }
            semaphore.loaded(loads);
        }
    }

    /// Looks for what a predecessor left, when all else is done.
    pub(super) fn sweep(&mut self) {
        let is_idle = self.queue.is_empty() && self.inbox.writes.is_empty();
        if !is_idle || !self.world.local().is_listed() || !self.leadership.holds() {
            return;
        }
        if let Some((source, namespace, selector)) = self.sweep.due(&self.world) {
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

    /// Why nothing is written, whatever a plan says.
    pub(super) fn why_not_written(&self) -> Option<Reason> {
        self.unavailable.as_ref().map(|why| Reason {
            rule: "LocalWritesFail".to_owned(),
            text: format!("{NO_WRITES}: {why}"),
        })
    }
}
