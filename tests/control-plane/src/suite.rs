//! Runs scenarios on real control planes, or says plainly why they did not run.
//!
//! Invariants: what a scenario starts ends with it; one that fails, by an error, a panic
//! or at its time limit, shows the logs of what it started; nothing is built for
//! scenarios that were not asked for.

use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use libtest_mimic::{Arguments, Trial};
use parking_lot::Mutex;

use crate::assets::{self, Found};
use crate::plane::{Builder, ControlPlane};
use crate::toolchain::say;

/// A test: a sentence, and what shows it.
pub struct Scenario {
    name: &'static str,
    play: fn(Arc<Scene>) -> Play,
}

type Play = Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;

/// What a scenario plays in. What is started through it ends with it, and is asked
/// for its logs when the scenario fails.
#[derive(Default)]
pub struct Scene {
    planes: Mutex<Vec<Arc<ControlPlane>>>,
    logs: Mutex<Vec<Log>>,
}

type Log = Box<dyn Fn() -> String + Send + Sync>;

/// Far more than any scenario takes, also when two share two cores.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Variable of the environment with seconds for which some scenarios watch a quiet fleet.
pub const QUIET_SECONDS: &str = "HELIOGRAPH_QUIET_SECONDS";

/// Returns the seconds for which scenarios watch a quiet fleet, if they are set.
#[must_use]
pub fn quiet() -> Option<Duration> {
    let seconds = std::env::var(QUIET_SECONDS).ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

impl Scenario {
    /// A scenario of that name.
    pub const fn new(name: &'static str, play: fn(Arc<Scene>) -> Play) -> Self {
        Self { name, play }
    }

    fn trial(self) -> Trial {
        let is_left_out = is_ci() && is_open(self.name);
        let trial = Trial::test(self.name, move || {
            let Err(why) = self.attempt() else {
                if is_open(self.name) {
                    say(&format!(
                        "OPEN: {} passes; remove it from open.txt",
                        self.name
                    ));
                }
                return Ok(());
            };
            if !is_ci() {
                return Err(why.into());
            }
            say(&format!(
                "FAILED ONCE: {}, and is tried again; see CONTRIBUTING.md\n{why}",
                self.name
            ));
            Ok(self.attempt()?)
        });
        trial.with_ignored_flag(is_left_out)
    }

    /// Plays it, in a scene of its own.
    fn attempt(&self) -> Result<(), String> {
        let scene = Arc::new(Scene::default());
        // Caught here and not by the harness, which knows nothing of logs.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| self.run(&scene)))
            .unwrap_or_else(|_| Err(anyhow!("it panicked; see above")));
        // The reason comes last, where a reader of a long log begins.
        outcome.map_err(|error| format!("{}{error:?}", scene.logs()))
    }

    fn run(&self, scene: &Arc<Scene>) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let play = (self.play)(Arc::clone(scene));
        let limit = TIME_LIMIT + quiet().unwrap_or_default();
        let outcome = runtime.block_on(async { tokio::time::timeout(limit, play).await });
        outcome.unwrap_or_else(|_| Err(anyhow!("not done after {limit:?}")))
    }
}

/// Makes a [`Scenario`] of an async function, named as the function is.
#[macro_export]
macro_rules! scenario {
    ($play:path) => {
        $crate::Scenario::new(stringify!($play), |scene| Box::pin($play(scene)))
    };
}

impl Scene {
    /// Starts a control plane.
    pub async fn start(&self, builder: Builder) -> anyhow::Result<Arc<ControlPlane>> {
        let plane = Arc::new(builder.start().await?);
        self.planes.lock().push(Arc::clone(&plane));
        Ok(plane)
    }

    /// What else to show when the scenario fails.
    pub fn on_failure(&self, log: impl Fn() -> String + Send + Sync + 'static) {
        self.logs.lock().push(Box::new(log));
    }

    fn logs(&self) -> String {
        let planes = self.planes.lock();
        let planes = planes.iter().map(|plane| plane.logs());
        let others = self.logs.lock();
        let others = others.iter().map(|log| log());
        planes.chain(others).collect()
    }
}

/// Scenarios that are known to fail, or were not run, one a line. CI reports them as
/// ignored; elsewhere they run. A line goes with its defect.
const OPEN: &str = include_str!("open.txt");

fn is_open(name: &str) -> bool {
    OPEN.lines().any(|line| line.trim() == name)
}

fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|it| it == "true")
}

/// Runs scenarios as `cargo test` runs tests. Where there are no binaries and none
/// can be built, they are reported as ignored and a closing line says how to run
/// them; with `CI=true` that is a failure.
pub fn run(suite: &str, scenarios: Vec<Scenario>) -> ExitCode {
    run_with(suite, assets::find_or_build, scenarios)
}

/// As [`run`], for a suite that needs more, which `prepare` finds or says is missing.
/// It is not called where no scenario is to run.
pub fn run_with(
    suite: &str,
    prepare: impl FnOnce() -> anyhow::Result<Found>,
    scenarios: Vec<Scenario>,
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each scenario has a control plane or two, which keep a core busy while they start.
    arguments.test_threads.get_or_insert(2);
    let trials: Vec<Trial> = scenarios.into_iter().map(Scenario::trial).collect();
    let wanted = trials.iter().filter(|it| !arguments.is_filtered_out(it));
    let n_wanted = wanted.count();
    if arguments.list || n_wanted == 0 {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    match prepare() {
        Ok(Found::Ready(_)) => libtest_mimic::run(&arguments, trials).exit_code(),
        Ok(Found::Missing(why)) => {
            let trials = trials.into_iter().map(|it| it.with_ignored_flag(true));
            let conclusion = libtest_mimic::run(&arguments, trials.collect());
            say(&format!(
                "NOT RUN: the {n_wanted} tests of {suite}, which need real control planes: \
                 {why}; then run `cargo test --workspace` again"
            ));
            if is_ci() {
                return ExitCode::FAILURE;
            }
            conclusion.exit_code()
        }
        Err(error) => {
            say(&format!("cannot run the tests of {suite}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
