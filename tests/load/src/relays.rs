//! Three emitters behind one another: what a consumer costs on each, how much later it is told,
//! and what becomes of it when the one in the middle is killed.

mod killed;
mod print;

use std::time::Duration;

use anyhow::ensure;
use control_plane::Keeper;
use embedded_cluster::{EmbeddedCluster, Options};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::emitters::{Emitter, SERVICES, Upstream, at, kubeconfig, put, service};
use crate::mirroring::cluster::EXPORTS;
use crate::watcher::{Watcher, sent};

/// How many consumers there are.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many consumers the measured tier has
    #[arg(long, default_value_t = 1000)]
    consumers: usize,

    /// How many changes are made
    #[arg(long, default_value_t = 60)]
    events: usize,

    /// How many changes a second
    #[arg(long, default_value_t = 5)]
    rate: u32,
}

/// A cluster, and three emitters behind one another.
struct Tree {
    cluster: EmbeddedCluster,
    tiers: Vec<Emitter>,
    keeper: Keeper,
    /// Changes so far.
    n_changes: u64,
}

/// What the consumers of one tier cost.
struct Tier {
    cpu_per_event: Duration,
    /// Of all tiers before it, for each change.
    cpu_before: Duration,
    median: Duration,
    p99: Duration,
    lost: usize,
}

const TIERS: usize = 3;

/// Longer than any event takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Consumers of each tier whose delays are compared.
const FEW: usize = 5;

/// Measures, and prints.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let mut tree = Tree::start().await?;
    let delays = tree.delays(args).await?;
    print::delays(&delays);
    let mut tiers = Vec::new();
    for tier in 0..TIERS {
        tiers.push(tree.serve(args, tier).await?);
    }
    print::tiers(args, &tiers);
    print::watches(&tree.watches().await?);
    print::resumed(&tree.resume().await?);
    print::killed(args, &killed::measure(&mut tree, args.consumers).await?);
    Ok(())
}

impl Tree {
    async fn start() -> anyhow::Result<Self> {
        let mut options = Options::named("source");
        options.namespaces = vec![EXPORTS.to_owned()];
        let cluster = EmbeddedCluster::start(options).await?;
        put(&cluster, service("watched", 80, "0"))?;
        let keeper = Keeper::new("load-relays")?;
        let mut upstream = kubeconfig(keeper.directory(), &cluster)?;
        let mut tiers = Vec::new();
        for i in 1..=TIERS {
            let tier = Emitter::start(&keeper, &format!("tier-{i}"), &upstream).await?;
            upstream = Upstream::Emitter(tier.address);
            tiers.push(tier);
        }
        Ok(Self {
            cluster,
            tiers,
            keeper,
            n_changes: 0,
        })
    }

    /// Changes the watched Service.
    fn change(&mut self) -> anyhow::Result<()> {
        self.n_changes += 1;
        let port = 1024 + self.n_changes % 60_000;
        put(&self.cluster, service("watched", port, &sent()))
    }

    async fn changes(&mut self, args: &Args) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(Duration::from_secs(1) / args.rate.max(1));
        for _ in 0..args.events {
            tick.tick().await;
            self.change()?;
        }
        Ok(())
    }

    /// The resource version at which a tier is, and the first event of a watch.
    async fn revision(&self, tier: usize) -> anyhow::Result<String> {
        let path = format!("{SERVICES}?watch=1");
        let mut watcher = Watcher::open(self.tiers[tier].address, &path).await?;
        revision(&watcher.event().await?)
    }

    /// Opens watches of what comes next, a few at a time.
    async fn open(&self, tier: usize, n: usize) -> anyhow::Result<Vec<Watcher>> {
        let address = self.tiers[tier].address;
        let path = format!(
            "{SERVICES}?watch=1&resourceVersion={}",
            self.revision(tier).await?
        );
        let opened = (0..n).map(|_| Watcher::open(address, &path));
        stream::iter(opened).buffered(8).try_collect().await
    }

    /// How long changes take to a few consumers of each tier, at the same time.
    async fn delays(&mut self, args: &Args) -> anyhow::Result<Vec<[Duration; 2]>> {
        let mut readers = Vec::new();
        for tier in 0..TIERS {
            let mut reading = JoinSet::new();
            for mut watcher in self.open(tier, FEW).await? {
                let n = args.events;
                reading.spawn(async move { watcher.delays(n, PATIENCE).await });
            }
            readers.push(reading);
        }
        self.changes(args).await?;
        let mut delays = Vec::new();
        for reading in readers {
            let mut all: Vec<Duration> = reading.join_all().await.concat();
            ensure!(all.len() == FEW * args.events, "some events were lost");
            delays.push([at(&mut all, 0.5), at(&mut all, 0.99)]);
        }
        Ok(delays)
    }

    /// All consumers on one tier.
    async fn serve(&mut self, args: &Args, tier: usize) -> anyhow::Result<Tier> {
        let mut reading = JoinSet::new();
        for mut watcher in self.open(tier, args.consumers).await? {
            let n = args.events;
            reading.spawn(async move { watcher.delays(n, PATIENCE).await });
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = self.cpu()?;
        self.changes(args).await?;
        let mut all: Vec<Duration> = reading.join_all().await.concat();
        let used: Vec<Duration> = self
            .cpu()?
            .iter()
            .zip(before)
            .map(|(a, b)| *a - b)
            .collect();
        let n_events = u32::try_from(args.events.max(1))?;
        Ok(Tier {
            cpu_per_event: used[tier] / u32::try_from(all.len().max(1))?,
            cpu_before: used[..tier].iter().sum::<Duration>() / n_events,
            median: at(&mut all, 0.5),
            p99: at(&mut all, 0.99),
            lost: args.consumers * args.events - all.len(),
        })
    }

    fn cpu(&self) -> anyhow::Result<Vec<Duration>> {
        self.tiers.iter().map(|it| it.used()?.cpu()).collect()
    }

    /// Watches of each resource that a tier has, when its only client is the next one.
    async fn watches(&self) -> anyhow::Result<Vec<Vec<(&'static str, u64)>>> {
        // Those of the consumers have ended by then.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut watches = Vec::new();
        for tier in &self.tiers {
            let mut of_tier = Vec::new();
            for resource in ["services", "endpointslices", "endpoints"] {
                of_tier.push((resource, tier.watches(resource).await.unwrap_or_default()));
            }
            watches.push(of_tier);
        }
        Ok(watches)
    }

    /// Resumes at each tier where a watch of the last one ended, and counts the events.
    async fn resume(&mut self) -> anyhow::Result<Vec<usize>> {
        let from = self.revision(TIERS - 1).await?;
        for _ in 0..FEW {
            self.change()?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let path = format!("{SERVICES}?watch=1&resourceVersion={from}");
        let mut events = Vec::new();
        for tier in &self.tiers {
            let mut watcher = Watcher::open(tier.address, &path).await?;
            let delays = watcher.delays(FEW, Duration::from_secs(3)).await;
            events.push(delays.len());
        }
        Ok(events)
    }
}

/// The resource version of the object of an event.
fn revision(event: &[u8]) -> anyhow::Result<String> {
    let event: Value = serde_json::from_slice(event)?;
    let revision = event["object"]["metadata"]["resourceVersion"].as_str();
    let revision = revision.filter(|_| event["type"] != "ERROR");
    revision
        .map(str::to_owned)
        .ok_or_else(|| anyhow::anyhow!("the event is {event}"))
}
