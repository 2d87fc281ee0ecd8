//! The way back to clusters that suffice again: it waits, and then it takes steps.

use std::collections::HashMap;

use proto_types::label::{self, MEMBERS};

use super::{Touched, World};
use crate::global::{self, STEPS};
use crate::hold::Moment;
use crate::name::LocalKey;
use crate::plan::Case;

/// The global Services that are on their way back.
pub(super) type Failbacks = HashMap<LocalKey, Failback>;

/// How far one is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failback {
    since: Moment,
    step: usize,
}

impl World {
    /// How many steps of the way back are done.
    pub(crate) fn failback_step(&self, key: &LocalKey) -> usize {
        self.failbacks.get(key).map_or(0, |it| it.step)
    }

    /// Finds out which of these are on their way back now, and which are not any more.
    pub(super) fn judge_failbacks(&mut self, touched: &Touched) {
        for key in touched
            .iter()
            .filter(|key| self.may_fail_back(key))
            .cloned()
            .collect::<Vec<_>>()
        {
            let plan = global::plan(&Case::new(self, &key));
            if plan.is_some_and(|it| it.is_failing_back) {
                let since = self.now;
                let begun = Failback { since, step: 0 };
                self.failbacks.entry(key).or_insert(begun);
            } else {
                self.failbacks.remove(&key);
            }
        }
    }

    fn may_fail_back(&self, key: &LocalKey) -> bool {
        let Some(global) = self.policy.global() else {
            return false;
        };
        let asks = |claim: &super::Claim| {
            let services = self.source(claim.rank).services.known();
            let content = services.and_then(|it| it.get(&claim.service)?.as_ref().ok());
            content.is_some_and(|it| it.annotations.contains_key(label::FAILOVER))
        };
        // Who asks may be known by what is written here alone.
        let observed = self.local().service(key);
        let record = observed.and_then(|it| it.shows.as_ref()?.marks.annotations.get(MEMBERS));
        self.failbacks.contains_key(key)
            || global.failover.is_some()
            || self.claims(key).any(asks)
            || record.is_some_and(|it| it.contains("\"failover\""))
    }

    /// Time passed; returns those that take a step.
    pub(super) fn step_failbacks(&mut self) -> Touched {
        let Some(global) = self.policy.global() else {
            return Touched::new();
        };
        let (wait, ramp) = (global.failback_after, global.failback_over);
        let mut touched = Touched::new();
        for (key, failback) in &mut self.failbacks {
            let elapsed = self.now.0.saturating_sub(failback.since.0);
            let step = (1..=STEPS).rev().find(|step| {
                let share = u32::try_from(step - 1).unwrap_or(u32::MAX);
                let steps = u32::try_from(STEPS - 1).unwrap_or(1);
                wait + ramp * share / steps <= elapsed
            });
            let step = step.unwrap_or(0);
            if step != failback.step {
                failback.step = step;
                touched.insert(key.clone());
            }
        }
        touched
    }
}
