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

use std::path::{Path, PathBuf};
use std::time::Duration;

use change::Changes;
use cluster::{Local, MIRRORS, Source};
use cold::Cold;
use relay::Relay;

use crate::programs;

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

    /// A former reflector, which is measured in the same run
    #[arg(long, value_name = "FILE")]
    former: Option<PathBuf>,
}

/// What was measured of one program.
struct Row {
    name: &'static str,
    cold: Cold,
    changes: Changes,
    /// What the floor took for the same changes.
    relayed: Changes,
}

/// Measures and prints, round by round.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let reflector = programs::beside("reflector")?;
    let mut measured = vec![("reflector", reflector.as_path())];
    measured.extend(args.former.iter().map(|it| ("former", it.as_path())));
    eprintln!("a source of {} Services", args.services);
    let source = Source::start(args.services, args.endpoints).await?;
    for round in 1..=args.rounds {
        let mut rows = Vec::new();
        let mut mirrors = Vec::new();
        for (name, program) in &measured {
            eprintln!("round {round}: {name}");
            let local = Local::start(&format!("{name}-{round}")).await?;
            rows.push(reflector_row(&source, &local, (name, program), args).await?);
            mirrors = local.mirrors().await?;
        }
        eprintln!("round {round}: the floor");
        let bare = Local::start(&format!("bare-{round}")).await?;
        let written = cold::write(&bare, &mirrors).await?;
        print(round, args, &rows, &written);
        // Whoever is first finds another machine than whoever is last.
        measured.reverse();
    }
    Ok(())
}

/// Measures one reflector, and the floor of its changes beside it.
async fn reflector_row(
    source: &Source,
    local: &Local,
    (name, program): (&'static str, &Path),
    args: &Args,
) -> anyhow::Result<Row> {
    let arguments = [
        format!("--mirror-namespace={MIRRORS}"),
        format!(
            "--source=name=east,prefix=east,url=http://{}",
            source.emitter
        ),
    ];
    let n_objects = [args.services, args.services];
    let (_reflector, cold) = cold::reflect(local, program, &arguments, n_objects).await?;
    let _relay = Relay::start(source, local).await?;
    let namespaces = [MIRRORS, relay::NAMESPACE];
    let [changes, relayed] = change::measure(source, local, namespaces, args).await?;
    Ok(Row {
        name,
        cold,
        changes,
        relayed,
    })
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(round: usize, args: &Args, rows: &[Row], written: &Cold) {
    println!(
        "round {round}: {} Services with a slice of {} endpoints each",
        args.services, args.endpoints
    );
    println!(
        "{:<16} {:>8} {:>8} {:>10} {:>10} {:>8} {:>8} {:>8} {:>10}",
        "", "all s", "CPU s", "memory MiB", "peak MiB", "p50 ms", "p90 ms", "p99 ms", "burst ms"
    );
    for row in rows {
        print_row(row.name, Some(&row.cold), &row.changes);
        print_row("  its floor", None, &row.relayed);
    }
    println!(
        "{:<16} {:>8.2} {:>8.2}",
        "floor",
        written.took.as_secs_f64(),
        written.cpu.as_secs_f64()
    );
    for row in rows {
        let ratio = |of: fn(&Changes) -> Duration| {
            of(&row.changes).as_secs_f64() / of(&row.relayed).as_secs_f64()
        };
        println!(
            "{} : floor  all {:.2}, p50 {:.2}, p99 {:.2}, burst {:.2}",
            row.name,
            row.cold.took.as_secs_f64() / written.took.as_secs_f64(),
            ratio(|it| it.at(0.5)),
            ratio(|it| it.at(0.99)),
            ratio(|it| it.burst),
        );
    }
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print_row(name: &str, cold: Option<&Cold>, changes: &Changes) {
    let milliseconds = |it: Duration| it.as_secs_f64() * 1e3;
    let seconds = |of: fn(&Cold) -> Duration| {
        cold.map_or("-".into(), |cold| format!("{:.2}", of(cold).as_secs_f64()))
    };
    let mebibytes = |of: fn(&Cold) -> Option<f64>| {
        let bytes = cold.and_then(of);
        bytes.map_or("-".into(), |it| format!("{:.0}", it / 1_048_576.0))
    };
    println!(
        "{name:<16} {:>8} {:>8} {:>10} {:>10} {:>8.1} {:>8.1} {:>8.1} {:>10.0}",
        seconds(|it| it.took),
        seconds(|it| it.cpu),
        mebibytes(|it| it.memory),
        mebibytes(|it| it.peak),
        milliseconds(changes.at(0.5)),
        milliseconds(changes.at(0.9)),
        milliseconds(changes.at(0.99)),
        milliseconds(changes.burst),
    );
}
