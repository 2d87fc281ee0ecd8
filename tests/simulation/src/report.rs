//! Report of many runs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use simulation::Outcome;

/// Sums over runs.
#[derive(Debug, Default)]
pub(crate) struct Report {
    n_seeds: u64,
    pub(crate) n_failed: u64,
    pub(crate) took: Duration,
    simulated: Duration,
    cluster_hours: f64,
    faults: BTreeMap<&'static str, u64>,
    deletions: u64,
    imports: u64,
    endpoints: u64,
    writes: u64,
    wrong: u64,
    seen: u64,
}

impl Report {
    /// Adds a run.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.n_seeds += 1;
        self.n_failed += u64::from(!outcome.violations.is_empty());
        self.simulated += outcome.simulated;
        let hours = outcome.simulated.as_secs_f64() / 3600.0;
        self.cluster_hours += hours * outcome.n_clusters as f64;
        for (fault, n) in &outcome.faults {
            *self.faults.entry(fault).or_default() += n;
        }
        self.deletions += outcome.judged.deletions;
        self.imports += outcome.judged.imports;
        self.endpoints += outcome.judged.endpoints;
        self.writes += outcome.judged.writes;
        self.seen += outcome.n_seen;
        let wrongly = outcome.violations.iter();
        let wrongly = wrongly.filter(|it| it.invariant.ends_with("wrongly"));
        self.wrong += wrongly.count() as u64;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.simulated.as_secs_f64() / 3600.0;
        writeln!(f, "seeds                      {}", self.n_seeds)?;
        writeln!(f, "seeds that broke something {}", self.n_failed)?;
        writeln!(f, "simulated hours            {hours:.1}")?;
        writeln!(f, "simulated cluster-hours    {:.1}", self.cluster_hours)?;
        if !self.took.is_zero() {
            let took = self.took.as_secs_f64();
            let rate = self.cluster_hours * 3600.0 / took;
            writeln!(
                f,
                "took                       {took:.0} s: {rate:.0} cluster-hours an hour"
            )?;
        }
        writeln!(f, "deletions judged           {}", self.deletions)?;
        writeln!(f, "lost imports judged        {}", self.imports)?;
        writeln!(f, "endpoint removals judged   {}", self.endpoints)?;
        writeln!(f, "wrong ones                 {}", self.wrong)?;
        writeln!(f, "writes                     {}", self.writes)?;
        writeln!(f, "seen by consumers          {}", self.seen)?;
        writeln!(
            f,
            "faults                     {}",
            self.faults.values().sum::<u64>()
        )?;
        for (fault, n) in &self.faults {
            writeln!(f, "  {fault:<24} {n}")?;
        }
        Ok(())
    }
}
