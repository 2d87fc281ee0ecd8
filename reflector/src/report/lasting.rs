//! Problems of whole sources, which do not end by themselves.

use std::collections::BTreeMap;

use runtime::{Failure, FailureCause};

use super::doubles::Doubles;
use super::upstream_monitor::UpstreamMonitor;
use crate::metrics::{LASTING_REASONS, Metrics, of_problem};
use crate::status::ProblemStatus;
use crate::watch_target::{ConnectionState, WatchTarget};

/// Remembers which watches have a failure that does not end by itself.
pub(super) fn note(
    lasting: &mut BTreeMap<WatchTarget, FailureCause>,
    metrics: &Metrics,
    feed: &WatchTarget,
    sign: &ConnectionState,
) {
    let why = match sign {
        ConnectionState::Disconnected(Failure {
            cause:
                why @ (FailureCause::Replaced(_)
                | FailureCause::Unidentified(_)
                | FailureCause::TooLarge(_)
                | FailureCause::OverBudget(_)
                | FailureCause::Panicked(_)),
            ..
        }) => Some(why.clone()),
        // Another failure does not end this one.
        ConnectionState::Disconnected(_)
        | ConnectionState::Unrelated
        | ConnectionState::Upstream(_) => return,
        ConnectionState::Connected | ConnectionState::Rewound => None,
    };
    let Some(source) = feed.source() else {
        return;
    };
    match why {
        Some(why) => lasting.insert(feed.clone(), why),
        None => lasting.remove(feed),
    };
    for reason in LASTING_REASONS {
        let matches = |(feed, why): &(&WatchTarget, &FailureCause)| {
            feed.source() == Some(source) && why.reason() == reason
        };
        let count = lasting.iter().filter(matches).count();
        let labels = of_problem(source, reason);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        metrics.problems.get_or_create(&labels).set(count);
    }
}

/// Problems of whole sources.
pub(super) fn of_sources(
    lasting: &BTreeMap<WatchTarget, FailureCause>,
    behind: &UpstreamMonitor,
    doubles: &Doubles,
) -> impl Iterator<Item = ProblemStatus> {
    let lasting = lasting.iter();
    let lasting = lasting.map(|(feed, why)| lasting_problem(feed, why));
    lasting.chain(behind.problems()).chain(doubles.problems())
}

fn lasting_problem(feed: &WatchTarget, why: &FailureCause) -> ProblemStatus {
    let source = feed.source().map(ToString::to_string).unwrap_or_default();
    ProblemStatus {
        reason: why.reason().to_owned(),
        object: feed.resource().plural().to_owned(),
        message: format!("no {feed} are taken over: {why}"),
        source,
    }
}
