//! Runs a fleet of many clusters that read a few, and prints what its links carried.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use simulation::tree::{self, Measured, Size, Sum};

/// Simulates a fleet of many clusters that read the exports of a few, and prints what its links
/// carry.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    size: Size,
}

fn main() -> ExitCode {
    let Args { size } = Args::parse();
    let began = tokio::time::Instant::now();
    match tree::run(&size) {
        Ok(measured) => {
            print(&size, &measured);
            println!("simulated in {:.0} s", began.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(size: &Size, measured: &Measured) {
    let at = |part: f64| {
        let last = measured.delays.len().saturating_sub(1);
        let rank = (last as f64 * part).round() as usize;
        measured.delays.get(rank).copied().unwrap_or_default()
    };
    let milliseconds = |it: Duration| it.as_secs_f64() * 1e3;
    println!(
        "{:?}: {} clusters read {} sources of {} Services, {} regions; all had everything after {:.1} s",
        size.topology,
        size.clusters,
        size.sources,
        size.services,
        size.regions,
        measured.synced.as_secs_f64(),
    );
    println!(
        "{} changes in {} minutes; {} of {} deliveries; {} lists; p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        measured.n_changes,
        size.minutes,
        measured.delays.len(),
        measured.n_changes * size.clusters as u64,
        measured.n_lists,
        milliseconds(at(0.5)),
        milliseconds(at(0.99)),
        milliseconds(at(1.0)),
    );
    println!(
        "at most {} readers of a source",
        measured.readers_of_a_source
    );
    for (name, sum) in [("between", measured.between), ("within", measured.within)] {
        print_links(name, &sum, size.minutes);
    }
}

fn print_links(name: &str, sum: &Sum, minutes: u64) {
    let n_links = (sum.n_links as f64).max(1.0);
    let minutes = minutes as f64;
    println!(
        "{name} regions: {} links, {:.3} GB a month, {:.0} bytes and {:.1} requests a link and minute",
        sum.n_links,
        sum.n_bytes as f64 / minutes * 60.0 * 24.0 * 30.0 / 1e9,
        sum.n_bytes as f64 / n_links / minutes,
        sum.n_requests as f64 / n_links / minutes,
    );
}
