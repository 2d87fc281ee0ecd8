//! Sources that are the same cluster as a source before them, or as the local cluster.

use std::collections::BTreeMap;

use reflector_planner::SourceName;
use tracing::{info, warn};

use super::StatusReporter;
use crate::identity::ExpectedIdentity;
use crate::metrics::{Metrics, of_problem};
use crate::status::ProblemStatus;

/// Reason of their problems.
pub(super) const DUPLICATE_CLUSTER: &str = "DuplicateCluster";

/// Messages by source.
#[derive(Debug, Default)]
pub(super) struct Doubles(BTreeMap<SourceName, String>);

impl StatusReporter {
    /// Takes note of the cluster that each source is, and of the local one.
    pub(crate) fn identified<'a>(
        &mut self,
        identities: impl Iterator<Item = (&'a SourceName, &'a ExpectedIdentity)>,
        local: Option<&str>,
    ) {
        let clusters: BTreeMap<_, _> = identities
            .filter_map(|(name, it)| Some((name, it.cluster()?)))
            .collect();
        let sources = self.sources.iter();
        let known = sources.filter_map(|name| Some((name, &**clusters.get(name)?)));
        let now = doubles(known, local);
        self.doubles.become_these(now, &self.metrics);
    }
}

impl Doubles {
    fn become_these(&mut self, now: BTreeMap<SourceName, String>, metrics: &Metrics) {
        let gauge = |source| {
            metrics
                .problems
                .get_or_create(&of_problem(source, DUPLICATE_CLUSTER))
        };
        for (source, why) in now.iter().filter(|(it, _)| !self.0.contains_key(*it)) {
            warn!(%source, why, "a cluster is configured twice");
            gauge(source).inc();
        }
        for source in self.0.keys().filter(|it| !now.contains_key(*it)) {
            info!(%source, "its cluster is not configured twice any more");
            gauge(source).dec();
        }
        self.0 = now;
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = ProblemStatus> {
        self.0.iter().map(|(source, why)| ProblemStatus {
            reason: DUPLICATE_CLUSTER.to_owned(),
            object: "cluster".to_owned(),
            source: source.to_string(),
            message: why.clone(),
        })
    }
}

/// Returns the sources whose cluster comes before them, each with its message.
fn doubles<'a>(
    sources: impl Iterator<Item = (&'a SourceName, &'a str)>,
    local: Option<&str>,
) -> BTreeMap<SourceName, String> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    known.extend(local.map(|it| (it.to_owned(), "the local cluster".to_owned())));
    let mut doubles = BTreeMap::new();
    for (name, cluster) in sources {
        let Some(other) = known.get(cluster) else {
            known.insert(cluster.to_owned(), format!("source {name}"));
            continue;
        };
        let message = format!(
            "source {name} is the same cluster as {other}: the UID of its namespace kube-system \
             is {cluster}; remove one of them, or correct its address"
        );
        doubles.insert(name.clone(), message);
    }
    doubles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> SourceName {
        name.parse().unwrap()
    }

    #[test]
    fn a_cluster_under_two_names_is_told_of_the_later_one() {
        let [a, b, c] = ["a", "b", "c"].map(named);
        let sources = [(&a, "1"), (&b, "2"), (&c, "1")];
        let told = doubles(sources.into_iter(), Some("2"));
        assert_eq!(told.len(), 2);
        assert!(told[&c].starts_with("source c is the same cluster as source a"));
        assert!(told[&b].starts_with("source b is the same cluster as the local cluster"));
    }

    #[test]
    fn a_cluster_that_is_told_twice_is_in_the_metrics_until_it_is_not() {
        let (metrics, _) = Metrics::registered(false);
        let mut doubles = Doubles::default();
        let value = || {
            let labels = of_problem(&named("c"), DUPLICATE_CLUSTER);
            metrics.problems.get_or_create(&labels).get()
        };
        let told = BTreeMap::from([(named("c"), "why".to_owned())]);
        for _ in 0..2 {
            doubles.become_these(told.clone(), &metrics);
            assert_eq!((value(), doubles.problems().count()), (1, 1));
        }
        doubles.become_these(BTreeMap::new(), &metrics);
        assert_eq!((value(), doubles.problems().count()), (0, 0));
    }
}
