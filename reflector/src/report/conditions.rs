//! Conditions of whole sources, announced when they begin and when they end.

use std::collections::BTreeMap;
use std::time::Duration;

use reflector_planner::SourceName;

use super::doubles::DUPLICATE_CLUSTER;
use crate::events::{ProblemEvent, Subject};
use crate::metrics::SOURCE_NOT_FOLLOWED;
use crate::status::{ProblemStatus, SOURCE_DISCONNECTED};

/// A source that is not followed for longer is announced. A restart takes less.
const PATIENCE: Duration = Duration::from_secs(30);

/// Conditions that were announced, and have not ended.
#[derive(Debug, Default)]
pub(super) struct Conditions(BTreeMap<(SourceName, String), String>);

impl Conditions {
    /// Returns what to announce of those that have begun and not ended.
    pub(super) fn all(&self) -> impl Iterator<Item = ProblemEvent> + '_ {
        let all = self.0.iter();
        all.map(|((source, reason), note)| notice(source, reason, note, true))
    }

    /// Returns what to announce: what began, and what ended.
    pub(super) fn changed<'a>(
        &mut self,
        lost: impl Iterator<Item = (&'a SourceName, &'a str, Duration)>,
        lasting: impl Iterator<Item = ProblemStatus>,
    ) -> Vec<ProblemEvent> {
        let mut now: BTreeMap<_, _> = lasting
            .filter_map(|it| Some(((it.source.parse().ok()?, it.reason), it.message)))
            .collect();
        let lost = lost.filter(|(_, _, age)| PATIENCE <= *age);
        for (source, why, _) in lost {
            let is_told = now.keys().any(|(it, reason): &(SourceName, String)| {
                it == source && reason != DUPLICATE_CLUSTER
            });
            if !is_told {
                let note = format!("source {source} is {SOURCE_DISCONNECTED}: {why}");
                now.insert((source.clone(), SOURCE_NOT_FOLLOWED.to_owned()), note);
            }
        }
        let began = now.iter().filter(|(it, _)| !self.0.contains_key(*it));
        let began = began.map(|((source, reason), note)| notice(source, reason, note, true));
        let ended = self.0.keys().filter(|it| !now.contains_key(*it));
        let ended = ended.map(|(source, reason)| {
            let note = format!("source {source}: {reason} ended");
            notice(source, reason, &note, false)
        });
        let changed = began.chain(ended).collect();
        self.0 = now;
        changed
    }
}

fn notice(source: &SourceName, reason: &str, note: &str, is_warning: bool) -> ProblemEvent {
    ProblemEvent {
        subject: Subject::Source(source.clone()),
        reason: reason.to_owned(),
        note: note.to_owned(),
        is_warning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_announced_once_when_it_is_lost_and_once_when_it_is_back() {
        let mut conditions = Conditions::default();
        let east: SourceName = "east".parse().unwrap();
        let mut at = |seconds: Option<u64>| {
            let lost = seconds.map(|it| (&east, "no answer", Duration::from_secs(it)));
            let notices = conditions.changed(lost.into_iter(), std::iter::empty());
            let notices = notices.into_iter().map(|it| (it.is_warning, it.note));
            notices.collect::<Vec<_>>()
        };
        assert_eq!(at(Some(29)), []);
        let notices = at(Some(30));
        assert!(
            notices[0].0 && notices[0].1.contains("no answer"),
            "{notices:?}"
        );
        assert_eq!(at(Some(95)), []);
        let ended = "source east: SourceNotFollowed ended".to_owned();
        assert_eq!(at(None), [(false, ended)]);
        assert_eq!(at(None), []);
    }

    #[test]
    fn a_source_with_a_lasting_condition_is_announced_by_that_alone() {
        let mut conditions = Conditions::default();
        let east: SourceName = "east".parse().unwrap();
        let lost = (&east, "another cluster answers", Duration::from_secs(40));
        let lasting = ProblemStatus {
            reason: "ClusterIdentityMismatch".to_owned(),
            object: "services".to_owned(),
            source: "east".to_owned(),
            message: "mismatch".to_owned(),
        };
        let notices = conditions.changed(std::iter::once(lost), std::iter::once(lasting));
        assert_eq!(notices.len(), 1);
        assert_eq!(notices[0].reason, "ClusterIdentityMismatch");
    }
}
