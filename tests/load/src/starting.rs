//! How long an emitter takes to be ready in front of many Services, and what it keeps.

use std::process::Command;
use std::time::Duration;

use control_plane::Keeper;
use embedded_cluster::{EmbeddedCluster, Options};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::emitters::put;
use crate::mirroring::cluster::ready;
use crate::process::Process;
use crate::programs::{beside, free_address};

/// How many Services there are.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Numbers of Services in one namespace, each with one slice; one start for each number
    #[arg(long, value_delimiter = ',', default_value = "25000,50000,100000")]
    services: Vec<usize>,
}

/// What a start took.
struct Started {
    took: Duration,
    cpu: Duration,
    memory: f64,
    peak: f64,
}

/// Measures and prints, number by number.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    print_head();
    for services in &args.services {
        print(*services, &start(*services).await?);
    }
    Ok(())
}

async fn start(services: usize) -> anyhow::Result<Started> {
    let mut options = Options::named("source");
    options.namespaces = vec!["demo".to_owned()];
    let cluster = EmbeddedCluster::start(options).await?;
    for i in 0..services {
        for object in [service(i), slice(i)] {
            put(&cluster, object)?;
        }
    }
    let keeper = Keeper::new("load-starting")?;
    let kubeconfig = keeper.directory().join("kubeconfig");
    cluster.write_kubeconfig(&kubeconfig)?;
    let admin = free_address()?;
    let mut command = Command::new(beside("emitter")?);
    command
        .arg("--selector=heliograph.dev/export=true")
        .args(["--secure-port=0", "--insecure-bind-address=127.0.0.1"])
        .arg(format!("--insecure-port={}", free_address()?.port()))
        .arg(format!("--admin-bind-address={admin}"))
        // The defaults end at 200 000 objects, and count a list beside what it replaces.
        .args([
            "--max-upstream-objects=1000000",
            "--max-upstream-bytes=2147483648",
        ])
        .arg("--kubeconfig")
        .arg(kubeconfig);
    let start = Instant::now();
    keeper.spawn("emitter", &command)?;
    ready(admin).await?;
    let took = start.elapsed();
    let process = Process::find(&format!("--admin-bind-address={admin}"))?;
    let started = Started {
        took,
        cpu: process.cpu()?,
        memory: process.memory()?,
        peak: process.peak_memory()?,
    };
    drop(keeper);
    cluster.stop().await;
    Ok(started)
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

fn slice(i: usize) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("s{i}-1"),
            "namespace": "demo",
            "labels": {
                "kubernetes.io/service-name": format!("s{i}"),
                "heliograph.dev/export": "true",
            },
        },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080 }],
        "endpoints": [
            { "addresses": ["10.1.0.1"], "conditions": { "ready": true }, "nodeName": "n1" },
            { "addresses": ["10.1.0.2"], "conditions": { "ready": true }, "nodeName": "n2" },
        ],
    })
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print_head() {
    println!(
        "{:>9} {:>9} {:>9} {:>11} {:>9}",
        "Services", "ready s", "CPU s", "memory MiB", "peak MiB"
    );
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(services: usize, started: &Started) {
    let mebibytes = |bytes: f64| bytes / 1_048_576.0;
    println!(
        "{services:>9} {:>9.1} {:>9.1} {:>11.0} {:>9.0}",
        started.took.as_secs_f64(),
        started.cpu.as_secs_f64(),
        mebibytes(started.memory),
        mebibytes(started.peak),
    );
}
