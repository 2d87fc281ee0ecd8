//! An emitter, well-behaved consumers, and the time that a request takes.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Keeper;
use embedded_cluster::{EmbeddedCluster, Options};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Args, Measured, yielding};
use crate::process::Process;
use crate::programs::{beside, free_address};

/// What is exported.
const N_SERVICES: usize = 2000;

/// Between two requests of a consumer.
const EVERY: Duration = Duration::from_millis(500);

/// How long a request may take before it is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// An emitter, the cluster that it follows, and where it serves its API and its probes.
struct Served {
    addresses: [SocketAddr; 2],
    process: Process,
    keeper: Keeper,
    _exporter: EmbeddedCluster,
}

/// Measures requests: alone, while hostile clients are at another emitter, and beside them.
///
/// The second shows what they take of the machine, whatever they ask: the difference between it
/// and the third is what they take of the emitter.
pub(super) async fn measure(args: &Args) -> anyhow::Result<[Measured; 3]> {
    let it = Served::start("exporter").await?;
    let begin = it.process.cpu()?;
    let mut alone = it.requests(args).await?;
    alone.cpu = it.process.cpu()? - begin;
    let other = Served::start("other").await?;
    let elsewhere = it.beside_hostile(args, &other).await?;
    drop(other);
    let beside = it.beside_hostile(args, &it).await?;
    ensure!(it.process.cpu().is_ok(), "the emitter is gone");
    Ok([alone, elsewhere, beside])
}

impl Served {
    async fn start(name: &str) -> anyhow::Result<Self> {
        let exporter = exporter(name).await?;
        let keeper = Keeper::new("hostile-consumers")?;
        let kubeconfig = keeper.directory().join("exporter.kubeconfig");
        exporter.write_kubeconfig(&kubeconfig)?;
        let (emitter, admin) = (free_address()?, free_address()?);
        let mut command = Command::new(beside("emitter")?);
        command.args([
            "--selector=export=yes",
            "--secure-port=0",
            "--anonymous-auth",
            "--delegate-authentication",
            "--insecure-bind-address=127.0.0.1",
            &format!("--insecure-port={}", emitter.port()),
            &format!("--admin-bind-address={admin}"),
        ]);
        command.arg("--kubeconfig").arg(kubeconfig);
        keeper.spawn("emitter", &command)?;
        crate::mirroring::cluster::ready(admin).await?;
        Ok(Self {
            addresses: [emitter, admin],
            process: Process::find(&format!("--admin-bind-address={admin}"))?,
            keeper,
            _exporter: exporter,
        })
    }

    async fn requests(&self, args: &Args) -> anyhow::Result<Measured> {
        requests(args, self.addresses, self.process).await
    }

    /// Measures requests while hostile clients are at an emitter, this one or another.
    async fn beside_hostile(&self, args: &Args, target: &Self) -> anyhow::Result<Measured> {
        let mut command = yielding("hostile-consumers")?;
        let addresses = target.addresses.map(|it| it.to_string());
        command.args(addresses).arg(args.hostile.to_string());
        let mut hostile = self.keeper.spawn("hostile", &command)?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let before = target.process.cpu()?;
        let mut measured = self.requests(args).await?;
        measured.cpu = target.process.cpu()? - before;
        hostile.kill().await?;
        Ok(measured)
    }
}

/// Starts a cluster with Services to export.
async fn exporter(name: &str) -> anyhow::Result<EmbeddedCluster> {
    let mut options = Options::named(name);
    options.namespaces.push("demo".to_owned());
    let exporter = EmbeddedCluster::start(options).await?;
    for n in 0..N_SERVICES {
        let service = json!({
            "kind": "Service", "apiVersion": "v1",
            "metadata": {
                "name": format!("s{n}"), "namespace": "demo",
                "labels": {"export": "yes", "app": format!("a{}", n % 100)},
            },
            "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
        });
        let put = exporter.put(service);
        put.map_err(|status| anyhow::anyhow!("{}", status.message))?;
    }
    Ok(exporter)
}

async fn requests(
    args: &Args,
    [emitter, admin]: [SocketAddr; 2],
    process: Process,
) -> anyhow::Result<Measured> {
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let mut consumers = JoinSet::new();
    for n in 0..args.consumers {
        consumers.spawn(async move {
            let mut times = Vec::new();
            let mut n_lost = 0;
            let path: Arc<str> = format!("/api/v1/namespaces/demo/services/s{n}").into();
            tokio::time::sleep(EVERY / 100 * u32::try_from(n % 100).unwrap_or_default()).await;
            while Instant::now() < until {
                let begin = Instant::now();
                match tokio::time::timeout(PATIENCE, get(emitter, &path)).await {
                    Ok(Ok(200)) => times.push(begin.elapsed()),
                    Ok(_) | Err(_) => n_lost += 1,
                }
                tokio::time::sleep_until(begin + EVERY).await;
            }
            (times, n_lost)
        });
    }
    let mut probes = 0;
    while Instant::now() < until {
        let probe = tokio::time::timeout(Duration::from_secs(1), get(admin, "/livez")).await;
        probes += usize::from(!matches!(probe, Ok(Ok(200))));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (mut times, mut n_lost) = (Vec::new(), probes);
    while let Some(ended) = consumers.join_next().await {
        let (its, lost) = ended?;
        times.extend(its);
        n_lost += lost;
    }
    Ok(Measured {
        times,
        n_lost,
        cpu: Duration::ZERO,
        peak: process.peak_memory().context("the emitter is gone")?,
    })
}

/// Returns the status of an answer, when all of it has come.
async fn get(server: SocketAddr, path: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(server).await?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    let code = text.split(' ').nth(1).context("an answer has a status")?;
    Ok(code.parse()?)
}
