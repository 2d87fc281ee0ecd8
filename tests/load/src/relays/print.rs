//! Tables.
#![expect(clippy::print_stdout, reason = "this is the answer")]

use std::time::Duration;

use super::killed::Killed;
use super::{Args, Tier};

pub(super) fn delays(delays: &[[Duration; 2]]) {
    println!(
        "{:<8} {:>10} {:>10} {:>12}",
        "tier", "p50 ms", "p99 ms", "added p50 ms"
    );
    let mut before = Duration::ZERO;
    for (i, [median, p99]) in delays.iter().enumerate() {
        let added = milliseconds(*median) - milliseconds(before);
        before = *median;
        println!(
            "{:<8} {:>10.2} {:>10.2} {:>12.2}",
            i + 1,
            milliseconds(*median),
            milliseconds(*p99),
            added
        );
    }
}

pub(super) fn tiers(args: &Args, tiers: &[Tier]) {
    println!(
        "{} consumers on one tier, {} events to each",
        args.consumers, args.events
    );
    println!(
        "{:<8} {:>13} {:>24} {:>10} {:>10} {:>6}",
        "tier", "CPU/event us", "CPU before it/change us", "p50 ms", "p99 ms", "lost"
    );
    for (i, it) in tiers.iter().enumerate() {
        println!(
            "{:<8} {:>13.2} {:>24.0} {:>10.1} {:>10.1} {:>6}",
            i + 1,
            it.cpu_per_event.as_secs_f64() * 1e6,
            it.cpu_before.as_secs_f64() * 1e6,
            milliseconds(it.median),
            milliseconds(it.p99),
            it.lost
        );
    }
}

pub(super) fn watches(tiers: &[Vec<(&'static str, u64)>]) {
    for (i, watches) in tiers.iter().enumerate() {
        let watches = watches.iter().map(|(name, n)| format!("{n} of {name}"));
        let watches: Vec<String> = watches.collect();
        println!(
            "watches of tier {} by the next one: {}",
            i + 1,
            watches.join(", ")
        );
    }
}

pub(super) fn resumed(events: &[usize]) {
    println!("events of 5 after a resume at tiers 1, 2, 3 without a list: {events:?}");
}

pub(super) fn killed(args: &Args, it: &Killed) {
    let n = args.consumers;
    println!("tier 2 is killed");
    println!(
        "its {n} consumers at tier 3: half after {:.0} ms, all after {:.0} ms, CPU {:.0} us each, \
         {} missed the next change",
        milliseconds(it.back_median),
        milliseconds(it.back_all),
        it.cpu.as_secs_f64() * 1e6,
        it.missed
    );
    println!(
        "started again: ready after {:.0} ms; all {n} behind it are told after {:.0} ms, \
         {} of their watches ended",
        milliseconds(it.ready),
        milliseconds(it.told_all),
        it.ended
    );
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
