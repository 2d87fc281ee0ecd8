//! Well-behaved sources, a reflector, and the time that a change takes.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Keeper;
use embedded_cluster::{EmbeddedCluster, Kind, Options};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::source::Malice;
use super::{Args, Measured, yielding};
use crate::process::Process;
use crate::programs::{beside, free_address};

const MIRRORS: &str = "mirrors";

/// Services of each source.
const N_SERVICES: usize = 10;

/// Between two changes.
const EVERY: Duration = Duration::from_millis(50);

/// How long a change may take before it is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures the time from a change at a source to its mirror, alone and beside.
pub(super) async fn measure(args: &Args) -> anyhow::Result<[Measured; 2]> {
    let mut options = Options::named("local");
    options.namespaces.push(MIRRORS.to_owned());
    let local = Arc::new(EmbeddedCluster::start(options).await?);
    let mut sources = Vec::new();
    for i in 0..args.sources {
        let mut options = Options::named(&format!("good{i}"));
        options.namespaces.push("demo".to_owned());
        let source = EmbeddedCluster::start(options).await?;
        for n in 0..N_SERVICES {
            set(&source, n, 0)?;
        }
        sources.push(source);
    }
    let hostile: Vec<SocketAddr> = Malice::ALL
        .iter()
        .map(|_| free_address())
        .collect::<Result<_, _>>()?;
    let keeper = Keeper::new("hostile-sources")?;
    let kubeconfig = keeper.directory().join("local.kubeconfig");
    local.write_kubeconfig(&kubeconfig)?;
    let config = keeper.directory().join("reflector.yaml");
    let admin = free_address()?;
    let text = configuration(&keeper, &sources, &hostile)?;
    std::fs::write(&config, text.to_string())?;
    let mut command = Command::new(beside("reflector")?);
    command.arg("--kubeconfig").arg(kubeconfig);
    command.arg("--config").arg(&config);
    command.arg(format!("--admin-bind-address={admin}"));
    keeper.spawn("reflector", &command)?;
    crate::mirroring::cluster::ready(admin).await?;
    let process = Process::find(&format!("--admin-bind-address={admin}"))?;

    let alone = changes(args, &sources, &local, process, 1).await?;
    let mut command = yielding("hostile-sources")?;
    command.args(hostile.iter().map(ToString::to_string));
    keeper.spawn("hostile", &command)?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let beside = changes(args, &sources, &local, process, 2).await?;
    ensure!(process.cpu().is_ok(), "the reflector is gone");
    let foreign: BTreeSet<String> = local
        .audit()
        .writes
        .iter()
        .filter(|it| {
            matches!(
                it.kind,
                Kind::Services | Kind::EndpointSlices | Kind::Namespaces
            )
        })
        .map(|it| it.key.namespace().to_owned())
        .filter(|it| it != MIRRORS)
        .collect();
    ensure!(foreign.is_empty(), "it wrote in {foreign:?}");
    Ok([alone, beside])
}

async fn changes(
    args: &Args,
    sources: &[EmbeddedCluster],
    local: &Arc<EmbeddedCluster>,
    process: Process,
    round: u64,
) -> anyhow::Result<Measured> {
    let begin = Instant::now();
    let until = begin + Duration::from_secs(args.seconds);
    let mut pending: HashMap<(usize, usize), (u64, Instant)> = HashMap::new();
    let mut times = Vec::new();
    let mut n_lost = 0;
    let mut next = begin;
    for n in 0_usize.. {
        let now = Instant::now();
        if until < now && (pending.is_empty() || until + PATIENCE < now) {
            break;
        }
        if next <= now && now < until {
            let (source, service) = (n % sources.len(), n / sources.len() % N_SERVICES);
            let value = round * 1_000_000 + u64::try_from(n)?;
            set(&sources[source], service, value)?;
            if let Some((_, since)) = pending.insert((source, service), (value, Instant::now())) {
                n_lost += usize::from(PATIENCE < since.elapsed());
            }
            next += EVERY;
        }
        pending.retain(|(source, service), (value, since)| {
            let name = format!("{}-demo-73736d-s{service}", sources[*source].name());
            let mirror = local.get(Kind::Services, MIRRORS, &name);
            let is_there = mirror.is_some_and(|it| port_of(&it) == port(*value));
            if is_there {
                times.push(since.elapsed());
            }
            !is_there
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    n_lost += pending.len();
    Ok(Measured {
        times,
        n_lost,
        cpu: Duration::ZERO,
        peak: process.peak_memory().context("the reflector is gone")?,
    })
}

/// A Service with a port of its own for each change.
fn set(source: &EmbeddedCluster, n: usize, value: u64) -> anyhow::Result<()> {
    let labels = json!({"heliograph.dev/export": "true"});
    let service = json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {"name": format!("s{n}"), "namespace": "demo", "labels": labels},
        "spec": {"ports": [{"name": "http", "port": port(value), "protocol": "TCP"}]},
    });
    let put = source.put(service);
    put.map_err(|status| anyhow::anyhow!("{}", status.message))
}

const fn port(value: u64) -> u64 {
    1024 + value % 60_000
}

fn port_of(service: &Value) -> u64 {
    service["spec"]["ports"][0]["port"]
        .as_u64()
        .unwrap_or_default()
}

fn configuration(
    keeper: &Keeper,
    sources: &[EmbeddedCluster],
    hostile: &[SocketAddr],
) -> anyhow::Result<Value> {
    let mut all = Vec::new();
    for source in sources {
        let file = keeper
            .directory()
            .join(format!("{}.kubeconfig", source.name()));
        source.write_kubeconfig(&file)?;
        let name = source.name();
        all.push(json!({
            "name": name, "prefix": name, "kubeconfig": file,
            "selector": "heliograph.dev/export=true",
        }));
    }
    for (i, address) in hostile.iter().enumerate() {
        let name = format!("bad{i}");
        all.push(json!({"name": name, "prefix": name, "url": format!("http://{address}")}));
    }
    Ok(json!({"mirrorNamespace": MIRRORS, "sources": all}))
}
