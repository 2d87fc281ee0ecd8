//! Informer of one resource of one source: connection, watch and events.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use proto_types::Resource;
use reflector_planner::SourceName;
use runtime::upstream::UpstreamPoller;
use runtime::{Access, Budget, Limits, Restarts, Scope, Watcher, contain};
use tokio::sync::{Notify, mpsc, watch};

use crate::config::EndpointsFrom;
use crate::identity::ExpectedIdentity;
use crate::metrics::Metrics;
use crate::watch_target::{
    ClientProvider, EndpointsApi, InformerEvent, OptOuts, RETRY, WatchTarget, served,
};

/// Scope and access of a watch.
pub(super) struct InformerSpec {
    pub(super) scope: Scope,
    pub(super) endpoints_from: EndpointsFrom,
    pub(super) poll_every: Option<Duration>,
    pub(super) opt_outs: OptingOut,
    /// `true` if this watch polls, for the whole source, whether its upstream is connected.
    pub(super) looks_behind: bool,
}

/// Treatment of namespaces of a source that are opted out.
pub(super) enum OptingOut {
    /// They may be opted out, and that source serves the namespaces.
    Heeded(SourceName),
    /// They may not.
    Unheeded,
}

/// Outputs of a watch.
pub(super) struct InformerOutputs {
    pub(super) sender: mpsc::Sender<InformerEvent>,
    pub(super) doubted: Arc<Notify>,
    pub(super) identity: Arc<ExpectedIdentity>,
    pub(super) metrics: Metrics,
    /// Memory limit of the source.
    pub(super) budget: Arc<Budget>,
}

/// Watch task: its resource, scope and outputs.
pub(super) struct Informer {
    feed: WatchTarget,
    asked: InformerSpec,
    ears: InformerOutputs,
}

// An emitter is replaced by another, or a cluster upgraded, once in a long time.
const LOOK_FOR_SLICES: Duration = Duration::from_secs(15);

impl Informer {
    pub(super) const fn new(feed: WatchTarget, asked: InformerSpec, ears: InformerOutputs) -> Self {
        Self { feed, asked, ears }
    }

    /// Watches the source until the receiver is dropped. A panic on what the source sent is
    /// reported as a failure of this watch alone, and followed by a restart.
    pub(super) async fn run(self, (access, way): (Access, ClientProvider)) {
        let mut restarts = Restarts::default();
        while let Err(why) = contain(self.follow((access.clone(), way.clone()))).await {
            let delay = restarts.delay();
            let news = self.feed.panicked(why, delay);
            if self.ears.sender.send(news).await.is_err() {
                return;
            }
            tokio::time::sleep(delay).await;
        }
    }

    async fn follow(&self, (access, way): (Access, ClientProvider)) {
        let InformerOutputs {
            sender,
            identity,
            metrics,
            ..
        } = &self.ears;
        tokio::select! {
            () = identity.settled() => {}
            () = sender.closed() => return,
        }
        let Some(client) = way.open(&self.feed, sender).await else {
            return;
        };
        let name = self.feed.source().map(ToString::to_string);
        let name = name.unwrap_or_default();
        let client = metrics.counting(client, name, &access).await;
        let (known, mut is_known) = watch::channel(false);
        let served = async {
            // The sender is kept by this task.
            let _ = is_known.wait_for(|it| *it).await;
            self.follow_what_is_served(&client).await;
        };
        tokio::select! {
            () = self.follow_opt_outs(&client, known) => {}
            () = self.poll_upstream(&client) => {}
            () = served => {}
        }
    }

    /// Reports whether the upstream of the source is connected, until the receiver is dropped.
    async fn poll_upstream(&self, client: &kube::Client) {
        if !self.asked.looks_behind {
            return pending().await;
        }
        let mut asking = UpstreamPoller::new(client.clone());
        loop {
            let news = self.feed.behind(asking.next().await);
            if self.ears.sender.send(news).await.is_err() {
                return;
            }
        }
    }

    async fn follow_opt_outs(&self, client: &kube::Client, known: watch::Sender<bool>) {
        let OptingOut::Heeded(source) = &self.asked.opt_outs else {
            known.send_replace(true);
            return pending().await;
        };
        let reader = self.reader(client, OptOuts::scope());
        let opt_outs = OptOuts::new(self.feed.clone(), source.clone(), reader, client.clone());
        opt_outs.follow(self.ears.sender.clone(), known).await;
    }

    async fn follow_what_is_served(&self, client: &kube::Client) {
        let follow = async |resource: Resource| {
            let mut scope = self.asked.scope.clone();
            scope.resource = resource.names();
            let reader = self.reader(client, scope);
            let InformerOutputs {
                sender,
                doubted,
                identity,
                ..
            } = &self.ears;
            let (sender, identity) = (sender.clone(), Some(Arc::clone(identity)));
            let feed = self.feed.clone();
            feed.follow(reader, sender, identity, Arc::clone(doubted))
                .await;
        };
        match (self.feed.resource(), self.asked.endpoints_from) {
            (Resource::EndpointSlices, EndpointsFrom::Endpoints) => {
                follow(Resource::Endpoints).await;
            }
            (Resource::EndpointSlices, EndpointsFrom::Auto) => loop {
                match served(client, &self.asked.scope).await {
                    Ok(EndpointsApi::Slices) => return follow(Resource::EndpointSlices).await,
                    Ok(EndpointsApi::Endpoints) => tokio::select! {
                        () = follow(Resource::Endpoints) => return,
                        () = until_slices(client, &self.asked.scope) => {}
                    },
                    Err(why) => {
                        let unreachable = self.feed.unreachable(why);
                        if self.ears.sender.send(unreachable).await.is_err() {
                            return;
                        }
                        tokio::time::sleep(RETRY).await;
                    }
                }
            },
            (resource, _) => follow(resource).await,
        }
    }

    fn reader(&self, client: &kube::Client, scope: Scope) -> Watcher {
        let reader = Watcher::new(client.clone(), scope, Limits::default());
        let reader = match self.asked.poll_every {
            Some(every) => reader.polling(every),
            None => reader,
        };
        let budget = Arc::clone(&self.ears.budget);
        reader.within(budget).guarded(self.ears.identity.guard())
    }
}

/// Waits until a cluster that had Endpoints alone serves slices, which may be read.
async fn until_slices(client: &kube::Client, scope: &Scope) {
    while served(client, scope).await != Ok(EndpointsApi::Slices) {
        tokio::time::sleep(LOOK_FOR_SLICES).await;
    }
}
