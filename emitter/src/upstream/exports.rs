//! Exports ServiceExports in the version that the upstream serves.

use std::sync::Arc;

use proto_types::LabelSelector;
use proto_types::multicluster::Version;
use runtime::multicluster::{self, RETRY};
use tracing::{info, warn};

use super::{UpstreamWatcher, exported};
use crate::identity::ExpectedIdentity;
use crate::probe::{self, Prober};

/// Watch task of ServiceExports.
pub(crate) struct Exports {
    pub(crate) follower: UpstreamWatcher,
    pub(crate) client: kube::Client,
    pub(crate) namespace: Option<String>,
    pub(crate) identity: Arc<ExpectedIdentity>,
}

impl Exports {
    /// Watches without end. The CRD may be installed and replaced at any time.
    pub(crate) async fn run(mut self) {
        loop {
            let resource = self.discover().await.exports();
            let namespace = self.namespace.as_deref();
            let scope = exported(resource, &LabelSelector::default(), namespace);
            let guard = self.identity.guard();
            let prober = Prober::new(self.client.clone(), scope.clone(), guard);
            let prober = prober.connected(Arc::clone(&self.follower.health));
            let answer = probe::answer(Arc::clone(&self.follower.cache), prober);
            let guard = self.identity.guard();
            let follow = self.follower.run(self.client.clone(), scope, guard);
            tokio::select! {
                () = answer => {}
                () = follow => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn discover(&self) -> Version {
        let version = multicluster::found(&self.client, |why| {
            warn!(
                why,
                "nothing is served before ServiceExports are listed, retrying"
            );
        });
        let version = version.await;
        let name = version.as_str();
        info!(version = name, "found the Multi-Cluster Services API");
        version
    }
}
