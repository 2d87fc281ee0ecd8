//! Following ServiceExports.

use std::sync::Arc;

use runtime::Budget;

use super::Program;
use crate::identity::ExpectedIdentity;
use crate::upstream::{Exports, Passage, UpstreamWatcher};

impl Program {
    /// Follows ServiceExports, where they decide what is exported.
    pub(super) fn follow_exports(&mut self, identity: &Arc<ExpectedIdentity>, budget: Arc<Budget>) {
        let Some((cache, exposure)) = self.exports.clone() else {
            return;
        };
        let resource = cache.names();
        let missing = "not listed yet; nothing is served before, and without the CRD of \
            multicluster.x-k8s.io";
        let follower = UpstreamWatcher {
            cache: Arc::clone(&cache),
            metrics: Arc::clone(&self.metrics),
            health: Arc::clone(&self.health),
            namespaces: None,
            budget,
            ready: self.readiness.flag(resource.plural, missing),
            passage: Passage::Exports(exposure),
        };
        self.keep(&cache);
        let following = Exports {
            follower,
            client: self.client.clone(),
            namespace: self.config.namespace.clone(),
            identity: Arc::clone(identity),
        };
        self.spawn(format!("following {resource}"), following.run());
    }
}
