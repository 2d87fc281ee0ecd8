//! The way back to clusters that suffice again: it waits, and then it takes steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proto_types::label::{self, MEMBERS};

use super::{AffectedKeys, Index};
use crate::hold::MonotonicTime;
use crate::name::{MirrorKey, SourceName};

/// Number of steps in which a failback withdraws a cluster.
pub(crate) const STEPS: usize = 4;

/// The global Services that are on their way back.
pub(super) type Failbacks = HashMap<MirrorKey, Failback>;

/// Progress of one failback. Each cluster has its own clock.
#[derive(Debug, Clone, Default)]
pub(super) struct Failback {
    /// The positions in the failover order that suffice, and since when.
    sufficient: BTreeMap<usize, MonotonicTime>,
    /// The clusters that still serve.
    clusters: BTreeMap<SourceName, Withdrawal>,
}

/// One cluster that is to stand by.
#[derive(Debug, Clone, Copy)]
struct Withdrawal {
    /// Its position in the failover order.
    tier: usize,
    /// Since when it is not needed.
    since: MonotonicTime,
    step: usize,
}

/// Clusters that still serve though earlier ones meet the threshold, as a plan states them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FailingBack {
    /// Those clusters, with their positions in the failover order.
    pub(crate) clusters: BTreeMap<SourceName, usize>,
    /// The positions that suffice.
    pub(crate) sufficient: BTreeSet<usize>,
}

impl Failback {
    /// Records the state of a plan. A running failback keeps its clock.
    fn update(&mut self, plan: FailingBack, now: MonotonicTime) {
        let FailingBack {
            clusters,
            sufficient,
        } = plan;
        let since = |tier| *self.sufficient.get(&tier).unwrap_or(&now);
        self.sufficient = sufficient
            .into_iter()
            .map(|tier| (tier, since(tier)))
            .collect();
        let withdrawal = |(name, tier): (SourceName, usize)| {
            let before = self.clusters.get(&name);
            let (since, step) = before.map_or((now, 0), |it| (it.since, it.step));
            (name, Withdrawal { tier, since, step })
        };
        self.clusters = clusters.into_iter().map(withdrawal).collect();
    }
}

impl Withdrawal {
    /// Since when the cluster can be done without: since it is not needed, and an earlier
    /// position has sufficed all the time.
    fn begins(&self, sufficient: &BTreeMap<usize, MonotonicTime>) -> MonotonicTime {
        let earlier = sufficient.range(..self.tier).map(|(_, since)| *since);
        earlier.min().map_or(self.since, |it| it.max(self.since))
    }
}

impl Index {
    /// Returns the number of failback steps done for a cluster.
    pub(crate) fn failback_step(&self, key: &MirrorKey, cluster: &SourceName) -> usize {
        let failback = self.failbacks.get(key);
        let withdrawal = failback.and_then(|it| it.clusters.get(cluster));
        withdrawal.map_or(0, |it| it.step)
    }

    /// Takes over the clusters of a key that still serve though earlier ones suffice.
    pub(crate) fn set_failback(&mut self, key: MirrorKey, plan: FailingBack) {
        if plan.clusters.is_empty() {
            self.failbacks.remove(&key);
            return;
        }
        let failback = self.failbacks.entry(key).or_default();
        failback.update(plan, self.now);
    }

    /// Returns whether a plan of the key can have clusters that still serve though earlier ones
    /// suffice.
    pub(crate) fn may_fail_back(&self, key: &MirrorKey) -> bool {
        let Some(global) = self.policy.global() else {
            return false;
        };
        let asks = |claim: &super::Claim| {
            let services = self.source(claim.rank).services.known();
            let content = services.and_then(|it| it.get(&claim.service)?.as_ref().ok());
            content.is_some_and(|it| it.annotations.contains_key(label::FAILOVER))
        };
        // The request may be known by the record on the managed Service alone.
        let observed = self.local().service(key);
        let record = observed.and_then(|it| it.shows.as_ref()?.marks.annotations.get(MEMBERS));
        self.failbacks.contains_key(key)
            || global.failover.is_some()
            || self.claims(key).any(asks)
            || record.is_some_and(|it| it.contains("\"failover\""))
    }

    /// Time passed; returns those that take a step.
    pub(super) fn step_failbacks(&mut self) -> AffectedKeys {
        let Some(global) = self.policy.global() else {
            return AffectedKeys::new();
        };
        let (wait, ramp) = (global.failback_after, global.failback_over);
        let mut affected = AffectedKeys::new();
        let now = self.now;
        let step_at = |since: MonotonicTime| {
            let elapsed = now.0.saturating_sub(since.0);
            let step = (1..=STEPS).rev().find(|step| {
                let share = u32::try_from(step - 1).unwrap_or(u32::MAX);
                let steps = u32::try_from(STEPS - 1).unwrap_or(1);
                wait + ramp * share / steps <= elapsed
            });
            step.unwrap_or(0)
        };
        for (key, failback) in &mut self.failbacks {
            for withdrawal in failback.clusters.values_mut() {
                let step = step_at(withdrawal.begins(&failback.sufficient));
                if step != withdrawal.step {
                    withdrawal.step = step;
                    affected.insert(key.clone());
                }
            }
        }
        affected
    }
}
