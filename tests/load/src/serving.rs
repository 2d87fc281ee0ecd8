//! An emitter beside the kube-apiserver that it follows, under the same consumers and
//! the same churn, TLS on both; and a bare socket writer as the floor.
//!
//! | module | holds |
//! |---|---|
//! | `consumer` | a watch over TLS that only counts and clocks |
//! | `bare` | the floor: sends what it is told to everybody who connected |
//! | `hostile` | well-behaved watchers beside clients that are in the way |
//! | `rig` | the three servers, and what happens to them |

mod bare;
mod consumer;
pub(crate) mod hostile;
mod rig;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use rig::{Measured, Rig, Server};

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
    #[arg(long, default_value_t = 5000)]
    services: usize,

    /// Watch over HTTP/2, with so many watches on each connection
    #[arg(long, value_name = "STREAMS")]
    http2: Option<NonZeroUsize>,

    /// Passed on to the emitter
    #[arg(long, value_name = "DURATION")]
    max_gather: Option<String>,

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

/// Measures watches, then lists, and prints both.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let rig = Rig::start(args.http2, args.max_gather.as_deref()).await?;
    let watched = watches(&rig, args).await?;
    let listed = lists(&rig, args).await?;
    print(args, &watched, &listed);
    Ok(())
}
async fn watches(rig: &Rig, args: &Args) -> anyhow::Result<Vec<Measured>> {
    eprintln!("opening {} watches to each of three servers", args.watchers);
    let mut watches = Vec::new();
    for server in Server::ALL {
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

async fn lists(rig: &Rig, args: &Args) -> anyhow::Result<Vec<(Server, f64, usize)>> {
    eprintln!("creating {} Services", args.services);
    rig.fill(args.services).await?;
    let mut listed = Vec::new();
    for server in [Server::Apiserver, Server::Emitter] {
        let span = Duration::from_secs(args.list_seconds);
        let (lists, bytes) = rig.list(server, span).await?;
        listed.push((server, lists, bytes));
    }
    Ok(listed)
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(args: &Args, watched: &[Measured], listed: &[(Server, f64, usize)]) {
    let protocol = match args.http2 {
        Some(streams) => format!("HTTP/2 with {streams} watches on each connection"),
        None => "HTTP/1.1".into(),
    };
    println!(
        "{} watchers of each server, {} events to each watcher, TLS 1.3, {protocol}",
        args.watchers, args.events
    );
    println!(
        "{:<16} {:>14} {:>16} {:>10} {:>10} {:>10}",
        "server", "CPU/event us", "memory/watcher", "p50 ms", "p99 ms", "lost"
    );
    for it in watched {
        println!(
            "{:<16} {:>14.2} {:>12.1} KiB {:>10.1} {:>10.1} {:>10}",
            it.server.name(),
            it.cpu_per_event.as_secs_f64() * 1e6,
            it.memory_per_watcher / 1024.0,
            it.median.as_secs_f64() * 1e3,
            it.p99.as_secs_f64() * 1e3,
            it.lost
        );
    }
    for (server, per_second, bytes) in listed {
        let megabytes = *bytes as f64 / 1e6;
        println!(
            "{:<16} {per_second:>8.1} lists of {megabytes:.2} MB a CPU second",
            server.name()
        );
    }
    if let [apiserver, emitter, _] = watched {
        let cpu = apiserver.cpu_per_event.as_secs_f64() / emitter.cpu_per_event.as_secs_f64();
        let memory = apiserver.memory_per_watcher / emitter.memory_per_watcher;
        println!("kube-apiserver : emitter  CPU/event {cpu:.1}, memory/watcher {memory:.1}");
    }
    if let [(_, apiserver, _), (_, emitter, _)] = listed {
        println!(
            "emitter : kube-apiserver  lists a CPU second {:.1}",
            emitter / apiserver
        );
    }
}
