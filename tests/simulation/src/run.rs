//! One run, from a plan to its outcome.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::entropy;
use crate::fleet::Running;
use crate::oracle::{Judged, SETTLE, Violation};
use crate::plan::{Action, Plan, Storm};
use crate::trace::Trace;

/// Time between two checks.
const TICK: Duration = Duration::from_secs(5);

/// Time in which nothing may be written, after everything has converged.
const QUIET: Duration = Duration::from_secs(120);

/// Outcome of a run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Hash of all that happened.
    pub hash: (u64, u64),
    /// Broken invariants.
    pub violations: Vec<Violation>,
    /// Numbers of what was judged.
    pub judged: Judged,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Number of lists, events and bookmarks that consumers received.
    pub n_seen: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// Number of clusters.
    pub n_clusters: usize,
    /// The last that happened.
    pub trace: Vec<String>,
}

/// Runs a plan in a thread of its own.
#[must_use]
pub fn run(plan: &Plan, is_printed: bool) -> Outcome {
    let plan = plan.clone();
    let thread = std::thread::Builder::new().name(format!("seed {}", plan.seed));
    let thread = thread
        .stack_size(8 << 20)
        .spawn(move || within(&plan, is_printed));
    let outcome = thread.map(std::thread::JoinHandle::join);
    match outcome {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => broken("the simulation panicked"),
        Err(error) => broken(&error.to_string()),
    }
}

fn broken(what: &str) -> Outcome {
    Outcome {
        violations: vec![Violation {
            invariant: "the simulation works",
            at: Duration::ZERO,
            what: what.to_owned(),
        }],
        ..Outcome::default()
    }
}

fn within(plan: &Plan, is_printed: bool) -> Outcome {
    entropy::seed(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return broken(&error.to_string()),
    };
    let outcome = runtime.block_on(simulate(plan, is_printed));
    outcome.unwrap_or_else(|error| broken(&format!("{error:#}")))
}

async fn simulate(plan: &Plan, is_printed: bool) -> anyhow::Result<Outcome> {
    entropy::start_clock();
    let trace = Arc::new(Trace::new(is_printed));
    let mut running = Running::start(plan, &trace)?;
    let mut faults = BTreeMap::new();
    sleep(Duration::from_secs(60)).await;
    let all = plan.fleet.names();
    running.oracle.check_convergence(&all);
    for storm in &plan.storms {
        weather(&mut running, storm, plan, &trace, &mut faults).await?;
        calm(&mut running, &all).await;
        if !running.oracle.verdict().0.is_empty() {
            break;
        }
    }
    let (violations, judged) = running.oracle.verdict();
    let outcome = Outcome {
        hash: trace.hash(),
        violations,
        judged,
        faults,
        n_seen: running.n_seen(),
        simulated: trace.elapsed(),
        n_clusters: running.n_clusters(),
        trace: trace.last(),
    };
    entropy::stop_clock();
    Ok(outcome)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    End(usize),
    Begin(usize),
    Tick,
    Look(usize),
}

/// Lets a storm happen.
async fn weather(
    running: &mut Running,
    storm: &Storm,
    plan: &Plan,
    trace: &Trace,
    faults: &mut BTreeMap<&'static str, u64>,
) -> anyhow::Result<()> {
    let (start, millis) = (Instant::now(), plan.storm_millis);
    let mut steps = BinaryHeap::new();
    for (i, (at, action)) in storm.iter().enumerate() {
        steps.push(Reverse((*at, Step::Begin(i))));
        if let Action::Fault(_, lasts) = action {
            steps.push(Reverse(((at + lasts).min(millis), Step::End(i))));
        }
    }
    let tick = TICK.as_secs() * 1000;
    steps.extend((0..millis / tick).map(|i| Reverse((i * tick, Step::Tick))));
    let looks = plan.expected.iter().enumerate();
    steps.extend(looks.map(|(i, (at, _))| Reverse((*at, Step::Look(i)))));
    let n_writes = running.oracle.verdict().1.writes;
    while let Some(Reverse((at, step))) = steps.pop() {
        sleep_until(start + Duration::from_millis(at)).await;
        match step {
            Step::Tick => check(running),
            Step::Look(i) => {
                let expected = plan.expected[i].1;
                running
                    .oracle
                    .expect(expected, n_writes, &plan.fleet.names());
            }
            Step::Begin(i) => {
                let action = &storm[i].1;
                trace.note(|| format!("begins: {action}"));
                match action {
                    Action::Work(source, work) => running.work(source, work),
                    Action::Fault(fault, _) => {
                        *faults.entry(fault.kind()).or_default() += 1;
                        running.begin(fault).await?;
                    }
                }
            }
            Step::End(i) => {
                if let Action::Fault(fault, _) = &storm[i].1 {
                    trace.note(|| format!("ends: {fault:?}"));
                    running.end(fault)?;
                }
            }
        }
    }
    Ok(())
}

/// Waits until everything has converged, and checks that nothing is written then.
async fn calm(running: &mut Running, sources: &BTreeSet<String>) {
    let start = Instant::now();
    while start.elapsed() < SETTLE {
        sleep(TICK).await;
        check(running);
    }
    running.oracle.check_convergence(sources);
    running.start_consumers();
    let before = running.oracle.last_write();
    sleep(QUIET).await;
    check(running);
    running.check_consumers();
    if running.oracle.last_write() != before {
        let what = format!("written at {:?}", running.oracle.last_write());
        running
            .oracle
            .violate("nothing is written for nothing", what);
    }
}

fn check(running: &mut Running) {
    running.oracle.check_endpoints();
    running.oracle.check_imported_endpoints();
    running.oracle.check_stale();
    running.check_programs();
}
