//! Sources whose upstream is disconnected.

use std::collections::BTreeMap;

use reflector_planner::SourceName;
use tracing::{info, warn};

use runtime::upstream::Disconnected;

use crate::metrics::{Metrics, UPSTREAM_LOST, of_problem};
use crate::status::{ProblemStatus, UPSTREAM_KEPT};

/// Reason for which each source has lost its upstream.
#[derive(Debug, Default)]
pub(super) struct UpstreamMonitor(BTreeMap<SourceName, String>);

impl UpstreamMonitor {
    /// A source has lost what is behind it, or has it again.
    pub(super) fn note(
        &mut self,
        metrics: &Metrics,
        source: &SourceName,
        lost: Option<&Disconnected>,
    ) {
        let labels = of_problem(source, UPSTREAM_LOST);
        let gauge = metrics.problems.get_or_create(&labels);
        gauge.set(i64::from(lost.is_some()));
        match lost {
            Some(Disconnected { why, .. }) => {
                warn!(%source, why, "{UPSTREAM_KEPT}");
                self.0.insert(source.clone(), why.clone());
            }
            None if self.0.remove(source).is_some() => {
                info!(%source, "its emitter hears its API server again");
            }
            None => {}
        }
    }

    /// Only these stay as they were.
    pub(super) fn retain(&mut self, stays: impl Fn(&SourceName) -> bool) {
        self.0.retain(|source, _| stays(source));
    }

    /// Returns the problems of these sources.
    pub(super) fn problems(&self) -> impl Iterator<Item = ProblemStatus> {
        self.0.iter().map(|(source, why)| ProblemStatus {
            reason: UPSTREAM_LOST.to_owned(),
            object: source.to_string(),
            source: source.to_string(),
            message: format!("source {source}: {UPSTREAM_KEPT}: {why}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Disconnected {
        Disconnected {
            why: "no connection".to_owned(),
            age: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn a_loss_of_a_source_is_a_problem_until_it_is_restored() {
        let (mut behind, metrics) = (UpstreamMonitor::default(), Metrics::registered(false).0);
        let east = "east".parse().unwrap();
        let messages =
            |it: &UpstreamMonitor| it.problems().map(|it| it.message).collect::<Vec<_>>();
        behind.note(&metrics, &east, Some(&lost()));
        assert_eq!(
            messages(&behind),
            [
                "source east: its emitter has lost its API server and serves what it knew; \
              mirrors stay as they are: no connection"
            ]
        );
        behind.note(&metrics, &east, None);
        assert!(messages(&behind).is_empty());
        behind.note(&metrics, &east, Some(&lost()));
        behind.retain(|source| *source != east);
        assert!(messages(&behind).is_empty());
    }
}
