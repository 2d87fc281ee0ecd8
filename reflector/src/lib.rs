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
//! | [`compat`] | the flags and files of the replaced programs |
//! | `authority` | authorities that are fetched |
//! | `feed` | follows one resource of one cluster, and decodes it |
//! | `controller` | owns the world: takes in, plans, has written |
//! | `queue` | fair turns, one at a time per key, backoff |
//! | `write` | sends steps to the local API server |
//! | `lease` | who writes, where several processes could |
//! | `report` | log, metrics, readiness |
//! | `announce` | problems as Kubernetes Events |
//! | [`status`], `admin` | `/status`, `/explain`, and their texts |
//! | `ask` | the subcommands that ask a running reflector |
//!
//! What should exist is decided in `reflector-planner` alone.

mod admin;
mod announce;
mod ask;
mod authority;
pub mod compat;
pub mod config;
mod controller;
mod feed;
mod lease;
mod metrics;
mod queue;
mod report;
pub mod status;
mod write;

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context;
use runtime::{Limits, Reader, Readiness, Scope, Tasks};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::info;

use authority::Authority;
use config::{Args, Command, Kind, Shown};
use controller::{Controller, Parts};
use feed::{Feed, News, Way};
use lease::{Elector, Leadership};
use metrics::Metrics;
use write::Writer;

pub use config::{Config, SourceConfig};

pub(crate) const USER_AGENT: &str = concat!("heliograph-reflector/", env!("CARGO_PKG_VERSION"));

/// Where a controller finds what a feed heard.
type Heard = mpsc::Receiver<News>;

/// Does what the flags ask for.
pub async fn main(mut args: Args) -> anyhow::Result<()> {
    runtime::log::init(args.log_format, &args.log_level);
    match args.command.take() {
        None => run(Config::try_from(args)?, runtime::shutdown::on_signal()?).await,
        Some(Command::Config { output }) => {
            ask::print(&Shown::from(&Config::try_from(args)?), output)
        }
        Some(Command::Status { server, output }) => ask::print(&ask::status(server).await?, output),
        Some(Command::Explain {
            kind: Kind::Svc,
            service,
            server,
            output,
        }) => ask::print_all(&ask::explain(server, &service).await?, output),
    }
}

/// Reflects until `shutdown`, or until any task fails, which none should.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = runtime::listen::bind(config.listen, "--listen").await?;
    let local = runtime::connect(&config.local, USER_AGENT).await?;
    let readiness = Readiness::default();
    let (metrics, registry) = Metrics::registered();
    let (questions, asked) = mpsc::channel(1);
    let router = admin::router(readiness.clone(), Arc::new(registry), questions);

    let mut tasks = Tasks::new(shutdown.clone());
    let ways = connect(&config.sources, &mut tasks).await?;
    let mut feeds = follow_local(&config, &local, &mut tasks);
    for (source, way) in config.sources.iter().zip(&ways) {
        feeds.extend(follow_source(source, way, &mut tasks));
        if source.joins {
            feeds.extend(follow_members(&config, source, way, &mut tasks));
        }
    }
    let quiet = CancellationToken::new();
    let leadership = elect(&config, &local, &quiet, &mut tasks);
    let (announcer, announcements) = announce::announcements(
        local.clone(),
        instance(),
        leadership.clone(),
        metrics.clone(),
    );
    let controller = Controller::new(Parts {
        policy: config.policy,
        feeds,
        questions: asked,
        writer: Writer {
            client: local,
            metrics: metrics.clone(),
            leadership,
        },
        announcer,
        metrics,
        readiness,
    });
    let listen = listener.local_addr()?;
    let n_sources = config.sources.len();
    info!(local = %config.local, n_sources, %listen, "reflecting");
    tasks.spawn("announcements", announcements.run(shutdown.clone()));
    let control = controller.run(shutdown.clone());
    tasks.spawn("controller", async move {
        let ended = control.await;
        quiet.cancel();
        ended
    });
    tasks.spawn("admin", runtime::admin::serve(listener, router, shutdown));
    Ok(tasks.run().await?)
}

/// Says why the program cannot go on, on standard error, with all reasons.
pub fn complain(error: &anyhow::Error) {
    eprintln!("reflector: {error:#}");
}

/// What this process is called among others: in a pod, the pod's name.
fn instance() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "reflector" } else { name }.to_owned()
}

/// Takes part in the election, where there is one.
fn elect(
    config: &Config,
    client: &kube::Client,
    quiet: &CancellationToken,
    tasks: &mut Tasks,
) -> Leadership {
    let Some(election) = &config.election else {
        return Leadership::always();
    };
    let (elector, leadership) = Elector::new(client.clone(), election, &instance());
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("election", elector.run(shutdown, quiet.clone()));
    leadership
}

fn follow_local(config: &Config, client: &kube::Client, tasks: &mut Tasks) -> Vec<Heard> {
    let feeds = [Feed::LocalServices, Feed::LocalSlices].map(|feed| {
        let scope = Scope {
            resource: feed.resource(),
            namespace: config.local_namespace().map(ToString::to_string),
            selector: config.our_selector(feed.resource()),
        };
        follow(feed, Way::Open(client.clone()), scope, tasks)
    });
    let Some(global) = &config.global else {
        return feeds.into();
    };
    let cluster = &global.cluster;
    let own = [
        Feed::MemberServices(cluster.clone()),
        Feed::MemberSlices(cluster.clone()),
    ];
    let own = own.map(|feed| {
        let scope = Scope {
            resource: feed.resource(),
            namespace: None,
            selector: global.full_selector(),
        };
        follow(feed, Way::Open(client.clone()), scope, tasks)
    });
    feeds.into_iter().chain(own).collect()
}

/// Those of a source's Services that join global ones, with their slices.
fn follow_members(
    config: &Config,
    source: &SourceConfig,
    way: &Way,
    tasks: &mut Tasks,
) -> Vec<Heard> {
    let Some(global) = &config.global else {
        return Vec::new();
    };
    let name = &source.name;
    let feeds = [
        Feed::MemberServices(name.clone()),
        Feed::MemberSlices(name.clone()),
    ];
    let feeds = feeds.map(|feed| {
        let scope = Scope {
            resource: feed.resource(),
            namespace: source.namespace.as_ref().map(ToString::to_string),
            selector: global.full_selector(),
        };
        follow(feed, way.clone(), scope, tasks)
    });
    feeds.into()
}

/// An EndpointSlice carries its Service's labels, so that one selector fits both.
fn follow_source(source: &SourceConfig, way: &Way, tasks: &mut Tasks) -> Vec<Heard> {
    let name = &source.name;
    if !source.mirrors {
        return Vec::new();
    }
    let feeds = [Feed::Services(name.clone()), Feed::Slices(name.clone())].map(|feed| {
        let scope = Scope {
            resource: feed.resource(),
            namespace: source.namespace.as_ref().map(ToString::to_string),
            selector: source.full_selector(),
        };
        follow(feed, way.clone(), scope, tasks)
    });
    feeds.into()
}

fn follow(feed: Feed, way: Way, scope: Scope, tasks: &mut Tasks) -> Heard {
    let (sender, receiver) = Feed::channel();
    let name = feed.to_string();
    tasks.spawn(name, async {
        if let Some(client) = way.open(&feed, &sender).await {
            let reader = Reader::new(client, scope, Limits::default());
            feed.follow(reader, sender).await;
        }
        Ok::<(), Infallible>(())
    });
    receiver
}

/// The ways to all sources, side by side: a credential plugin may take its time.
async fn connect(sources: &[SourceConfig], tasks: &mut Tasks) -> anyhow::Result<Vec<Way>> {
    let has_authority = sources.iter().any(|it| it.ca_url.is_some());
    let directory = has_authority.then(authority::directory).transpose()?;
    let fetched = sources.iter().map(|source| {
        let directory = directory.as_ref()?;
        let file = directory.path().join(format!("{}.pem", source.name));
        let url = source.ca_url.clone()?;
        let (authority, progress) = Authority::new(url, file.clone(), Arc::clone(directory));
        let name = format!("authority of source {}", source.name);
        tasks.spawn(name, authority.run(tasks.shutdown().clone()));
        Some((source.access_by(file), progress))
    });
    let fetched: Vec<_> = fetched.collect();
    let ways = sources.iter().zip(fetched).map(async |(source, fetched)| {
        if let Some((access, progress)) = fetched {
            return Ok(Way::Waiting { access, progress });
        }
        let client = runtime::connect(&source.access, USER_AGENT).await;
        let client = client.with_context(|| format!("source {}", source.name))?;
        Ok(Way::Open(client))
    });
    futures::future::try_join_all(ways).await
}
