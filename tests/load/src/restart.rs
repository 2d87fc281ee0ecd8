//! How soon an emitter is back after it was killed: until it is ready, and until a watch that
//! resumes is sent its first event.

use std::time::Duration;

use control_plane::Keeper;
use embedded_cluster::{EmbeddedCluster, Options};
use serde_json::Value;
use tokio::time::Instant;

use crate::emitters::{Emitter, SERVICES, kubeconfig, put, service, slice};
use crate::mirroring::cluster::EXPORTS;
use crate::watcher::{Watcher, sent};

/// How many Services there are.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services in one namespace, each with one slice
    #[arg(long, default_value_t = 5000)]
    services: usize,

    /// How often the emitter is killed
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// What one kill took.
struct Round {
    ready: Duration,
    first_event: Duration,
    /// Watches that were told to list.
    expired: usize,
}

/// Between two changes, and between two attempts.
const EVERY: Duration = Duration::from_millis(5);

/// Measures and prints, round by round.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let mut options = Options::named("source");
    options.namespaces = vec![EXPORTS.to_owned()];
    let cluster = EmbeddedCluster::start(options).await?;
    for i in 0..args.services {
        let name = format!("s{i}");
        put(&cluster, service(&name, 80, "0"))?;
        put(&cluster, slice(&name, 1))?;
    }
    let keeper = Keeper::new("load-restart")?;
    let begin = Instant::now();
    let upstream = kubeconfig(keeper.directory(), &cluster)?;
    let mut emitter = Emitter::start(&keeper, "emitter", &upstream).await?;
    print_head(args, begin.elapsed());
    for n in 1..=args.rounds {
        let round = kill(&mut emitter, &keeper, &cluster).await?;
        print(n, &round);
    }
    Ok(())
}

async fn kill(
    emitter: &mut Emitter,
    keeper: &Keeper,
    cluster: &EmbeddedCluster,
) -> anyhow::Result<Round> {
    let mut from = change(cluster)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begin = Instant::now();
    emitter.kill().await?;
    emitter.start_again(keeper)?;
    let address = emitter.address;
    let ready = async {
        emitter.ready().await?;
        anyhow::Ok(begin.elapsed())
    };
    let first_event = async {
        let mut expired = 0;
        loop {
            let path = format!(
                "{SERVICES}?watch=1&resourceVersion={from}&fieldSelector=metadata.name%3Ds0"
            );
            tokio::time::sleep(EVERY).await;
            let Ok(mut watcher) = Watcher::open(address, &path).await else {
                continue;
            };
            let event: Value = serde_json::from_slice(&watcher.event().await?)?;
            if event["type"] != "ERROR" {
                return anyhow::Ok((begin.elapsed(), expired));
            }
            // A client would list now.
            expired += 1;
            from = cluster.revision();
        }
    };
    let churn = async {
        loop {
            tokio::time::sleep(EVERY).await;
            change(cluster)?;
        }
    };
    let measured = async { tokio::try_join!(ready, first_event) };
    let (ready, (first_event, expired)) = tokio::select! {
        measured = measured => measured?,
        failed = churn => return failed,
    };
    Ok(Round {
        ready,
        first_event,
        expired,
    })
}

/// Changes a Service, and returns the resource version after it.
fn change(cluster: &EmbeddedCluster) -> anyhow::Result<u64> {
    put(cluster, service("s0", 80, &sent()))?;
    Ok(cluster.revision())
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print_head(args: &Args, ready: Duration) {
    println!(
        "{} Services and as many slices; first start: ready after {:.0} ms",
        args.services,
        ready.as_secs_f64() * 1e3
    );
    println!(
        "{:<8} {:>10} {:>16} {:>10}",
        "killed", "ready ms", "first event ms", "expired"
    );
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(n: usize, round: &Round) {
    println!(
        "{n:<8} {:>10.0} {:>16.0} {:>10}",
        round.ready.as_secs_f64() * 1e3,
        round.first_event.as_secs_f64() * 1e3,
        round.expired
    );
}
