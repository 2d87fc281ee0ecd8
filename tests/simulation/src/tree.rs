//! Many clusters that read the exports of a few: directly, through a relay in each region, or
//! through two tiers of relays. The model of the page about large fleets, run.
//!
//! Emitters and relays are the programs. A cluster that reads is the reader of a reflector without
//! the rest of it: one watch of Services and one of EndpointSlices for each source.

mod objects;
mod reader;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use embedded_cluster::{EmbeddedCluster, Options};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::objects::{service, slice};
use self::reader::{Reader, State};
use crate::entropy;
use crate::network::{Net, Node, PORT, Traffic};
use crate::oracle::Oracle;
use crate::plan::api;
use crate::program::Program;
use crate::sabotage::Sabotage;
use crate::settings::{NAMESPACE, Settings};
use crate::trace::Trace;

/// Way from a source to the clusters that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Topology {
    /// Each cluster follows each source.
    Direct,
    /// A relay of each source in each region.
    Relay,
    /// Relays behind the relay of each region.
    Tree,
}

/// Size of a fleet, and what happens there.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Size {
    /// Way from a source to the clusters that read it
    #[arg(long, value_enum, default_value = "relay")]
    pub topology: Topology,
    /// Clusters that read all sources
    #[arg(long, default_value_t = 1000)]
    pub clusters: usize,
    /// Clusters that export
    #[arg(long, default_value_t = 10)]
    pub sources: usize,
    /// Regions, over which sources and clusters are distributed evenly
    #[arg(long, default_value_t = 10)]
    pub regions: usize,
    /// With tree: relays of each source behind the relay of a region
    #[arg(long, default_value_t = 10)]
    pub relays: usize,
    /// Services of a source, each with a slice
    #[arg(long, default_value_t = 100)]
    pub services: usize,
    /// Endpoints of a slice
    #[arg(long, default_value_t = 20)]
    pub endpoints: usize,
    /// Changes of a source in a second, of one endpoint each
    #[arg(long, default_value_t = 0.14)]
    pub rate: f64,
    /// Minutes that are counted
    #[arg(long, default_value_t = 10)]
    pub minutes: u64,
}

/// Traffic of the links, and delays of the changes.
#[derive(Debug)]
pub struct Measured {
    /// Links between regions, and what they carried.
    pub between: Sum,
    /// Links within regions.
    pub within: Sum,
    /// Readers of one source, at most, with relays among them.
    pub readers_of_a_source: usize,
    /// Number of changes.
    pub n_changes: u64,
    /// Time from each change until each cluster had it, in order.
    pub delays: Vec<Duration>,
    /// Lists that clusters needed after their first ones.
    pub n_lists: u64,
    /// Time from the start until all clusters had everything.
    pub synced: Duration,
}

/// Sum of several links.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    /// Number of links.
    pub n_links: usize,
    /// Bytes of answers.
    pub n_bytes: u64,
    /// Requests.
    pub n_requests: u64,
}

/// Milliseconds that something takes between two regions, at least and at most.
const BETWEEN_REGIONS: (u64, u64) = (30, 40);

/// For all clusters to have everything.
const PATIENCE: Duration = Duration::from_secs(600);

struct Running {
    size: Size,
    net: Arc<Net>,
    clusters: Vec<Arc<EmbeddedCluster>>,
    regions: BTreeMap<Node, usize>,
    programs: Vec<Program>,
    states: Vec<Vec<Arc<State>>>,
    readers: JoinSet<()>,
}

/// Runs a fleet, and counts what its links carry.
///
/// # Errors
///
/// Fails if a cluster does not get what its sources have.
pub fn run(size: &Size) -> anyhow::Result<Measured> {
    entropy::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(simulate(size))
}

async fn simulate(size: &Size) -> anyhow::Result<Measured> {
    entropy::start_clock();
    let mut running = Running::start(size)?;
    let began = Instant::now();
    running.synced().await?;
    let synced = began.elapsed();
    // Bookmarks and checks of the start are not what is counted.
    sleep(Duration::from_secs(60)).await;
    let n_lists = running.n_lists();
    running.net.meter().start();
    let n_changes = running.change().await?;
    let traffic = running.net.meter().traffic();
    running.synced().await?;
    let mut delays: Vec<Duration> = running.all().flat_map(|it| it.delays()).collect();
    delays.sort_unstable();
    entropy::stop_clock();
    Ok(Measured {
        between: running.sum(&traffic, true),
        within: running.sum(&traffic, false),
        readers_of_a_source: running.readers_of_a_source(&traffic),
        n_changes,
        delays,
        n_lists: running.n_lists() - n_lists,
        synced,
    })
}

impl Running {
    fn start(size: &Size) -> anyhow::Result<Self> {
        let trace = Arc::new(Trace::new(false));
        let oracle = Arc::new(Oracle::new(Arc::clone(&trace), Settings::default()));
        let mut running = Self {
            size: *size,
            net: Net::new(1, Sabotage::default(), oracle, trace),
            clusters: Vec::new(),
            regions: BTreeMap::new(),
            programs: Vec::new(),
            states: Vec::new(),
            readers: JoinSet::new(),
        };
        for source in 0..size.sources {
            running.source(source)?;
        }
        for cluster in 0..size.clusters {
            running.cluster(cluster);
        }
        Ok(running)
    }

    /// Starts a cluster that exports, its emitter, and the relays of it.
    fn source(&mut self, source: usize) -> anyhow::Result<()> {
        let size = self.size;
        let options = Options {
            namespaces: vec![NAMESPACE.to_owned()],
            ..Options::named(&format!("source-{source}"))
        };
        let cluster = Arc::new(EmbeddedCluster::within(options)?);
        for n in 0..size.services {
            put(&cluster, service(n))?;
            put(&cluster, slice(n, size.endpoints, 0))?;
        }
        let server = api(&format!("source-{source}"));
        self.net.listen(&server, PORT, cluster.router());
        self.net.host(&server, vec![Arc::clone(&server)]);
        self.clusters.push(cluster);
        let home = source % size.regions;
        let emitter: Node = format!("emitter-{source}").into();
        self.net.home(&emitter, &server);
        self.emitter(&emitter, home, None);
        if size.topology == Topology::Direct {
            return Ok(());
        }
        for region in 0..size.regions {
            let relay: Node = format!("relay-{region}-{source}").into();
            self.emitter(&relay, region, Some(&emitter));
            let n_behind = match size.topology {
                Topology::Tree => size.relays,
                Topology::Direct | Topology::Relay => 0,
            };
            for i in 0..n_behind {
                let behind: Node = format!("relay-{region}-{source}-{i}").into();
                self.emitter(&behind, region, Some(&relay));
            }
        }
        Ok(())
    }

    fn emitter(&mut self, node: &Node, region: usize, upstream: Option<&Node>) {
        let upstream_url = upstream.map(|it| format!("--upstream-url=http://{it}"));
        self.net.host(node, vec![Arc::clone(node)]);
        self.regions.insert(Arc::clone(node), region);
        if let Some(upstream) = upstream {
            self.connect(node, upstream);
        }
        let mut program = Program::emitter(node, &self.net, upstream_url.as_deref());
        program.start();
        self.programs.push(program);
    }

    /// Starts a cluster that reads all sources.
    fn cluster(&mut self, cluster: usize) {
        let size = self.size;
        let node: Node = format!("cluster-{cluster}").into();
        let region = cluster % size.regions;
        self.regions.insert(Arc::clone(&node), region);
        let mut states = Vec::new();
        for source in 0..size.sources {
            let server: Node = match size.topology {
                Topology::Direct => format!("emitter-{source}"),
                Topology::Relay => format!("relay-{region}-{source}"),
                Topology::Tree => {
                    let behind = cluster / size.regions % size.relays;
                    format!("relay-{region}-{source}-{behind}")
                }
            }
            .into();
            self.connect(&node, &server);
            let client = self.net.client(&node, Some(server.to_string()), "reader");
            let state = Arc::new(State::default());
            for reader in Reader::of(&client, &state) {
                self.readers.spawn(reader.run());
            }
            states.push(state);
        }
        self.states.push(states);
    }

    fn connect(&self, client: &Node, server: &Node) {
        if self.regions.get(client) != self.regions.get(server) {
            self.net.delay((client, server), BETWEEN_REGIONS);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<State>> {
        self.states.iter().flatten()
    }

    fn n_lists(&self) -> u64 {
        self.all().map(|it| it.n_lists()).sum()
    }

    /// Returns when each cluster has exactly what its sources have.
    async fn synced(&self) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        let truths: Vec<_> = self.clusters.iter().map(|it| reader::truth(it)).collect();
        loop {
            let mut behind = self.states.iter().enumerate().filter(|(_, states)| {
                !states
                    .iter()
                    .zip(&truths)
                    .all(|(state, truth)| state.holds(truth))
            });
            let Some((cluster, _)) = behind.next() else {
                return Ok(());
            };
            ensure!(
                Instant::now() < end,
                "cluster {cluster} does not have what its sources have: {:?}",
                self.states[cluster]
                    .first()
                    .map(|it| it.difference(&truths[0]))
            );
            drop(behind);
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Changes endpoints for the time that is counted.
    async fn change(&mut self) -> anyhow::Result<u64> {
        let size = self.size;
        let begin = Instant::now();
        let end = begin + Duration::from_secs(60 * size.minutes);
        let every = Duration::from_secs_f64(1.0 / (size.rate * size.sources as f64));
        let mut n_changes = 0;
        let mut due = begin + every;
        while due < end {
            sleep_until(due).await;
            n_changes += 1;
            // A rolling update: 40 changes of one Service, and then of the next one.
            let (source, turn) = (n_changes % size.sources, n_changes / size.sources);
            let (service, number) = (turn / 40 % size.services, turn + 1);
            let changed = slice(service, size.endpoints, number);
            for states in &self.states {
                states[source].expect(number, Instant::now());
            }
            put(&self.clusters[source], changed)?;
            due += every;
        }
        sleep_until(end).await;
        Ok(n_changes as u64)
    }

    fn sum(&self, traffic: &BTreeMap<(Node, Node), Traffic>, is_between: bool) -> Sum {
        let mut sum = Sum::default();
        for ((client, server), it) in traffic {
            let (Some(client), Some(server)) = (self.regions.get(client), self.regions.get(server))
            else {
                // Of an emitter to its own API server.
                continue;
            };
            if (client != server) == is_between {
                sum.n_links += 1;
                sum.n_bytes += it.n_bytes;
                sum.n_requests += it.n_requests;
            }
        }
        sum
    }

    fn readers_of_a_source(&self, traffic: &BTreeMap<(Node, Node), Traffic>) -> usize {
        let of = |source| {
            let emitter: Node = format!("emitter-{source}").into();
            traffic
                .keys()
                .filter(|(_, server)| *server == emitter)
                .count()
        };
        (0..self.size.sources).map(of).max().unwrap_or_default()
    }
}

fn put(cluster: &EmbeddedCluster, object: Value) -> anyhow::Result<()> {
    let put = cluster.put(object);
    put.map_err(|status| anyhow::anyhow!("{}", status.message))
}
