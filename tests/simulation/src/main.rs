//! Runs simulations for long, repeats one, or shows that planted defects are found.

mod args;
mod report;
mod shrink;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap::Parser;
use parking_lot::Mutex;
use simulation::sabotage::Defect;
use simulation::{Outcome, Plan, run, script};
use tokio::time::Instant;

use args::Args;
use report::Report;

fn main() -> ExitCode {
    let args = Args::parse();
    let is_well = if args.scripts {
        scripts(&args)
    } else if args.sabotage {
        sabotage(&args)
    } else if let Some(seed) = args.seed {
        repeat(&args, seed)
    } else {
        many(&args)
    };
    match is_well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Repeats one seed, and prints what went wrong.
fn repeat(args: &Args, seed: u64) -> bool {
    let plan = args.plan(seed);
    for (number, (at, action)) in plan.storms.iter().flatten().enumerate() {
        println!("{number:>4} {:>9.3} s  {action}", *at as f64 / 1000.0);
    }
    let outcome = run(&plan, args.trace);
    let mut report = Report::default();
    report.add(&outcome);
    print(seed, args, &outcome);
    println!("{report}");
    if !outcome.violations.is_empty() && args.shrink {
        let kept = shrink::shrink(&plan, &outcome);
        println!("the least that breaks it: {}", args.command(seed, &kept));
    }
    outcome.violations.is_empty()
}

fn print(seed: u64, args: &Args, outcome: &Outcome) {
    if outcome.violations.is_empty() {
        return;
    }
    println!(
        "seed {seed} breaks invariants; repeat it with: {}",
        args.command(seed, &[])
    );
    for violation in &outcome.violations {
        println!(
            "  {:?} {}: {}",
            violation.at, violation.invariant, violation.what
        );
    }
}

/// Runs many seeds, and prints the report.
fn many(args: &Args) -> bool {
    let report = Mutex::new(Report::default());
    let next = AtomicU64::new(args.first);
    let (started, is_over) = (Instant::now(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_last = args.is_over(seed, started.elapsed());
                    if is_last || is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let outcome = run(&args.plan(seed), false);
                    print(seed, args, &outcome);
                    if !outcome.violations.is_empty() && args.stop {
                        is_over.store(true, Ordering::Relaxed);
                    }
                    report.lock().add(&outcome);
                }
            });
        }
    });
    let mut report = report.into_inner();
    report.took = started.elapsed();
    println!("{report}");
    report.n_failed == 0
}

/// Runs the schedules that are written by hand.
fn scripts(args: &Args) -> bool {
    let mut left = script::all();
    left.retain(|it| it.name.contains(&args.only));
    let (left, is_well) = (Mutex::new(left), AtomicBool::new(true));
    std::thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                loop {
                    let Some(script) = left.lock().pop() else {
                        break;
                    };
                    let mut plan = script.plan;
                    plan.defect = args.planted();
                    let outcome = run(&plan, args.trace);
                    let said = match outcome.violations.first() {
                        None => "ok".to_owned(),
                        Some(it) => format!("BROKEN: {}: {}", it.invariant, it.what),
                    };
                    println!("when {}: {said}", script.name);
                    if !outcome.violations.is_empty() {
                        is_well.store(false, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    is_well.into_inner()
}

/// Plants each defect, and prints after how many seeds it is found.
fn sabotage(args: &Args) -> bool {
    let mut n_missed = 0;
    let wanted = |it: &&Defect| args.defect.is_empty() || args.defect.contains(&it.to_string());
    println!("| planted defect | found after seeds | by the invariant |\n|---|---|---|");
    for defect in Defect::ALL.iter().filter(wanted) {
        let seeds = (args.first..args.first + args.seeds).map(|seed| {
            let after = format!("{}", 1 + seed - args.first);
            (after, args.plan(seed))
        });
        let scripts = script::all().into_iter();
        let scripts = scripts.map(|it| (format!("none; when {}", it.name), it.plan));
        let mut plans = seeds.chain(scripts);
        let found = plans.find_map(|(after, plan)| Some((after, broken_by(*defect, &plan)?)));
        match found {
            Some((after, invariant)) => println!("| {defect} | {after} | {invariant} |"),
            None => {
                n_missed += 1;
                println!("| {defect} | not within {} | |", args.seeds);
            }
        }
    }
    n_missed == 0
}

/// Returns the invariant that a defect breaks in a plan. What breaks without the defect
/// proves nothing.
fn broken_by(defect: Defect, plan: &Plan) -> Option<&'static str> {
    let spoiled = Plan {
        defect: Some(defect),
        ..plan.clone()
    };
    let violations = run(&spoiled, false).violations;
    let first = violations.first()?.invariant;
    let is_sound = run(plan, false).violations.is_empty();
    is_sound.then_some(first)
}
