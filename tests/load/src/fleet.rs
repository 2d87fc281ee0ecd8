//! Many sources, each a cluster in memory with an emitter of its own, and one reflector: how long
//! a change takes, without and with one source that is dead, one that is slow and one that is
//! hostile.

mod churn;
mod print;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Keeper;
use embedded_cluster::{EmbeddedCluster, Kind, Options};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::churn::{Pending, churn};
use crate::emitters::{Emitter, kubeconfig, put, service, slice};
use crate::mirroring::cluster::EXPORTS;
use crate::parties::{Trouble, troubles};
use crate::process::Process;
use crate::programs::{beside, free_address};

/// Numbers of sources, Services and changes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sources there are
    #[arg(long, default_value_t = 100)]
    sources: usize,

    /// How many Services each source has, with one slice each
    #[arg(long, default_value_t = 200)]
    services: usize,

    /// How many changes a second all sources make
    #[arg(long, default_value_t = 50)]
    rate: u32,

    /// For how many seconds changes are made, without and with the three
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// Times of the changes, and CPU and memory of the reflector in that time.
struct Measured {
    times: Vec<Duration>,
    lost: usize,
    cpu: Duration,
    memory: f64,
}

/// Sources, their emitters, and a reflector that mirrors them.
struct Fleet {
    sources: Vec<EmbeddedCluster>,
    emitters: Vec<Emitter>,
    pending: Pending,
    reflector: Process,
    keeper: Keeper,
    _local: EmbeddedCluster,
}

const MIRRORS: &str = "mirrors";

const PATIENCE: Duration = Duration::from_secs(900);

/// Measures, and prints.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let trouble = troubles()?;
    let (mut fleet, synced) = Fleet::start(args, &trouble).await?;
    let started = [
        fleet.reflector.cpu()?.as_secs_f64(),
        fleet.reflector.memory()?,
    ];
    print::synced(args, synced, started, fleet.emitter_memory()?);
    // Until what the start left behind is done.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let alone = fleet.measure(args).await?;
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(std::env::current_exe()?);
    command.arg("hostile-sources").args(trouble.arguments());
    fleet.keeper.spawn("hostile", &command)?;
    // Its connections stay open, and it says nothing any more.
    fleet.emitters[0].pause()?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let beside = fleet.measure(args).await?;
    print::measured(args, &alone, &beside);
    Ok(())
}

impl Fleet {
    /// Starts all, and returns how long the reflector took until all was mirrored.
    async fn start(args: &Args, trouble: &Trouble) -> anyhow::Result<(Self, Duration)> {
        let keeper = Keeper::new("load-sources")?;
        let (mut sources, mut emitters) = (Vec::new(), Vec::new());
        for i in 0..args.sources {
            let source = source(i, args.services).await?;
            let upstream = kubeconfig(keeper.directory(), &source)?;
            emitters.push(Emitter::start(&keeper, &format!("emitter-{i}"), &upstream).await?);
            sources.push(source);
            if i % 50 == 49 {
                eprintln!("{} sources are there", i + 1);
            }
        }
        let (local, pending, mirrored) = local().await?;
        let file = keeper.directory().join("local.kubeconfig");
        local.write_kubeconfig(&file)?;
        let config = keeper.directory().join("reflector.json");
        let text = configuration(&sources, &emitters, &trouble.addresses());
        std::fs::write(&config, text.to_string())?;
        let mut command = Command::new(beside("reflector")?);
        let admin = free_address()?;
        command
            .arg("--kubeconfig")
            .arg(file)
            .arg("--config")
            .arg(config);
        command.arg(format!("--admin-bind-address={admin}"));
        let begin = Instant::now();
        keeper.spawn("reflector", &command)?;
        let n = args.sources * args.services;
        while mirrored.lock().len() < 2 * n {
            ensure!(begin.elapsed() < PATIENCE, "mirrors are missing");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let synced = begin.elapsed();
        let fleet = Self {
            reflector: Process::find(&format!("--admin-bind-address={admin}"))?,
            sources,
            emitters,
            pending,
            keeper,
            _local: local,
        };
        Ok((fleet, synced))
    }

    async fn measure(&self, args: &Args) -> anyhow::Result<Measured> {
        let cpu = self.reflector.cpu()?;
        // The first one is dead in the second round.
        let sources = &self.sources[1..];
        let (times, lost) = churn(args, sources, &self.pending).await?;
        Ok(Measured {
            times,
            lost,
            cpu: self.reflector.cpu()? - cpu,
            memory: self.reflector.memory()?,
        })
    }

    /// Of one, at the mean.
    fn emitter_memory(&self) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for emitter in &self.emitters {
            sum += emitter.used()?.memory()?;
        }
        Ok(sum / self.emitters.len().max(1) as f64)
    }
}

async fn source(i: usize, n_services: usize) -> anyhow::Result<EmbeddedCluster> {
    let mut options = Options::named(&format!("c{i}"));
    options.namespaces = vec![EXPORTS.to_owned()];
    let source = EmbeddedCluster::start(options).await?;
    for n in 0..n_services {
        let name = format!("s{n}");
        put(&source, service(&name, 80, "0"))?;
        put(&source, slice(&name, i))?;
    }
    Ok(source)
}

/// Names of mirrors that were there once.
type Mirrored = Arc<Mutex<BTreeSet<(Kind, String)>>>;

/// A cluster to mirror into, which notes when it is written to.
async fn local() -> anyhow::Result<(EmbeddedCluster, Pending, Mirrored)> {
    let mut options = Options::named("local");
    // A million addresses: 500 sources have 100 000 Services.
    options.service_ranges = vec!["10.64.0.0/12".to_owned()];
    options.namespaces.push(MIRRORS.to_owned());
    let local = EmbeddedCluster::start(options).await?;
    let (pending, mirrored) = (Pending::default(), Mirrored::default());
    let (waiting, seen) = (Arc::clone(&pending), Arc::clone(&mirrored));
    local.observe(Box::new(move |change| {
        let Some(after) = change.after else { return };
        let metadata = &after["metadata"];
        if metadata["namespace"] != MIRRORS {
            return;
        }
        let name = metadata["name"].as_str().unwrap_or_default();
        if change.kind == Kind::Services {
            let port = after["spec"]["ports"][0]["port"].as_u64();
            waiting.lock().seen(name, port.unwrap_or_default());
        }
        if matches!(change.kind, Kind::Services | Kind::EndpointSlices) {
            seen.lock().insert((change.kind, name.to_owned()));
        }
    }));
    Ok((local, pending, mirrored))
}

fn configuration(
    sources: &[EmbeddedCluster],
    emitters: &[Emitter],
    trouble: &[SocketAddr],
) -> Value {
    let entry = |name: &str, address: &SocketAddr| json!({ "name": name, "prefix": name, "url": format!("http://{address}") });
    let all = sources.iter().zip(emitters);
    let mut all: Vec<Value> = all
        .map(|(it, emitter)| entry(it.name(), &emitter.address))
        .collect();
    for (i, address) in trouble.iter().enumerate() {
        all.push(entry(&format!("bad{i}"), address));
    }
    json!({ "mirrorNamespace": MIRRORS, "sources": all })
}
