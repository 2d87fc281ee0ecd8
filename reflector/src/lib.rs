//! Makes local objects agree with what the sources export.
//!
//! ```text
//!  source ─▶ feed ┐                                        ┌▶ write ─▶ local API server
//!  source ─▶ feed ┼─▶ controller (World ─plan─▶ Step) ─────┤               │
//!  local  ─▶ feed ┘        ▲                               └▶ report       │
//!                          └───────────── answers, and the local feed ─────┘
//! ```
//!
//! | module | does |
//! |---|---|
//! | [`config`] | flags and file become a checked [`Config`] |
//! | [`compat`] | the flags and files of the predecessors |
//! | `ca_fetcher` | authorities that are fetched |
//! | `watch_target` | follows one resource of one cluster, and decodes it |
//! | `informers` | which clusters are followed now |
//! | `identity` | which cluster a source is, and that it stays that one |
//! | `reload` | change of the configuration at run time |
//! | `config_map` | reads a key of a ConfigMap repeatedly |
//! | `source_objects` | sources that are objects of the local cluster, and their status |
//! | `clusterset` | the Multi-Cluster Services API |
//! | `controller` | owns the index: takes in, plans, has written |
//! | `queue` | fair turns, one at a time per key, backoff |
//! | `write` | sends steps to the local API server |
//! | `leader_election` | leader election |
//! | `pins` | the record of which cluster each source is |
//! | `local_ranges` | CIDRs of the local cluster, which no source may name |
//! | `report` | log, metrics, readiness |
//! | `events` | problems as Kubernetes Events |
//! | [`status`], `admin` | `/status`, `/explain`, and their texts |
//! | `admin_client` | the subcommands that query a running reflector |
//! | `preview` | what a configuration would make, without a write |
//!
//! What should exist is decided in `reflector-planner` alone.

mod admin;
mod admin_client;
mod ca_fetcher;
mod clusterset;
pub mod compat;
pub mod config;
mod config_map;
mod controller;
mod events;
pub mod explained;
mod former_namespace;
mod identity;
mod informers;
mod leader_election;
mod local_ranges;
mod metrics;
mod page;
mod pins;
#[cfg(test)]
mod planted;
mod preview;
mod queries;
mod queue;
mod reload;
mod report;
mod source_objects;
pub mod status;
mod sweep;
mod watch_target;
mod write;

use std::process::ExitCode;

use runtime::admin::Guard;
use runtime::{Network, Readiness, Tasks};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::info;

use compat::CommandLine;
use config::{Command, EffectiveConfig, RecordKey};
use config_map::ConfigMapText;
use controller::{Controller, Parts};
use informers::Informers;
use leader_election::{Elector, Leadership};
use local_ranges::{LocalRanges, Ranges};
use metrics::Metrics;
use pins::Pins;
use queries::QueryChannels;
use reload::{Further, Reloader};
use source_objects::SourceObjects;
use write::Writer;

pub use config::{Config, SourceConfig};
pub use local_ranges::{node_ranges, service_cidrs};

/// Sender of the configuration of the clusterset.
type ClusterSetSender = tokio::sync::watch::Sender<clusterset::Configuration>;

pub(crate) const USER_AGENT: &str = concat!("heliograph-reflector/", env!("CARGO_PKG_VERSION"));

/// Exit code of `reflector status --exit-code` where there is a problem.
const PROBLEMS: u8 = 2;

/// Runs the command.
pub async fn main(line: CommandLine) -> anyhow::Result<ExitCode> {
    let mut args = line.read()?;
    runtime::log::init(args.log_format, &args.log_level);
    let done = match args.command.take() {
        None => {
            let config = Config::try_from(args)?;
            let shutdown = runtime::shutdown::on_signal()?;
            reflect(Network::System, config, Some(line), shutdown).await
        }
        Some(Command::Plan {
            explain,
            local_objects,
            source_objects,
            output,
        }) => {
            let objects = (local_objects, source_objects.as_slice());
            return preview::print((&line, args), objects, (explain, output)).await;
        }
        Some(Command::Config { schema: true, .. }) => admin_client::print_json(&config::schema()),
        Some(Command::Config { output, .. }) => {
            admin_client::print(&EffectiveConfig::from(&Config::try_from(args)?), output)
        }
        Some(Command::Status {
            server,
            wait,
            exit_code,
            output,
        }) => {
            let place = admin_client::AdminAddress::new(server, args.listen, args.admin_token_file);
            let status = match wait {
                Some(limit) => admin_client::synced(&place, limit).await?,
                None => admin_client::status(&place).await?,
            };
            admin_client::print(&status, output)?;
            let code = if exit_code && !status.is_well() {
                PROBLEMS
            } else {
                0
            };
            return Ok(ExitCode::from(code));
        }
        Some(Command::Explain {
            service,
            namespace,
            server,
            output,
        }) => {
            let service = config::service(&service, namespace.as_ref());
            let service = service.map_err(anyhow::Error::msg)?;
            let place = admin_client::AdminAddress::new(server, args.listen, args.admin_token_file);
            admin_client::print_all(&admin_client::explain(&place, &service).await?, output)
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Reflects until `shutdown`, or until any task fails, which none should.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    reflect(Network::System, config, None, shutdown).await
}

/// Runs the command line on that network, as [`main`] does on the system's.
pub async fn run_on(
    network: Network,
    line: CommandLine,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let config = Config::try_from(line.read()?)?;
    reflect(network, config, Some(line), shutdown).await
}

/// The same; the files of the command line are read again when they change.
async fn reflect(
    network: Network,
    config: Config,
    line: Option<CommandLine>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let listener = network.listen(config.listen, "--admin-bind-address")?;
    let (metrics, registry) = Metrics::registered(config.semaphore_metrics);
    let local = network.connect(&config.local, USER_AGENT).await?;
    let local = metrics.counting(local, "local".to_owned(), &config.local);
    let local = local.await;
    let mut tasks = Tasks::new(shutdown.clone());
    let (config, further) = tokio::select! {
        whole = with_further(config, line.as_ref(), &local, &mut tasks) => whole?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let readiness = Readiness::default();
    let (questions, asked, asked_of_set) = QueryChannels::new(config.cluster_set.is_some());
    let (registry, stop) = (metrics.shown(registry), shutdown.clone());
    let guard = Guard::new(config.admin_token_file.clone()).with_reviews(local.clone());
    let router = admin::router(readiness.clone(), registry, questions.clone(), guard, stop);

    let opened = reload::open(&network, config.sources.clone());
    let (opened, found) = tokio::join!(opened, former_namespace::at_start(&config, &local));
    let opened = opened?;
    let quiet = CancellationToken::new();
    let leadership = elect(&config, (&local, &readiness), &quiet, &mut tasks);
    let (client, leads) = (local.clone(), leadership.clone());
    let writer = Writer::new(client, metrics.clone(), leads, config.habits);
    let (announcer, announcements) = announcements(&writer, config.record.clone());
    let pins = pins::keep(&config, &local, &leadership, &mut tasks);
    let local_ranges = local_ranges_of(&config, &local, &mut tasks);
    let ways = (&network, &pins, (&writer, &announcer), &local_ranges);
    let cluster_set = clusterset_of(ways, (&config, asked_of_set), &mut tasks);
    publish_sources(&config, &further, (&writer, &questions), &mut tasks);
    let parts = (further, cluster_set);
    let reloads = line.map(|line| reloads_of((network, line), &config, parts, &mut tasks));
    let (n_sources, notes) = (opened.len(), config.warnings());
    let controller = Controller::new(Parts {
        local_namespace: config.local_namespace().cloned(),
        policy: config.policy,
        notes,
        found,
        opened,
        following: Informers::new(local.clone(), config.global, metrics.clone(), pins),
        local_ranges,
        reloads,
        questions: asked,
        writer,
        announcer,
        metrics,
        readiness,
        sweeps: config.habits.sweeps,
    });
    let listen = listener.address()?;
    info!(local = %config.local, n_sources, %listen, "reflecting");
    tasks.spawn("announcements", announcements.run(shutdown.clone()));
    let control = controller.run(shutdown.clone());
    tasks.spawn("controller", async move {
        let ended = control.await;
        quiet.cancel();
        ended
    });
    tasks.spawn("admin", listener.serve(router, shutdown));
    Ok(tasks.run().await?)
}

/// Announces problems as Events, as long as the writer may write.
fn announcements(
    writer: &Writer,
    record: Option<RecordKey>,
) -> (events::EventRecorder, events::EventWriter) {
    let Writer {
        client,
        metrics,
        leadership,
        ..
    } = writer.clone();
    events::announcements(client, (instance(), record), leadership, metrics)
}

/// Writes what is known of objects that are sources, where these are read.
fn publish_sources(
    config: &Config,
    further: &Further,
    (writer, questions): (&Writer, &QueryChannels),
    tasks: &mut Tasks,
) {
    for objects in &further.objects {
        let parts = (writer.clone(), questions.clone());
        objects.publish(config.record.clone(), parts, tasks);
    }
}

/// Adds the sources of a ConfigMap and of objects, if they are configured.
async fn with_further(
    config: Config,
    line: Option<&CommandLine>,
    client: &kube::Client,
    tasks: &mut Tasks,
) -> anyhow::Result<(Config, Further)> {
    let mut further = Further::default();
    let Some(line) = line else {
        return Ok((config, further));
    };
    if config.config_map.is_none() && config.object_places.is_empty() {
        return Ok((config, further));
    }
    for place in config.object_places {
        let place = (place, config.record.clone());
        let objects = SourceObjects::start(client.clone(), place, tasks);
        further.objects.push(objects.await);
    }
    let mut text = config
        .config_map
        .map(|key| ConfigMapText::new(client.clone(), key));
    if let Some(text) = &mut text {
        text.at_start().await;
    }
    let said = text.as_ref().and_then(|it| it.text.as_ref());
    let config = reload::read(line, said, &mut further.objects)?;
    for objects in &mut further.objects {
        objects.decided(&config.verdicts);
    }
    further.config_map = text;
    Ok((config, further))
}

/// Prints the error that ends the program to standard error, with all causes.
pub fn complain(error: &anyhow::Error) {
    let text = runtime::reasons(error.as_ref());
    eprintln!("reflector: {}", proto_types::escape::lines(&text));
}

/// Returns the name of this process among its replicas: in a pod, the name of the pod.
fn instance() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "reflector" } else { name }.to_owned()
}

/// Reads the configuration again when it changes.
fn reloads_of(
    (network, line): (Network, CommandLine),
    config: &Config,
    parts: (Further, Option<ClusterSetSender>),
    tasks: &mut Tasks,
) -> mpsc::Receiver<reload::Reload> {
    let (reloader, reloads) = Reloader::new(network, line, config, parts);
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("configuration", reloader.run(shutdown));
    reloads
}

/// Runs the clusterset, where there is one.
fn clusterset_of(
    (network, pins, (writer, announcer), local_ranges): (
        &Network,
        &Pins,
        (&Writer, &events::EventRecorder),
        &Option<Ranges>,
    ),
    (config, questions): (&Config, mpsc::Receiver<clusterset::Question>),
    tasks: &mut Tasks,
) -> Option<ClusterSetSender> {
    let sender = clusterset::configuration(config)?;
    let (pins, writer) = (pins.clone(), writer.clone());
    let parts = (network.clone(), pins, writer, announcer.clone());
    let asked = (sender.subscribe(), questions);
    let shutdown = tasks.shutdown().clone();
    let run = clusterset::run(parts, asked, local_ranges.clone(), shutdown);
    tasks.spawn("clusterset", run);
    Some(sender)
}

/// Reads the CIDRs of the local cluster, unless they are not wanted.
fn local_ranges_of(config: &Config, client: &kube::Client, tasks: &mut Tasks) -> Option<Ranges> {
    if !config.learns_local_ranges {
        return None;
    }
    let (reader, ranges) = LocalRanges::new(client.clone());
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("local ranges", async move {
        reader.run(shutdown).await;
        Ok::<(), std::convert::Infallible>(())
    });
    Some(ranges)
}

/// Takes part in the election, where there is one.
fn elect(
    config: &Config,
    (client, readiness): (&kube::Client, &Readiness),
    quiet: &CancellationToken,
    tasks: &mut Tasks,
) -> Leadership {
    let Some(election) = &config.election else {
        return Leadership::always();
    };
    let answered = readiness.flag(
        "leader election",
        "the Lease is neither read nor written yet",
    );
    let (elector, leadership) = Elector::new(client.clone(), election, &instance(), answered);
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("election", elector.run(shutdown, quiet.clone()));
    leadership
}
