//! Drops actions of a failing plan as long as it fails in the same way.

use std::collections::BTreeSet;

use simulation::{Outcome, Plan, run};

/// Number of runs that it may take.
const LIMIT: usize = 200;

/// Returns the numbers of the actions without which the plan does not fail.
pub(crate) fn shrink(plan: &Plan, outcome: &Outcome) -> Vec<usize> {
    let Some(first) = outcome.violations.first() else {
        return Vec::new();
    };
    let fails = |kept: &BTreeSet<usize>| {
        let violations = run(&plan.only(kept), false).violations;
        violations.iter().any(|it| it.invariant == first.invariant)
    };
    let mut kept: BTreeSet<usize> = (0..plan.len()).collect();
    let mut n_runs = 0;
    let mut size = kept.len().div_ceil(2);
    while 0 < size {
        let numbers: Vec<usize> = kept.iter().copied().collect();
        for chunk in numbers.chunks(size) {
            let left: BTreeSet<usize> = kept
                .difference(&chunk.iter().copied().collect())
                .copied()
                .collect();
            n_runs += 1;
            if LIMIT < n_runs {
                return kept.into_iter().collect();
            }
            if fails(&left) {
                kept = left;
            }
        }
        size /= 2;
    }
    kept.into_iter().collect()
}
