//! A fixed number of seeds, and the schedules that are written by hand.

use std::collections::BTreeSet;

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

/// Runs plans on two threads. Returns what broke, each with its title.
fn broken(plans: impl Iterator<Item = (String, Plan)> + Send) -> Vec<String> {
    let (plans, broken) = (Mutex::new(plans), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = plans.lock().next();
                    let Some((title, plan)) = next else { break };
                    let outcome = run(&plan, false);
                    if !outcome.violations.is_empty() {
                        broken.lock().push(format!("{title}\n{}", told(&outcome)));
                    }
                }
            });
        }
    });
    broken.into_inner()
}

#[test]
fn no_invariant_breaks_within_the_fixed_seeds() {
    let plans = SEEDS.map(|seed| {
        let title = format!(
            "seed {seed}; repeat it with: cargo run --release -p simulation -- \
             --seed {seed} --minutes {MINUTES}"
        );
        (title, Plan::draw(seed, MINUTES))
    });
    let broken = broken(plans);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_invariant_breaks_in_cases_that_were_seen() {
    let scripts = script::all().into_iter();
    let broken = broken(scripts.map(|it| (format!("when {}:", it.name), it.plan)));
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// First cells of the table in docs/concepts.md that says what becomes of mirrors.
fn rows() -> BTreeSet<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/concepts.md");
    let page = std::fs::read_to_string(page).expect("the page exists");
    let lines = page.lines();
    let mut table = lines.skip_while(|it| *it != "| what happens | what becomes of mirrors |");
    let rows = table.by_ref().skip(2).take_while(|it| it.starts_with('|'));
    let cell = |it: &str| it.split(" | ").next().map(|it| it[2..].to_owned());
    rows.filter_map(cell).collect()
}

#[test]
fn each_row_of_the_table_of_concepts_is_shown_by_a_schedule() {
    let shown = script::all().into_iter();
    let shown = shown.filter_map(|script| {
        let row = script.shows?.to_owned();
        let expects = !script.plan.expected.is_empty();
        assert!(expects, "nothing is expected when {}", script.name);
        Some(row)
    });
    assert_eq!(shown.collect::<BTreeSet<String>>(), rows());
}
