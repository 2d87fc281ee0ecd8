//! Preview by the present objects of the sources and the local cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::bail;
use futures::stream::{self, BoxStream, SelectAll};
use futures::{FutureExt, StreamExt};
use proto_types::ObjectKey;
use reflector_planner::{Index, Update};
use runtime::{Network, Tasks};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Imports, Lost, PlanReport, intended, without_namespaces};
use crate::clusterset;
use crate::compat::CommandLine;
use crate::config::Config;
use crate::informers::Informers;
use crate::leader_election::Leadership;
use crate::local_ranges::LocalRanges;
use crate::metrics::Metrics;
use crate::pins::Pins;
use crate::reload;
use crate::report::{known, names};
use crate::watch_target::{ConnectionState, InformerEvent, WatchTarget};
use crate::write::Writer;

// A failed request is repeated; a missing resource is not waited for.
const ATTEMPTS: usize = 3;
// A list may take a minute; what has not come by then does not come.
const TIMEOUT: Duration = Duration::from_secs(60);
// As many as a reflector writes at once.
const LOOKS: usize = 16;

/// Returns the preview of a configuration on the present clusters. It lists, watches and gets.
pub(crate) async fn by_clusters(
    (config, client): (Config, kube::Client),
    explained: Option<&ObjectKey>,
) -> anyhow::Result<PlanReport> {
    let namespace = config.local_namespace().cloned();
    let configuration = clusterset::configuration(&config);
    let configuration = configuration.map(|it| it.borrow().clone());
    let learned = match config.learns_local_ranges {
        true => LocalRanges::new(client.clone()).0.read_once().await,
        false => Vec::new(),
    };
    let imports = async {
        let mut configuration = configuration?;
        configuration.settings.addresses.learned = learned.clone();
        Some(clusterset::read(configuration, client.clone()).await)
    };
    let opened = reload::open(&Network::System, config.sources).await?;
    let mut index = Index::new(config.policy);
    index.update(Update::LocalRanges(learned.clone()));
    let metrics = Metrics::registered(false).0;
    let mut following = Informers::new(
        client.clone(),
        config.global,
        metrics.clone(),
        Pins::unavailable(),
    );
    let mut reading = Reading::new(&index);
    reading.add(following.follow_local(namespace.as_ref()));
    reading.add(following.follow_local_members());
    for source in opened {
        reading.add(following.follow(source, &index));
    }
    let (outcome, read) = tokio::join!(reading.run(&mut index, &mut following), imports);
    outcome?;
    let writer = Writer {
        client: client.clone(),
        metrics,
        leadership: Leadership::always(),
        reaps_namespaces: false,
    };
    let created = adopt_existing(&mut index, &writer).await;
    let import = explained.and_then(|key| read.as_ref()?.explained(key));
    let imports = read.map(Imports::of);
    let report = PlanReport::of(&index, &reading.lost, created, imports);
    Ok(report.explaining(&index, import, explained))
}

/// Returns the configuration with the sources that the local cluster declares: a ConfigMap of
/// URLs, Sources and ClusterProfiles, read once.
pub(crate) async fn with_discovered(
    config: Config,
    line: &CommandLine,
    client: &kube::Client,
) -> anyhow::Result<Config> {
    let end = CancellationToken::new();
    let mut tasks = Tasks::new(end.clone());
    let read = crate::with_further(config, Some(line), client, &mut tasks).await;
    end.cancel();
    read.map(|(config, _)| config)
}

/// Finds what stands in the way; returns the namespaces that would be created.
async fn adopt_existing(index: &mut Index, writer: &Writer) -> BTreeSet<String> {
    let looks = stream::iter(intended(index)).map(|step| {
        let writer = writer.clone();
        async move { writer.preview(&step).await }
    });
    let looks: Vec<_> = looks.buffered(LOOKS).collect().await;
    for update in looks.into_iter().flatten() {
        index.update(update);
    }
    let steps = intended(index);
    let namespaces: BTreeSet<_> = steps.iter().map(|it| it.key.namespace()).collect();
    let mut missing = BTreeSet::new();
    for namespace in namespaces {
        if writer.lacks_namespace(namespace).await {
            missing.insert(namespace.to_owned());
        }
    }
    without_namespaces(index, &missing)
}

/// Watches, until each has listed its resource or has failed for good.
struct Reading {
    feeds: SelectAll<BoxStream<'static, InformerEvent>>,
    open: BTreeSet<WatchTarget>,
    failures: BTreeMap<WatchTarget, usize>,
    lost: Lost,
}

impl Reading {
    fn new(index: &Index) -> Self {
        let names = names(index.policy());
        let all = names
            .iter()
            .flat_map(|it| WatchTarget::all_of(it, index.policy()));
        let open = all.chain([WatchTarget::LocalServices, WatchTarget::LocalSlices]);
        Self {
            feeds: SelectAll::new(),
            open: open.collect(),
            failures: BTreeMap::new(),
            lost: Lost::new(),
        }
    }

    fn add(&mut self, feeds: Vec<BoxStream<'static, InformerEvent>>) {
        self.feeds.extend(feeds);
    }

    async fn run(&mut self, index: &mut Index, following: &mut Informers) -> anyhow::Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        while !self.open.is_empty() {
            let Ok(Some(news)) = tokio::time::timeout_at(deadline, self.feeds.next()).await else {
                break;
            };
            self.handle(news, index);
            following.settle(index);
            if let Some(error) = following.failure().now_or_never() {
                return Err(error.into());
            }
        }
        for feed in &self.open {
            let why = || format!("no answer in {TIMEOUT:?}");
            self.lost.entry(feed.clone()).or_insert_with(why);
        }
        match [WatchTarget::LocalServices, WatchTarget::LocalSlices].map(|it| self.lost.get(&it)) {
            [Some(why), _] | [None, Some(why)] => bail!("cannot read the local cluster: {why}"),
            [None, None] => Ok(()),
        }
    }

    fn handle(&mut self, news: InformerEvent, index: &mut Index) {
        let InformerEvent { feed, sign, update } = news;
        if let Some(update) = update {
            index.update(update);
        }
        match sign {
            ConnectionState::Disconnected(failure) => {
                let n_failures = self.failures.entry(feed.clone()).or_default();
                *n_failures += 1;
                // A source is not listed before the local cluster.
                if ATTEMPTS <= *n_failures {
                    self.open.remove(&feed);
                }
                self.lost.insert(feed, failure.to_string());
            }
            ConnectionState::Unrelated | ConnectionState::Upstream(_) => {}
            ConnectionState::Connected | ConnectionState::Rewound => {
                self.lost.remove(&feed);
                if is_listed(&feed, index) {
                    self.open.remove(&feed);
                }
                if index.local().is_listed() {
                    self.open.remove(&WatchTarget::LocalServices);
                    self.open.remove(&WatchTarget::LocalSlices);
                }
            }
        }
    }
}

/// Returns whether the watch of a source has listed its resource.
fn is_listed(feed: &WatchTarget, index: &Index) -> bool {
    feed.source().is_some() && known(feed, index).0 == "synced"
}
