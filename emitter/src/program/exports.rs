//! Following ServiceExports.

use std::sync::Arc;

use runtime::Budget;

use super::Program;
use crate::identity::Identity;
use crate::upstream::{Exports, Follower, Passage};

impl Program {
    /// Follows ServiceExports, where they decide what is exported.
    pub(super) fn follow_exports(&mut self, identity: &Arc<Identity>, budget: Arc<Budget>) {
        let Some((hub, exposure)) = self.exports.clone() else {
            return;
        };
        let resource = hub.names();
        let missing = "not listed yet; nothing is served before, and without the CRD of \
            multicluster.x-k8s.io";
        let follower = Follower {
            hub: Arc::clone(&hub),
            metrics: Arc::clone(&self.metrics),
            health: Arc::clone(&self.health),
            namespaces: None,
            budget,
            ready: self.readiness.flag(resource.plural, missing),
            passage: Passage::Exports(exposure),
        };
        self.keep(&hub);
        let following = Exports {
            follower,
            client: self.client.clone(),
            namespace: self.config.namespace.clone(),
            identity: Arc::clone(identity),
        };
        self.spawn(format!("following {resource}"), following.run());
    }
}
