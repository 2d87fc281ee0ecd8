//! Tables.
#![expect(clippy::print_stdout, reason = "this is the answer")]

use std::time::Duration;

use super::{Args, Measured};
use crate::emitters::at;

pub(super) fn synced(args: &Args, took: Duration, [cpu, memory]: [f64; 2], emitter: f64) {
    let n = args.sources;
    println!(
        "{n} sources of {} Services and slices: all mirrored after {:.1} s; reflector: CPU {cpu:.1} s, \
         {:.0} MiB, {:.2} MiB a source; emitter: {:.1} MiB at the mean",
        args.services,
        took.as_secs_f64(),
        mebibytes(memory),
        mebibytes(memory) / n as f64,
        mebibytes(emitter),
    );
}

pub(super) fn measured(args: &Args, alone: &Measured, beside: &Measured) {
    println!(
        "{:<28} {:>7} {:>8} {:>8} {:>6} {:>13} {:>11}",
        "", "changes", "p50 ms", "p99 ms", "lost", "CPU/change us", "memory MiB"
    );
    let mut tails = Vec::new();
    for (name, it) in [("alone", alone), ("one dead, slow, hostile", beside)] {
        let mut times = it.times.clone();
        let [median, tail] = [0.5, 0.99].map(|part| at(&mut times, part).as_secs_f64() * 1e3);
        let cpu = it.cpu.as_secs_f64() * 1e6 / times.len().max(1) as f64;
        println!(
            "{name:<28} {:>7} {median:>8.1} {tail:>8.1} {:>6} {cpu:>13.0} {:>11.0}",
            times.len(),
            it.lost,
            mebibytes(it.memory),
        );
        tails.push(tail);
    }
    if let [alone, beside] = tails[..] {
        println!(
            "p99 with the three : without {:.2}, of {} sources",
            beside / alone,
            args.sources
        );
    }
}

fn mebibytes(bytes: f64) -> f64 {
    bytes / 1_048_576.0
}
