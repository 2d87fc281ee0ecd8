//! Time until an emitter is ready in front of many Services, its memory beside the bytes that it
//! serves, and the delay of one change there.

use std::time::Duration;

use anyhow::Context;
use control_plane::Keeper;
use embedded_cluster::{EmbeddedCluster, Options};
use http::Request;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::emitters::{Emitter, at, kubeconfig, put};
use crate::programs::client;
use crate::watcher::{Watcher, sent};

/// Size of what is served.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Numbers of Services in one namespace, each with one slice; one start for each number
    #[arg(long, value_delimiter = ',', default_value = "25000,50000,100000")]
    services: Vec<usize>,

    /// Endpoints of each slice
    #[arg(long, default_value_t = 2)]
    endpoints: usize,

    /// Changes of one slice, one after another
    #[arg(long, default_value_t = 200)]
    changes: usize,
}

/// What a start took.
struct Started {
    took: Duration,
    cpu: Duration,
    memory: f64,
    peak: f64,
    /// Bytes of all objects as they are served.
    n_bytes: usize,
    /// Delays of changes.
    delays: Vec<Duration>,
    /// Time from a kill until it was ready again.
    again: Duration,
}

/// Part of a list.
#[derive(Deserialize)]
struct Page {
    metadata: PageMeta,
    items: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct PageMeta {
    #[serde(default, rename = "continue")]
    next: String,
}

const SERVICES: &str = "/api/v1/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

/// Objects in each part of a list.
const PAGE: usize = 500;

/// For one change to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures and prints, number by number.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    print_head(args);
    for services in &args.services {
        print(*services, &mut start(*services, args).await?);
    }
    Ok(())
}

async fn start(services: usize, args: &Args) -> anyhow::Result<Started> {
    let mut options = Options::named("source");
    options.namespaces = vec!["demo".to_owned()];
    let cluster = EmbeddedCluster::start(options).await?;
    for i in 0..services {
        put(&cluster, service(i))?;
        put(&cluster, slice(i, args.endpoints, ""))?;
    }
    let keeper = Keeper::new("load-starting")?;
    let upstream = kubeconfig(keeper.directory(), &cluster)?;
    // The defaults end at 200 000 objects, and count a list beside what it replaces.
    let limits = [
        "--max-upstream-objects=1000000",
        "--max-upstream-bytes=4294967296",
    ];
    let begin = Instant::now();
    let mut emitter = Emitter::start_with(&keeper, "emitter", &upstream, &limits).await?;
    let took = begin.elapsed();
    let process = emitter.used()?;
    let (cpu, memory, peak) = (process.cpu()?, process.memory()?, process.peak_memory()?);
    let n_bytes = served(&emitter, SERVICES).await? + served(&emitter, SLICES).await?;
    let delays = change(&emitter, &cluster, args).await?;
    let begin = Instant::now();
    emitter.kill().await?;
    emitter.start_again(&keeper)?;
    emitter.ready().await?;
    let again = begin.elapsed();
    drop(keeper);
    cluster.stop().await;
    Ok(Started {
        took,
        cpu,
        memory,
        peak,
        n_bytes,
        delays,
        again,
    })
}

/// Returns the bytes of all objects of a resource.
async fn served(emitter: &Emitter, path: &str) -> anyhow::Result<usize> {
    let client = client(emitter.address)?;
    let (mut n_bytes, mut next) = (0, String::new());
    loop {
        let uri = format!("{path}?limit={PAGE}&continue={next}");
        let page = client
            .request_text(Request::get(uri).body(Vec::new())?)
            .await?;
        let page: Page = serde_json::from_str(&page)?;
        n_bytes += page.items.iter().map(|it| it.get().len()).sum::<usize>();
        if page.metadata.next.is_empty() {
            return Ok(n_bytes);
        }
        next = page.metadata.next;
    }
}

/// Changes one slice, and returns the time until each change arrived.
async fn change(
    emitter: &Emitter,
    cluster: &EmbeddedCluster,
    args: &Args,
) -> anyhow::Result<Vec<Duration>> {
    let path = format!("{SLICES}?watch=1&fieldSelector=metadata.name%3Ds0-1");
    let mut watcher = Watcher::open(emitter.address, &path).await?;
    let mut delays = Vec::with_capacity(args.changes);
    for _ in 0..args.changes {
        put(cluster, slice(0, args.endpoints, &sent()))?;
        let delay = tokio::time::timeout(PATIENCE, watcher.delay()).await;
        delays.push(delay.context("a change did not arrive")??);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(delays)
}

fn service(i: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": format!("s{i}"),
            "namespace": "demo",
            "labels": { "app": format!("s{i}"), "heliograph.dev/export": "true" },
        },
        "spec": {
            "clusterIP": "None",
            "ports": [{ "name": "http", "port": 80 }],
            "selector": { "app": format!("s{i}") },
        },
    })
}

fn slice(i: usize, n_endpoints: usize, sent: &str) -> Value {
    let endpoint = |n: usize| {
        json!({
            "addresses": [format!("10.{}.{}.{n}", i / 250 % 250, i % 250)],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": format!("node-{n}"),
            "targetRef": {
                "kind": "Pod",
                "namespace": "demo",
                "name": format!("s{i}-6d4b75cb6d-{n:05}"),
                "uid": format!("{i:08x}-4a1b-9c2d-8a3b-{n:012x}"),
            },
            "zone": "zone-1",
        })
    };
    let endpoints: Vec<Value> = (1..=n_endpoints).map(endpoint).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("s{i}-1"),
            "namespace": "demo",
            "labels": {
                "kubernetes.io/service-name": format!("s{i}"),
                "heliograph.dev/export": "true",
                "sent": sent,
            },
        },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": endpoints,
    })
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print_head(args: &Args) {
    println!("each Service has a slice of {} endpoints", args.endpoints);
    println!(
        "{:>9} {:>9} {:>9} {:>11} {:>9} {:>11} {:>9} {:>9} {:>9} {:>9}",
        "Services",
        "ready s",
        "CPU s",
        "memory MiB",
        "peak MiB",
        "served MiB",
        "ratio",
        "p50 ms",
        "p99 ms",
        "again s"
    );
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(services: usize, started: &mut Started) {
    let mebibytes = |bytes: f64| bytes / 1_048_576.0;
    let milliseconds = |it: Duration| it.as_secs_f64() * 1e3;
    println!(
        "{services:>9} {:>9.1} {:>9.1} {:>11.0} {:>9.0} {:>11.0} {:>9.2} {:>9.2} {:>9.2} {:>9.1}",
        started.took.as_secs_f64(),
        started.cpu.as_secs_f64(),
        mebibytes(started.memory),
        mebibytes(started.peak),
        mebibytes(started.n_bytes as f64),
        started.memory / started.n_bytes as f64,
        milliseconds(at(&mut started.delays, 0.5)),
        milliseconds(at(&mut started.delays, 0.99)),
        started.again.as_secs_f64(),
    );
}
