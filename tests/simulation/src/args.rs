//! Flags.

use std::collections::BTreeSet;
use std::time::Duration;

use simulation::Plan;
use simulation::sabotage::Defect;

/// Simulates fleets, and says whether an invariant was broken.
#[derive(Debug, clap::Parser)]
pub(crate) struct Args {
    /// Repeat this seed, and print its schedule.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) first: u64,
    /// Number of seeds.
    #[arg(long, default_value_t = 20)]
    pub(crate) seeds: u64,
    /// Run as many seeds as there is time for, for so many hours.
    #[arg(long)]
    pub(crate) hours: Option<f64>,
    /// Simulated minutes of a seed, about.
    #[arg(long, default_value_t = 30)]
    pub(crate) minutes: u64,
    /// Number of runs at a time.
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// Actions to keep, by number; all if absent.
    #[arg(long, value_delimiter = ',')]
    pub(crate) keep: Vec<usize>,
    /// With --seed: drop actions as long as an invariant still breaks.
    #[arg(long)]
    pub(crate) shrink: bool,
    /// Stop at the first broken invariant.
    #[arg(long)]
    pub(crate) stop: bool,
    /// Print every request and every write.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Run the schedules that are written by hand.
    #[arg(long)]
    pub(crate) scripts: bool,
    /// With --scripts: only those whose name contains this.
    #[arg(long, default_value = "")]
    pub(crate) only: String,
    /// Plant each defect, and print after how many seeds it is found.
    #[arg(long)]
    pub(crate) sabotage: bool,
    /// With --sabotage: only these defects. With --scripts: plant the first of them.
    #[arg(long, value_delimiter = ',')]
    pub(crate) defect: Vec<String>,
}

impl Args {
    /// Draws the plan of a seed.
    pub(crate) fn plan(&self, seed: u64) -> Plan {
        let plan = Plan::draw(seed, self.minutes);
        match self.keep.is_empty() {
            true => plan,
            false => plan.only(&BTreeSet::from_iter(self.keep.iter().copied())),
        }
    }

    /// Returns the defect that the schedules written by hand have.
    pub(crate) fn planted(&self) -> Option<Defect> {
        let mut all = Defect::ALL.into_iter();
        all.find(|it| self.defect.first() == Some(&it.to_string()))
    }

    /// Returns whether a seed is beyond the last one.
    pub(crate) fn is_over(&self, seed: u64, elapsed: Duration) -> bool {
        match self.hours {
            Some(hours) => hours * 3600.0 < elapsed.as_secs_f64(),
            None => self.first + self.seeds <= seed,
        }
    }

    /// Returns the command that repeats a seed, with some of its actions.
    pub(crate) fn command(&self, seed: u64, kept: &[usize]) -> String {
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        let keep = match kept.is_empty() {
            true => String::new(),
            false => format!(" --keep {}", kept.join(",")),
        };
        let minutes = self.minutes;
        format!("cargo run --release -p simulation -- --seed {seed} --minutes {minutes}{keep}")
    }
}
