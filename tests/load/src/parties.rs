//! Hostile parties of every kind beside well-behaved ones: ten sources and a hundred
//! consumers are measured alone, and then beside sources and consumers that do all they
//! can to be in the way.
//!
//! | module | holds |
//! |---|---|
//! | `source` | hostile sources: servers that send what no API server sends |
//! | `consumer` | hostile consumers: clients that ask and take as no client does |
//! | `sources` | well-behaved sources, a reflector, and the time that a change takes |
//! | `consumers` | an emitter, well-behaved consumers, and the time that a request takes |

mod consumer;
mod consumers;
mod source;
mod sources;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::emitters;

pub(crate) use consumer::Consumers as HostileConsumers;
pub(crate) use source::{Sources as HostileSources, Trouble, troubles};

/// How many there are, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many well-behaved sources there are
    #[arg(long, default_value_t = 10)]
    sources: usize,

    /// How many well-behaved consumers there are
    #[arg(long, default_value_t = 100)]
    consumers: usize,

    /// How many clients there are of each hostile kind
    #[arg(long, default_value_t = 6)]
    hostile: usize,

    /// For how many seconds each is measured
    #[arg(long, default_value_t = 30)]
    seconds: u64,

    /// How much longer the slowest hundredth may take beside hostile parties; 0 for any
    #[arg(long, default_value_t = 1.5)]
    ratio: f64,
}

/// Times that were measured, and what a program took.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) times: Vec<Duration>,
    pub(crate) n_lost: usize,
    /// CPU time that the emitter took in the meantime; with hostile clients, the one that they are
    /// at.
    pub(crate) cpu: Duration,
    pub(crate) peak: f64,
}

impl Measured {
    /// Returns the time within which that part of all ended.
    fn at(&self, part: f64) -> Duration {
        emitters::at(&mut self.times.clone(), part)
    }
}

/// Measures both sides, prints them, and fails where one of them is not as it should be.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    eprintln!("{} sources, without and with hostile ones", args.sources);
    let [alone, beside] = sources::measure(args).await?;
    let rows = [("alone", &alone), ("beside", &beside)];
    failures.extend(judge(args, "reflector", &rows)?);
    eprintln!(
        "{} consumers, without and with hostile ones",
        args.consumers
    );
    let [alone, elsewhere, beside] = consumers::measure(args).await?;
    let rows = [
        ("alone", &alone),
        ("elsewhere", &elsewhere),
        ("beside", &beside),
    ];
    failures.extend(judge(args, "emitter", &rows)?);
    ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

/// Prints rows, of which the first is without and the last with hostile parties.
#[expect(clippy::print_stdout, reason = "this is the answer")]
fn judge(args: &Args, program: &str, rows: &[(&str, &Measured)]) -> anyhow::Result<Vec<String>> {
    let ([(_, alone), ..], [.., (_, beside)]) = (rows, rows) else {
        bail!("nothing was measured");
    };
    let limit = memory_limit(program)?;
    println!(
        "{program:<10} {:>8} {:>10} {:>10} {:>8} {:>6} {:>10} {:>6}",
        "n", "p50 ms", "p99 ms", ": alone", "lost", "peak MiB", "CPU s"
    );
    let p99 = |it: &Measured| it.at(0.99).as_secs_f64();
    for (name, it) in rows {
        println!(
            "{name:<10} {:>8} {:>10.1} {:>10.1} {:>8.2} {:>6} {:>10.0} {:>6.1}",
            it.times.len(),
            it.at(0.5).as_secs_f64() * 1e3,
            p99(it) * 1e3,
            p99(it) / p99(alone),
            it.n_lost,
            it.peak / 1_048_576.0,
            it.cpu.as_secs_f64(),
        );
    }
    println!("memory limit {:.0} MiB", limit / 1_048_576.0);
    let ratio = p99(beside) / p99(alone);
    let mut failures = Vec::new();
    if args.ratio > 0.0 && args.ratio < ratio {
        failures.push(format!(
            "{program}: the slowest hundredth takes {ratio:.2} times as long"
        ));
    }
    if limit < beside.peak {
        failures.push(format!(
            "{program}: it took {:.0} bytes of {limit:.0}",
            beside.peak
        ));
    }
    if 0 < beside.n_lost {
        failures.push(format!("{program}: {} were lost", beside.n_lost));
    }
    Ok(failures)
}

/// Returns the memory limit of a program's manifest, in bytes.
fn memory_limit(program: &str) -> anyhow::Result<f64> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests");
    let text = std::fs::read_to_string(format!("{root}/{program}/deployment.yaml"))?;
    let (_, limits) = text.split_once("limits:").context("there are limits")?;
    let (_, memory) = limits.split_once("memory:").context("memory has a limit")?;
    let word = memory.split_whitespace().next().unwrap_or_default();
    for (unit, bytes) in [("Gi", 1024.0 * 1_048_576.0), ("Mi", 1_048_576.0)] {
        if let Some(number) = word.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * bytes);
        }
    }
    anyhow::bail!("{word} is no memory limit")
}

/// A process of this program that yields to those who are measured: what it takes of the
/// machine is not what it does to the others.
fn yielding(command: &str) -> anyhow::Result<Command> {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"])
        .arg(std::env::current_exe()?)
        .arg(command);
    Ok(nice)
}
