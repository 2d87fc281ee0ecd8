//! Recovery from panics on what one source sent, or on one local Service.

use std::collections::HashSet;

use reflector_planner::LocalKey;
use tracing::error;

use super::Controller;
use crate::feed::{Feed, News};
use crate::queue::Again;

impl Controller {
    /// Begins anew with a source after a panic on what it sent: nothing is known of it until
    /// it is listed again, and its mirrors stay as they are.
    pub(super) fn renew(&mut self, feed: &Feed, why: String) {
        self.metrics.panicked("world");
        let Some(source) = feed.source().cloned() else {
            error!(%feed, panic = why, "panic on an object of the local cluster");
            return;
        };
        let delay = self.restarts.entry(source.clone()).or_default().delay();
        let News { sign, .. } = feed.panicked(why, delay);
        let policy = self.world.policy().clone();
        let touched = self
            .world
            .reconfigure(policy, &HashSet::from([source.clone()]));
        self.report.heard(feed, &sign, &self.world);
        self.touch(&None, touched);
        self.following.renew(&source, delay);
    }

    /// Leaves a local Service as it is after its plan panicked, and plans it again later.
    pub(super) fn set_aside(&mut self, key: LocalKey, why: &str) {
        self.metrics.panicked("plan");
        error!(%key, panic = why, "plan panicked");
        self.queue.failed(key, Again::Later);
    }
}
