//! A fixed number of seeds, and the schedules that are written by hand.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use simulation::{Outcome, Plan, run, script};

/// Seeds that every change runs; a few minutes of two cores.
const SEEDS: std::ops::Range<u64> = 1..9;

/// Simulated minutes of a seed.
const MINUTES: u64 = 20;

fn told(outcome: &Outcome) -> String {
    let violations = outcome.violations.iter();
    let violations = violations.map(|it| format!("{:?} {}: {}", it.at, it.invariant, it.what));
    violations.collect::<Vec<_>>().join("\n")
}

/// In two processes, as the command that repeats a seed: what a process initializes once
/// takes randomness from the run that comes first.
#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_simulation"));
        command.args(["--seed", "1", "--minutes", "20", "--trace"]);
        let output = command.output().expect("the program is built");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (one, other) = (run(), run());
    assert!(100 < one.lines().count(), "something happened");
    assert!(one == other, "two runs differ");
}

#[test]
fn no_invariant_breaks_within_the_fixed_seeds() {
    let (next, broken) = (AtomicU64::new(SEEDS.start), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !SEEDS.contains(&seed) {
                        break;
                    }
                    let outcome = run(&Plan::draw(seed, MINUTES), false);
                    if !outcome.violations.is_empty() {
                        let said = format!(
                            "seed {seed}; repeat it with: cargo run --release -p simulation -- \
                             --seed {seed} --minutes {MINUTES}\n{}",
                            told(&outcome)
                        );
                        broken.lock().push(said);
                    }
                }
            });
        }
    });
    let broken = broken.into_inner();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_invariant_breaks_in_cases_that_were_seen() {
    let scripts = script::all().into_iter();
    let broken = scripts.filter_map(|script| {
        let outcome = run(&script.plan, false);
        let is_broken = !outcome.violations.is_empty();
        is_broken.then(|| format!("when {}:\n{}", script.name, told(&outcome)))
    });
    let broken: Vec<String> = broken.collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
