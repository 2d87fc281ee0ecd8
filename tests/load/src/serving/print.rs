//! Tables, with the kube-apiserver first and what it takes of the emitter's last.
#![expect(clippy::print_stdout, reason = "this is the answer")]

use std::time::Duration;

use super::Args;
use super::lists::Listed;
use super::rig::Measured;
use super::storm::Storm;

pub(super) fn watched(args: &Args, watched: &[Measured]) {
    let protocol = args.setup.protocol();
    println!(
        "{} watchers of each server, {} events to each watcher, TLS 1.3, {protocol}",
        args.watchers, args.events
    );
    println!(
        "{:<16} {:>14} {:>18} {:>10} {:>10} {:>10}",
        "server", "CPU/event us", "memory/watcher KiB", "p50 ms", "p99 ms", "lost"
    );
    for it in watched {
        println!(
            "{:<16} {:>14.2} {:>18.1} {:>10.1} {:>10.1} {:>10}",
            it.server.name(),
            it.cpu_per_event.as_secs_f64() * 1e6,
            it.memory_per_watcher / 1024.0,
            milliseconds(it.median),
            milliseconds(it.p99),
            it.lost
        );
    }
    if let [apiserver, emitter, ..] = watched {
        println!(
            "{:<16} {:>14.1} {:>18.1}",
            "times less",
            apiserver.cpu_per_event.as_secs_f64() / emitter.cpu_per_event.as_secs_f64(),
            apiserver.memory_per_watcher / emitter.memory_per_watcher
        );
    }
}

pub(super) fn storms(storms: &[Storm]) {
    println!(
        "{:<16} {:>9} {:>9} {:>9} {:>16} {:>8} {:>9}",
        "storm", "consumers", "half ms", "all ms", "CPU/consumer us", "refused", "peak MiB"
    );
    for it in storms {
        println!(
            "{:<16} {:>9} {:>9.1} {:>9.1} {:>16.1} {:>8} {:>9.0}",
            it.server.name(),
            it.n,
            milliseconds(it.median),
            milliseconds(it.all),
            it.cpu.as_secs_f64() * 1e6,
            it.refused,
            it.peak / 1_048_576.0
        );
    }
    if let [apiserver, emitter, ..] = storms {
        let times =
            |of: fn(&Storm) -> Duration| of(apiserver).as_secs_f64() / of(emitter).as_secs_f64();
        println!(
            "{:<26} {:>9.1} {:>9.1} {:>16.1}",
            "times less",
            times(|it| it.median),
            times(|it| it.all),
            times(|it| it.cpu)
        );
    }
}

pub(super) fn listed(listed: &[Listed]) {
    println!(
        "{:<16} {:>14} {:>10} {:>18}",
        "lists", "coding", "MB", "for a CPU second"
    );
    for same in listed.chunk_by(|one, other| one.coding == other.coding) {
        for it in same {
            println!(
                "{:<16} {:>14} {:>10.2} {:>18.1}",
                it.server.name(),
                it.coding.name(),
                it.bytes as f64 / 1e6,
                it.per_second
            );
        }
        if let [apiserver, emitter, ..] = same {
            println!(
                "{:<16} {:>44.1}",
                "times as many",
                emitter.per_second / apiserver.per_second
            );
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
