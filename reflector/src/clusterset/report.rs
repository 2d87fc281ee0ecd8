//! Deletion holds and problems of imports, for the log, the metrics, Events and the status.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proto_types::ObjectKey;
use reflector_clusterset::api::Version;
use reflector_clusterset::explain::describe_hold;
use reflector_clusterset::{ClusterId, ClusterSet, ImportProblem, Part};
use reflector_planner::HeldDeletions;
use tracing::{info, warn};

use crate::events::{EventRecorder, ProblemEvent, Subject};
use crate::metrics::{Labels, Metrics};
use crate::report::until;
use crate::status::HeldStatus;

/// Holds and problems as they were reported last.
pub(super) struct ImportReporter {
    metrics: Metrics,
    announcer: EventRecorder,
    /// Number of held deletions of each cluster and resource.
    held: BTreeMap<(ClusterId, Part), usize>,
    /// Number of problems of each reason.
    problems: BTreeMap<String, usize>,
}

impl ImportReporter {
    pub(super) const fn new(metrics: Metrics, announcer: EventRecorder) -> Self {
        Self {
            metrics,
            announcer,
            held: BTreeMap::new(),
            problems: BTreeMap::new(),
        }
    }

    /// Logs and announces the problems of an import that are new, and takes back those that ended.
    pub(super) fn note(
        &self,
        (set, version): (&ClusterSet, Version),
        key: &ObjectKey,
        (before, now): (&[ImportProblem], &[ImportProblem]),
    ) {
        for problem in now.iter().filter(|it| !before.contains(it)) {
            let ImportProblem { reason, message } = problem;
            warn!(reason, "{message}");
            self.announcer.announce(notice(set, version, key, problem));
        }
        for problem in before.iter().filter(|it| !now.contains(it)) {
            info!(%key, reason = problem.reason, "no more");
            self.announcer.withdraw(&notice(set, version, key, problem));
        }
    }

    /// Updates the metrics, and logs each hold when it begins and when it ends. Problems are
    /// those of a writer.
    pub(super) fn measure<'a>(
        &mut self,
        set: &ClusterSet,
        problems: impl Iterator<Item = (&'a ObjectKey, &'a Vec<ImportProblem>)>,
    ) {
        self.measure_holds(set);
        let mut now: BTreeMap<String, usize> = BTreeMap::new();
        for problem in problems.flat_map(|(_, it)| it) {
            *now.entry(problem.reason.clone()).or_default() += 1;
        }
        let local = set.settings().local.as_str();
        for (reason, n) in &now {
            let gauge = self.metrics.problems.get_or_create(&labels(local, reason));
            gauge.set(count(*n));
        }
        for reason in self.problems.keys().filter(|it| !now.contains_key(*it)) {
            self.metrics.problems.remove(&labels(local, reason));
        }
        self.problems = now;
    }

    fn measure_holds(&mut self, set: &ClusterSet) {
        let now: BTreeMap<_, _> = holds(set).collect();
        for ((cluster, part), held) in &now {
            let gauge = self
                .metrics
                .held_deletions
                .get_or_create(&of(cluster, *part));
            gauge.set(count(held.n));
            if self.held.insert((cluster.clone(), *part), held.n).is_none() {
                let (n, why, resource) = (held.n, describe_hold(held.why), part.as_str());
                warn!(%cluster, resource, n, why, "deletions of imports are held");
            }
        }
        let over = self.held.extract_if(.., |it, _| !now.contains_key(it));
        for ((cluster, part), n) in over {
            self.metrics.held_deletions.remove(&of(&cluster, part));
            info!(%cluster, resource = part.as_str(), n, "deletion hold ended");
        }
    }
}

fn notice(
    set: &ClusterSet,
    version: Version,
    key: &ObjectKey,
    problem: &ImportProblem,
) -> ProblemEvent {
    let is_import = !problem.is_of_export();
    let uid = match is_import {
        true => {
            let import = set.local().imports.data().and_then(|it| it.get(key));
            import.map(|it| it.uid.clone())
        }
        false => {
            let exports = set.local_cluster().and_then(|it| it.exports.data());
            exports.and_then(|it| it.get(key)?.uid())
        }
    };
    ProblemEvent {
        subject: Subject::Export {
            version,
            is_import,
            key: key.clone(),
            uid,
        },
        reason: problem.reason.clone(),
        note: problem.message.clone(),
        is_warning: true,
    }
}

/// Returns the deletions that are held, for the status.
pub(super) fn held(set: &ClusterSet) -> Vec<HeldStatus> {
    let hold = set.settings().deletion_hold;
    let status = holds(set).map(|((cluster, part), held)| HeldStatus {
        source: cluster.to_string(),
        resource: part.as_str().to_owned(),
        deletions: held.n,
        reason: describe_hold(held.why).to_owned(),
        until: until(held.since, set.now(), hold).to_string(),
    });
    status.collect()
}

fn holds(set: &ClusterSet) -> impl Iterator<Item = ((ClusterId, Part), HeldDeletions)> {
    set.clusters().iter().flat_map(|(id, cluster)| {
        Part::ALL.into_iter().filter_map(|part| {
            let held = cluster.losses.hold(part).held()?;
            Some(((id.clone(), part), held))
        })
    })
}

fn of(cluster: &ClusterId, part: Part) -> Labels<2> {
    let source = Cow::Owned(cluster.to_string());
    [("source", source), ("resource", part.as_str().into())]
}

fn labels(local: &str, reason: &str) -> Labels<2> {
    let text = |it: &str| Cow::Owned(it.to_owned());
    [("source", text(local)), ("reason", text(reason))]
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
