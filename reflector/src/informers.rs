//! Informers: the local cluster, and sources that come and go while the others
//! go on.

mod informer;
mod opened;

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use proto_types::LabelSelector;
use proto_types::name::DnsLabel;
use reflector_planner::{Index, RelistRequest, SourceName};
use runtime::{Amount, Budget, Limits, Restarts, Scope, Watcher, contain};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::config::{GlobalConfig, SourceConfig, limits, our_selector};
use crate::identity::{Clusters, ExpectedIdentity};
use crate::metrics::Metrics;
use crate::pins::{Pinned, Pins, Record};
use crate::watch_target::{InformerEvent, WatchTarget};

pub(crate) use opened::Opened;

use informer::{Informer, InformerOutputs, InformerSpec, OptingOut};

/// Watch tasks of all sources and of the local cluster.
pub(crate) struct Informers {
    client: kube::Client,
    global: Option<GlobalConfig>,
    metrics: Metrics,
    local: CancellationToken,
    /// Cluster identity of the local cluster.
    here: Arc<ExpectedIdentity>,
    /// `true` if managed Endpoints are watched too.
    with_endpoints: bool,
    sources: BTreeMap<SourceName, Followed>,
    /// Requests to list again, by resource.
    doubted: HashMap<WatchTarget, Arc<Notify>>,
    /// `true` if the expected cluster identity of each source is known.
    is_settled: bool,
    /// The record of which cluster each source is.
    pins: Pins,
    record: Record,
    /// Memory limit of all sources together.
    budget: Arc<Budget>,
    /// Memory limit of the local cluster.
    local_budget: Arc<Budget>,
    tasks: JoinSet<()>,
}

struct Followed {
    identity: Arc<ExpectedIdentity>,
    budget: Arc<Budget>,
    stop: CancellationToken,
}

/// Streams of events of all watches.
pub(crate) type InformerStreams = Vec<BoxStream<'static, InformerEvent>>;

impl Informers {
    /// Nothing yet, and then what that client leads to, with members of global
    /// Services where there are some.
    pub(crate) fn new(
        client: kube::Client,
        global: Option<GlobalConfig>,
        metrics: Metrics,
        pins: Pins,
    ) -> Self {
        Self {
            client,
            global,
            metrics,
            local: CancellationToken::new(),
            here: Arc::new(ExpectedIdentity::of_any("local".parse().expect("a label"))),
            with_endpoints: false,
            sources: BTreeMap::new(),
            doubted: HashMap::new(),
            is_settled: false,
            pins,
            record: Record::new(),
            budget: Budget::new(limits::WHOLE, None),
            local_budget: Budget::new(limits::LOCAL, None),
            tasks: JoinSet::new(),
        }
    }

    /// Watches the managed objects of the local cluster, in one namespace or in all, instead of as
    /// before.
    pub(crate) fn follow_local(&mut self, namespace: Option<&DnsLabel>) -> InformerStreams {
        self.local.cancel();
        self.local = CancellationToken::new();
        let endpoints = self.with_endpoints.then_some(WatchTarget::LocalEndpoints);
        let feeds = [WatchTarget::LocalServices, WatchTarget::LocalSlices].into_iter();
        let feeds = feeds.chain(endpoints);
        feeds.map(|it| self.follow_ours(it, namespace)).collect()
    }

    /// Watches the managed Endpoints of the local cluster too, from now on.
    pub(crate) fn follow_endpoints(&mut self, namespace: Option<&DnsLabel>) -> InformerStreams {
        if std::mem::replace(&mut self.with_endpoints, true) {
            return InformerStreams::new();
        }
        vec![self.follow_ours(WatchTarget::LocalEndpoints, namespace)]
    }

    fn follow_ours(
        &mut self,
        feed: WatchTarget,
        namespace: Option<&DnsLabel>,
    ) -> BoxStream<'static, InformerEvent> {
        let scope = Scope {
            resource: feed.resource().names(),
            namespace: namespace.map(ToString::to_string),
            selector: our_selector(feed.resource(), self.global.as_ref()),
        };
        let stop = self.local.clone();
        self.follow_here(feed, scope, &stop)
    }

    /// Watches the members of global Services in the local cluster.
    pub(crate) fn follow_local_members(&mut self) -> InformerStreams {
        let Some(global) = self.global.clone() else {
            return InformerStreams::new();
        };
        let feeds = [
            WatchTarget::MemberServices(global.cluster.clone()),
            WatchTarget::MemberSlices(global.cluster.clone()),
        ];
        let feeds = feeds.map(|feed| {
            let scope = Scope {
                resource: feed.resource().names(),
                namespace: None,
                selector: global.full_selector(),
            };
            self.follow_here(feed, scope, &CancellationToken::new())
        });
        feeds.into()
    }

    fn follow_here(
        &mut self,
        feed: WatchTarget,
        scope: Scope,
        stop: &CancellationToken,
    ) -> BoxStream<'static, InformerEvent> {
        let (sender, news) = WatchTarget::channel();
        let asks = matches!(
            feed,
            WatchTarget::LocalServices | WatchTarget::MemberServices(_)
        );
        let identity = asks.then(|| Arc::clone(&self.here));
        let doubted = self.doubted.entry(feed.clone()).or_default().clone();
        let client = self.client.clone();
        let budget = Arc::clone(&self.local_budget);
        self.tasks.spawn(async move {
            let mut restarts = Restarts::default();
            loop {
                let reader = Watcher::new(client.clone(), scope.clone(), Limits::default());
                let reader = reader.within(Arc::clone(&budget));
                let reader = match &identity {
                    Some(identity) => reader.guarded(identity.guard()),
                    None => reader,
                };
                let (sender, identity) = (sender.clone(), identity.clone());
                let follow = feed
                    .clone()
                    .follow(reader, sender, identity, Arc::clone(&doubted));
                if let Err(why) = contain(follow).await {
                    let delay = restarts.delay();
                    error!(%feed, panic = why, restart_in = ?delay, "feed panicked");
                    tokio::time::sleep(delay).await;
                } else {
                    return;
                }
            }
        });
        until(stop, news)
    }

    /// Follows a source, instead of the one of its name.
    pub(crate) fn follow(&mut self, opened: Opened, index: &Index) -> InformerStreams {
        let Opened {
            source,
            way,
            opening,
        } = opened;
        self.stop(&source.name);
        let stop = CancellationToken::new();
        if let Some(opening) = opening {
            let opening = stop.clone().run_until_cancelled_owned(opening);
            self.tasks.spawn(async { opening.await.unwrap_or(()) });
        }
        let identity = Arc::new(ExpectedIdentity::new(&source));
        let whole = Arc::clone(&self.budget);
        let budget = Budget::new(source.limits.held, Some(whole));
        let feeds = feeds(&source, self.global.as_ref());
        let first = feeds.first().map(|(feed, _)| feed.clone());
        let heard = feeds.into_iter().map(|(feed, selector)| {
            let scope = Scope {
                resource: feed.resource().names(),
                namespace: source.namespace.as_ref().map(ToString::to_string),
                selector,
            };
            let (sender, news) = WatchTarget::channel();
            let asked = InformerSpec {
                scope,
                endpoints_from: source.endpoints_from,
                poll_every: source.poll_every,
                opt_outs: self.opt_outs_of(&feed),
                looks_behind: first.as_ref() == Some(&feed),
            };
            let doubted = Arc::new(Notify::new());
            self.doubted.insert(feed.clone(), Arc::clone(&doubted));
            let ears = InformerOutputs {
                sender,
                doubted,
                identity: Arc::clone(&identity),
                metrics: self.metrics.clone(),
                budget: Arc::clone(&budget),
            };
            let line = Informer::new(feed, asked, ears);
            let opened = (source.access.clone(), way.clone());
            self.tasks.spawn(line.run(opened));
            until(&stop, news)
        });
        let heard = heard.collect();
        if self.is_settled {
            settle(&source.name, &identity, (index, &self.pins.now()));
        }
        let followed = Followed {
            identity,
            budget,
            stop,
        };
        self.sources.insert(source.name.clone(), followed);
        heard
    }

    /// Returns whether a watch waits for the namespaces that opt out.
    fn opt_outs_of(&self, feed: &WatchTarget) -> OptingOut {
        let is_heeded = self.global.as_ref().is_some_and(|it| it.is_by_mode);
        match feed {
            WatchTarget::MemberServices(source) if is_heeded => OptingOut::Heeded(source.clone()),
            _ => OptingOut::Unheeded,
        }
    }

    /// Lists everything of a source once more, after a delay.
    pub(crate) fn renew(&mut self, name: &SourceName, delay: Duration) {
        for feed in WatchTarget::every(name) {
            if let Some(doubted) = self.doubted.get(&feed).map(Arc::clone) {
                self.tasks.spawn(async move {
                    tokio::time::sleep(delay).await;
                    doubted.notify_one();
                });
            }
        }
    }

    /// Has that listed once more.
    pub(crate) fn request_relist(&self, doubt: RelistRequest) {
        if let Some(doubted) = self.doubted.get(&WatchTarget::requested_by(doubt)) {
            doubted.notify_one();
        }
    }

    /// Stops all watches of a source, and drops its pending events.
    pub(crate) fn stop(&mut self, name: &SourceName) {
        if let Some(followed) = self.sources.remove(name) {
            followed.stop.cancel();
            for feed in WatchTarget::every(name) {
                self.doubted.remove(&feed);
            }
        }
    }

    /// Sets the expected cluster identity of each source by the existing mirrors.
    pub(crate) fn settle(&mut self, index: &Index) {
        if self.is_settled || !index.local().is_listed() {
            return;
        }
        let pinned = self.pins.now();
        if pinned == Pinned::Unread {
            return;
        }
        self.is_settled = true;
        for (name, Followed { identity, .. }) in &self.sources {
            settle(name, identity, (index, &pinned));
        }
        if let Pinned::None = pinned {
            // What mirrors say is recorded once.
            let names = self.sources.keys();
            let known = names.map(|it| (it.clone(), clusters(it, index)));
            self.record = known.filter(|(_, it)| !it.is_empty()).collect();
        }
    }

    /// Has written down which cluster each source is, as far as that is new.
    pub(crate) fn record(&mut self) {
        if !self.is_settled {
            return;
        }
        for (name, Followed { identity, .. }) in &self.sources {
            if let Some(cluster) = identity.cluster() {
                self.record.insert(name.clone(), Clusters::from([cluster]));
            }
        }
        self.pins.want(self.record.clone());
    }

    /// Returns the memory that each source takes.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&SourceName, Amount)> {
        let sources = self.sources.iter();
        sources.map(|(name, it)| (name, it.budget.used()))
    }

    /// Returns the cluster identity of the local cluster, if it is known.
    pub(crate) fn local_cluster(&self) -> Option<Box<str>> {
        self.here.cluster()
    }

    /// Returns the cluster identity of each source.
    pub(crate) fn identities(&self) -> impl Iterator<Item = (&SourceName, &ExpectedIdentity)> {
        let sources = self.sources.iter();
        sources.map(|(name, it)| (name, &*it.identity))
    }

    /// A task that panicked, which none should. A dropped call loses nothing.
    pub(crate) async fn failure(&mut self) -> JoinError {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                return error;
            }
        }
        pending().await
    }
}

/// Returns the watched resources of a source. An EndpointSlice has the labels of its Service, so
/// one selector fits both.
pub(crate) fn feeds(
    source: &SourceConfig,
    global: Option<&GlobalConfig>,
) -> Vec<(WatchTarget, LabelSelector)> {
    let name = &source.name;
    let mut feeds = Vec::new();
    if source.mirrors {
        let selector = source.full_selector();
        feeds.push((WatchTarget::Services(name.clone()), selector.clone()));
        feeds.push((WatchTarget::Slices(name.clone()), selector));
    }
    if let (true, Some(global)) = (source.joins, global) {
        let selector = global.full_selector();
        feeds.push((WatchTarget::MemberServices(name.clone()), selector.clone()));
        feeds.push((WatchTarget::MemberSlices(name.clone()), selector));
    }
    feeds
}

fn settle(name: &SourceName, identity: &ExpectedIdentity, (index, pinned): (&Index, &Pinned)) {
    identity.expect(pinned.of(name).unwrap_or_else(|| clusters(name, index)));
}

/// The clusters that the mirrors of a source record.
fn clusters(name: &SourceName, index: &Index) -> Clusters {
    index.clusters_of(name).map(Into::into).collect()
}

fn until(
    stop: &CancellationToken,
    news: mpsc::Receiver<InformerEvent>,
) -> BoxStream<'static, InformerEvent> {
    let next = async |mut news: mpsc::Receiver<InformerEvent>| Some((news.recv().await?, news));
    let news = stream::unfold(news, next);
    news.take_until(stop.clone().cancelled_owned()).boxed()
}
