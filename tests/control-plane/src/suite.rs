//! Runs scenarios on real control planes, or says plainly why they did not run.

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use libtest_mimic::{Arguments, Failed, Trial};
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
const TIME_LIMIT: Duration = Duration::from_secs(180);

impl Scenario {
    /// A scenario of that name.
    pub const fn new(name: &'static str, play: fn(Arc<Scene>) -> Play) -> Self {
        Self { name, play }
    }

    fn trial(self) -> Trial {
        Trial::test(self.name, move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .map_err(Failed::from)?;
            let scene = Arc::new(Scene::default());
            let play = (self.play)(Arc::clone(&scene));
            let outcome = runtime.block_on(async { tokio::time::timeout(TIME_LIMIT, play).await });
            let outcome = outcome.unwrap_or_else(|_| Err(anyhow!("not done after {TIME_LIMIT:?}")));
            outcome.map_err(|error| Failed::from(format!("{error:?}\n{}", scene.logs())))
        })
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

/// Runs scenarios as `cargo test` runs tests. Where there are no binaries and none
/// can be built, they are reported as ignored and a closing line says how to run
/// them; with `CI=true` that is a failure.
pub fn run(suite: &str, scenarios: Vec<Scenario>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each scenario has a control plane or two, which keep a core busy while they start.
    arguments.test_threads.get_or_insert(2);
    let n_scenarios = scenarios.len();
    let is_listing = arguments.list;
    let missing = match assets::find_or_build() {
        _ if is_listing => None,
        Ok(Found::Ready(_)) => None,
        Ok(Found::Missing(why)) => Some(why),
        Err(error) => {
            say(&format!("{error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let trials = scenarios.into_iter().map(Scenario::trial);
    let trials = trials.map(|trial| trial.with_ignored_flag(missing.is_some()));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let Some(why) = missing else {
        return conclusion.exit_code();
    };
    say(&format!(
        "NOT RUN: the {n_scenarios} tests of {suite}, which need real control planes: {why}; \
         then run `cargo test --workspace` again"
    ));
    match std::env::var("CI") {
        Ok(ci) if ci == "true" => ExitCode::FAILURE,
        _ => conclusion.exit_code(),
    }
}
