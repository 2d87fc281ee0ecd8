//! A rolling update to many watchers: bytes and CPU of each content coding of a watch, beside the
//! kube-apiserver, which has none.

mod chunks;
mod endpoints;
mod reader;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::Request;
use tokio::task::JoinSet;

use self::endpoints::slice;
use self::reader::{Reader, Received, Times};
use super::consumer::now;
use super::rig::Rig;
use super::setup::{Server, Setup};

/// How much there is to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many watchers there are, one content coding after another
    #[arg(long, default_value_t = 500)]
    watchers: usize,

    /// How many changes are made, of one endpoint each
    #[arg(long, default_value_t = 60)]
    events: usize,

    /// How many changes a second
    #[arg(long, default_value_t = 5)]
    rate: u32,

    /// Numbers of endpoints of the EndpointSlice that changes
    #[arg(long, value_delimiter = ',', default_value = "2,10,100")]
    endpoints: Vec<usize>,

    #[command(flatten)]
    setup: Setup,
}

/// Content coding of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
    Delta,
}

impl Coding {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "identity",
            Self::Gzip => "gzip",
            Self::Delta => "heliograph-delta",
        }
    }

    /// Headers of a request for it; a reader that has just listed holds what it is sent.
    pub(super) const fn headers(self) -> &'static str {
        match self {
            Self::Plain => "accept-encoding: identity\r\n",
            Self::Gzip => "accept-encoding: gzip\r\n",
            Self::Delta => {
                "accept-encoding: heliograph-delta, gzip\r\nheliograph-held-since: 1\r\n"
            }
        }
    }
}

/// What one coding cost.
struct Measured {
    server: Server,
    coding: Coding,
    bytes_per_event: f64,
    cpu_per_event: Duration,
    median: Duration,
    p99: Duration,
    lost: usize,
}

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

/// Measures each coding with each number of endpoints, and prints.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let rig = Rig::start(&args.setup).await?;
    for n_endpoints in &args.endpoints {
        write(&rig, Request::post(SLICES), *n_endpoints, 0).await?;
        print_head(args, *n_endpoints);
        let mut first = None;
        for (server, coding) in [
            (Server::Apiserver, Coding::Plain),
            (Server::Emitter, Coding::Plain),
            (Server::Emitter, Coding::Gzip),
            (Server::Emitter, Coding::Delta),
        ] {
            let measured = measure(&rig, args, (server, coding), *n_endpoints).await?;
            print(&measured, *first.get_or_insert(measured.bytes_per_event));
        }
        let path = format!("{SLICES}/watched");
        rig.client()
            .request_text(Request::delete(path).body(Vec::new())?)
            .await?;
    }
    Ok(())
}

async fn measure(
    rig: &Rig,
    args: &Args,
    (server, coding): (Server, Coding),
    n_endpoints: usize,
) -> anyhow::Result<Measured> {
    let times = Times::default();
    let path = format!("{SLICES}?watch=1&labelSelector=export%3Dyes&timeoutSeconds=3000");
    let mut readers = JoinSet::new();
    // The first change tells when the emitter has all.
    write(rig, replace()?, n_endpoints, 0).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for _ in 0..args.watchers {
        let request = rig.request(server, &path, coding.headers())?;
        let reader = Reader::open(rig.connector(), &request, coding).await;
        let reader = reader.with_context(|| server.name())?;
        readers.spawn(reader.read(args.events + 1, Arc::clone(&times)));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let process = rig.process(server)?;
    // What has no former version yet is not what is measured.
    times.lock().push(now());
    write(rig, replace()?, n_endpoints, 1).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let cpu = process.cpu()?;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / args.rate.max(1));
    for i in 0..args.events {
        tick.tick().await;
        times.lock().push(now());
        write(rig, replace()?, n_endpoints, i + 2).await?;
    }
    let received: Vec<Received> = readers.join_all().await;
    let cpu = process.cpu()?.saturating_sub(cpu);
    Ok(summary((server, coding), args, cpu, received))
}

fn replace() -> anyhow::Result<http::request::Builder> {
    Ok(Request::put(format!("{SLICES}/watched")))
}

/// Writes the EndpointSlice after so many endpoints were replaced.
async fn write(
    rig: &Rig,
    request: http::request::Builder,
    n_endpoints: usize,
    n_replaced: usize,
) -> anyhow::Result<()> {
    let body = slice(n_endpoints, n_replaced).to_string();
    let request = request.header("content-type", "application/json");
    rig.client()
        .request_text(request.body(body.into_bytes())?)
        .await?;
    Ok(())
}

fn summary(
    (server, coding): (Server, Coding),
    args: &Args,
    cpu: Duration,
    received: Vec<Received>,
) -> Measured {
    let n_bytes: usize = received.iter().map(|it| it.n_bytes).sum();
    let delays = received
        .into_iter()
        .flat_map(|it| it.delays.into_iter().skip(1));
    let mut delays: Vec<Duration> = delays.collect();
    delays.sort();
    let n = delays.len().max(1);
    let at = |i: usize| delays.get(i.min(n - 1)).copied().unwrap_or_default();
    Measured {
        server,
        coding,
        bytes_per_event: n_bytes as f64 / n as f64,
        cpu_per_event: cpu / u32::try_from(n).unwrap_or(u32::MAX),
        median: at(n / 2),
        p99: at(n * 99 / 100),
        lost: args.watchers * args.events - delays.len(),
    }
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print_head(args: &Args, n_endpoints: usize) {
    println!(
        "{} watchers, {} changes of one endpoint of {n_endpoints}, TLS 1.3, HTTP/1.1",
        args.watchers, args.events
    );
    println!(
        "{:<16} {:<18} {:>12} {:>8} {:>13} {:>8} {:>8} {:>6}",
        "server", "coding", "bytes/event", "1/", "CPU/event us", "p50 ms", "p99 ms", "lost"
    );
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(it: &Measured, first: f64) {
    println!(
        "{:<16} {:<18} {:>12.0} {:>8.1} {:>13.2} {:>8.1} {:>8.1} {:>6}",
        it.server.name(),
        it.coding.name(),
        it.bytes_per_event,
        first / it.bytes_per_event.max(1.0),
        it.cpu_per_event.as_secs_f64() * 1e6,
        it.median.as_secs_f64() * 1e3,
        it.p99.as_secs_f64() * 1e3,
        it.lost
    );
}
