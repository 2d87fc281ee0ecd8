//! Global Services of many clusters, beside a floor that writes the same objects and
//! decides nothing.

use std::time::Duration;

use control_plane::Keeper;
use embedded_cluster::{EmbeddedCluster, Options};
use serde_json::{Value, json};

use crate::mirroring::cluster::{EXPORTS, Local, MIRRORS};
use crate::mirroring::cold::{self, Cold};
use crate::programs::beside;

const MEMBER: &str = "heliograph.dev/global-service";

/// How much there is to merge.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many global Services there are
    #[arg(long, default_value_t = 1000)]
    services: usize,

    /// How many sources there are; each has a member of every global Service
    #[arg(long, default_value_t = 50)]
    sources: usize,

    /// How often all that is done, each time in new local clusters
    #[arg(long, default_value_t = 2)]
    rounds: usize,
}

/// Measures and prints, round by round.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    eprintln!("{} sources of {} Services", args.sources, args.services);
    let mut sources = Vec::new();
    for n in 0..args.sources {
        sources.push(source(n, args.services).await?);
    }
    let keeper = Keeper::new("load-merging")?;
    let config = keeper.directory().join("reflector.json");
    std::fs::write(&config, configuration(&sources).to_string())?;
    let arguments = [format!("--config={}", config.display())];
    let n_objects = [args.services, args.services * args.sources];
    let program = beside("reflector")?;
    for round in 1..=args.rounds {
        eprintln!("round {round}: the reflector");
        let local = Local::start(&format!("merged-{round}")).await?;
        let (reflector, merged) = cold::reflect(&local, &program, &arguments, n_objects).await?;
        drop(reflector);
        eprintln!("round {round}: the floor");
        let bare = Local::start(&format!("bare-{round}")).await?;
        let written = cold::write(&bare, &local.mirrors().await?).await?;
        print(round, n_objects, &merged, &written);
    }
    Ok(())
}

/// A cluster that has a member of every global Service, with one slice each.
async fn source(n: usize, n_services: usize) -> anyhow::Result<EmbeddedCluster> {
    let mut options = Options::named(&format!("source-{n}"));
    options.namespaces.push(EXPORTS.to_owned());
    let source = EmbeddedCluster::start(options).await?;
    for i in 0..n_services {
        let name = format!("s{i}");
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": name, "namespace": EXPORTS, "labels": { MEMBER: "true" } },
            "spec": { "ports": [{ "name": "http", "port": 80 }] },
        });
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-1"), "namespace": EXPORTS,
                "labels": { MEMBER: "true", "kubernetes.io/service-name": name },
            },
            "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080 }],
            "endpoints": [
                { "addresses": [format!("10.{}.{}.{}", n + 1, i / 250, i % 250 + 1)] },
            ],
        });
        for object in [service, slice] {
            let put = source.put(object);
            put.map_err(|why| anyhow::anyhow!(why.message))?;
        }
    }
    Ok(source)
}

fn configuration(sources: &[EmbeddedCluster]) -> Value {
    let sources = sources.iter();
    let sources = sources.map(|it| json!({ "name": it.name(), "url": it.url() }));
    let sources: Vec<Value> = sources.collect();
    let global = json!({ "cluster": "local" });
    json!({ "mirrorNamespace": MIRRORS, "global": global, "sources": sources })
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(round: usize, [n_services, n_slices]: [usize; 2], merged: &Cold, written: &Cold) {
    println!("round {round}: {n_services} global Services with {n_slices} slices");
    println!(
        "{:<10} {:>8} {:>8} {:>10} {:>10}",
        "", "all s", "CPU s", "memory MiB", "peak MiB"
    );
    for (name, cold) in [("reflector", merged), ("floor", written)] {
        let mebibytes = |bytes: f64| format!("{:.0}", bytes / 1_048_576.0);
        println!(
            "{name:<10} {:>8.2} {:>8.2} {:>10} {:>10}",
            cold.took.as_secs_f64(),
            cold.cpu.as_secs_f64(),
            cold.memory.map_or("-".into(), mebibytes),
            cold.peak.map_or("-".into(), mebibytes),
        );
    }
    let ratio = |it: Duration, of: Duration| it.as_secs_f64() / of.as_secs_f64();
    println!(
        "reflector : floor  all {:.2}",
        ratio(merged.took, written.took)
    );
}
