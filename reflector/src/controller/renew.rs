//! Recovery from panics on what one source sent, or on one local Service.

use std::collections::HashSet;

use reflector_planner::MirrorKey;
use tracing::error;

use super::Controller;
use crate::queue::Requeue;
use crate::watch_target::{InformerEvent, WatchTarget};

impl Controller {
    /// Begins again with a source after a panic on what it sent: nothing is known of it until it is
    /// listed again, and its mirrors stay as they are.
    pub(super) fn renew(&mut self, feed: &WatchTarget, why: String) {
        self.metrics.panicked("world");
        let Some(source) = feed.source().cloned() else {
            error!(%feed, panic = why, "panic on an object of the local cluster");
            return;
        };
        let delay = self.restarts.entry(source.clone()).or_default().delay();
        let InformerEvent { sign, .. } = feed.panicked(why, delay);
        let policy = self.index.policy().clone();
        let affected = self
            .index
            .reconfigure(policy, &HashSet::from([source.clone()]));
        self.report.handle(feed, &sign, &self.index);
        self.enqueue(&None, affected);
        self.following.renew(&source, delay);
    }

    /// Leaves a local Service as it is after its plan panicked, and plans it again later.
    pub(super) fn set_aside(&mut self, key: MirrorKey, why: &str) {
        self.metrics.panicked("plan");
        error!(%key, panic = why, "plan panicked");
        self.queue.failed(key, Requeue::WithBackoff);
    }
}
