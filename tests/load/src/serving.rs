//! An emitter beside the kube-apiserver that it follows, under the same consumers and
//! the same churn, TLS on both; and a bare socket writer as the floor.
//!
//! | module | holds |
//! |---|---|
//! | `coded` | a rolling update in each content coding of a watch |
//! | `consumer` | a watch over TLS that only counts and clocks |
//! | `bare` | the floor: sends what it is told to everybody who connected |
//! | `hostile` | well-behaved watchers beside clients that are in the way |
//! | `setup` | who serves, and how |
//! | `rig` | the servers, and what happens to them |
//! | `lists` | everything, again and again |
//! | `storm` | all consumers come back at once |
//! | `print` | tables |

mod bare;
pub(crate) mod coded;
mod consumer;
pub(crate) mod hostile;
mod lists;
mod print;
mod rig;
mod setup;
mod storm;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use consumer::{delay, now};
use lists::{Coding, Listed};
use rig::{Measured, Rig};
use setup::{Server, Setup};

/// How much there is to serve.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many watchers each server has
    #[arg(long, default_value_t = 1000)]
    watchers: usize,

    /// How many changes are made
    #[arg(long, default_value_t = 200)]
    events: usize,

    /// How many changes a second
    #[arg(long, default_value_t = 20)]
    rate: u32,

    /// How many Services a list has
    #[arg(long, default_value_t = 10_000)]
    services: usize,

    #[command(flatten)]
    setup: Setup,

    /// For how long lists are asked of each server, one after another, in seconds
    #[arg(long, default_value_t = 10)]
    list_seconds: u64,
}

/// Where the floor listens, and as whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Bare {
    address: SocketAddr,
    cert: PathBuf,
    key: PathBuf,
    streams: usize,
}

impl Bare {
    pub(crate) async fn serve(&self) -> anyhow::Result<()> {
        bare::serve(self.address, (&self.cert, &self.key), self.streams).await
    }
}

/// Measures watches, then a storm, then lists, and prints all.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let rig = Rig::start(&args.setup).await?;
    let watched = watches(&rig, args).await?;
    print::watched(args, &watched);
    let mut storms = Vec::new();
    for server in rig.direct() {
        eprintln!("all consumers of the {} come back", server.name());
        storms.push(storm::measure(&rig, server, args.watchers).await?);
    }
    print::storms(&storms);
    print::listed(&lists(&rig, args).await?);
    Ok(())
}

/// How many consumers come back.
#[derive(Debug, clap::Args)]
pub(crate) struct StormArgs {
    /// How many consumers each server has
    #[arg(long, default_value_t = 10_000)]
    watchers: usize,

    /// How many consumers the kube-apiserver has; as many as the emitter if absent
    #[arg(long)]
    apiserver_watchers: Option<usize>,

    #[command(flatten)]
    setup: Setup,
}

/// Measures a storm alone.
pub(crate) async fn storm(args: &StormArgs) -> anyhow::Result<()> {
    let rig = Rig::start(&args.setup).await?;
    let mut storms = Vec::new();
    for server in rig.direct() {
        let n = match server {
            Server::Apiserver => args.apiserver_watchers.unwrap_or(args.watchers),
            _ => args.watchers,
        };
        eprintln!("{n} consumers of the {} come back", server.name());
        storms.push(storm::measure(&rig, server, n).await?);
    }
    print::storms(&storms);
    Ok(())
}

async fn watches(rig: &Rig, args: &Args) -> anyhow::Result<Vec<Measured>> {
    eprintln!("opening {} watches to each server", args.watchers);
    let mut watches = Vec::new();
    for server in rig.servers() {
        watches.push(rig.watch(server, args.watchers, args.events).await?);
    }
    eprintln!("making {} changes, {} a second", args.events, args.rate);
    let interval = Duration::from_secs(1) / args.rate.max(1);
    rig.churn(args.events, interval).await?;
    let mut measured = Vec::new();
    for watch in watches {
        measured.push(watch.finish(args.events).await?);
    }
    Ok(measured)
}

async fn lists(rig: &Rig, args: &Args) -> anyhow::Result<Vec<Listed>> {
    eprintln!("creating {} Services", args.services);
    rig.fill(args.services).await?;
    let span = Duration::from_secs(args.list_seconds);
    let mut listed = Vec::new();
    for coding in [Coding::Plain, Coding::Gzip] {
        for server in rig.direct() {
            listed.push(lists::measure(rig, server, coding, span).await?);
        }
    }
    Ok(listed)
}
