//! A reflector beside a floor that writes the same objects and decides nothing.
//!
//! | module | holds |
//! |---|---|
//! | `cluster` | a source with its emitter, and local clusters to mirror into |
//! | `cold` | how long all Services take that a new local cluster lacks |
//! | `change` | how long one change takes, and many at once |
//! | `relay` | the floor of a change: a watch, a write |

mod change;
pub(crate) mod cluster;
pub(crate) mod cold;
mod relay;

use std::time::Duration;

use change::Changes;
use cluster::{Local, MIRRORS, Source};
use cold::Cold;
use relay::Relay;

/// How much there is to mirror.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many Services the source exports, each with one slice
    #[arg(long, default_value_t = 5000)]
    services: usize,

    /// How many endpoints a slice has, at most 1000
    #[arg(long, default_value_t = 2)]
    endpoints: usize,

    /// How many changes are made one after another
    #[arg(long, default_value_t = 200)]
    changes: usize,

    /// How many changes are made at once
    #[arg(long, default_value_t = 50)]
    burst: usize,

    /// How often all that is done, each time in new local clusters
    #[arg(long, default_value_t = 2)]
    rounds: usize,
}

/// Measures and prints, round by round.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    eprintln!("a source of {} Services", args.services);
    let source = Source::start(args.services, args.endpoints).await?;
    for round in 1..=args.rounds {
        eprintln!("round {round}: the reflector");
        let local = Local::start(&format!("reflected-{round}")).await?;
        let arguments = [
            format!("--mirror-namespace={MIRRORS}"),
            format!(
                "--source=name=east,prefix=east,url=http://{}",
                source.emitter
            ),
        ];
        let n_objects = [args.services, args.services];
        let (reflector, reflected) = cold::reflect(&local, &arguments, n_objects).await?;
        let relay = Relay::start(&source, &local).await?;
        let namespaces = [MIRRORS, relay::NAMESPACE];
        let [changed, relayed] = change::measure(&source, &local, namespaces, args).await?;
        drop((reflector, relay));

        eprintln!("round {round}: the floor");
        let bare = Local::start(&format!("bare-{round}")).await?;
        let written = cold::write(&bare, &local.mirrors().await?).await?;
        print(round, args, [&reflected, &written], [&changed, &relayed]);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(round: usize, args: &Args, cold: [&Cold; 2], changes: [&Changes; 2]) {
    let seconds = |it: Duration| it.as_secs_f64();
    let milliseconds = |it: Duration| it.as_secs_f64() * 1e3;
    println!(
        "round {round}: {} Services with a slice of {} endpoints each",
        args.services, args.endpoints
    );
    println!(
        "{:<10} {:>8} {:>8} {:>10} {:>10} {:>8} {:>8} {:>8} {:>10}",
        "", "all s", "CPU s", "memory MiB", "peak MiB", "p50 ms", "p90 ms", "p99 ms", "burst ms"
    );
    for ((name, cold), changes) in ["reflector", "floor"].into_iter().zip(cold).zip(changes) {
        let mebibytes = |bytes: f64| format!("{:.0}", bytes / 1_048_576.0);
        println!(
            "{name:<10} {:>8.2} {:>8.2} {:>10} {:>10} {:>8.1} {:>8.1} {:>8.1} {:>10.0}",
            seconds(cold.took),
            seconds(cold.cpu),
            cold.memory.map_or("-".into(), mebibytes),
            cold.peak.map_or("-".into(), mebibytes),
            milliseconds(changes.at(0.5)),
            milliseconds(changes.at(0.9)),
            milliseconds(changes.at(0.99)),
            milliseconds(changes.burst),
        );
    }
    let ratio = |of: fn(&Changes) -> Duration| seconds(of(changes[0])) / seconds(of(changes[1]));
    println!(
        "reflector : floor  all {:.2}, p50 {:.2}, p99 {:.2}, burst {:.2}",
        seconds(cold[0].took) / seconds(cold[1].took),
        ratio(|it| it.at(0.5)),
        ratio(|it| it.at(0.99)),
        ratio(|it| it.burst),
    );
}
