//! Problems of whole sources, which do not end by themselves.

use std::collections::BTreeMap;

use runtime::{Cause, Failure};

use super::behind::Behind;
use super::doubles::Doubles;
use crate::feed::{Feed, Sign};
use crate::metrics::{LASTING_REASONS, Metrics, of_problem};
use crate::status::ProblemStatus;

/// Remembers which feeds have a failure that does not end by itself.
pub(super) fn note(
    lasting: &mut BTreeMap<Feed, Cause>,
    metrics: &Metrics,
    feed: &Feed,
    sign: &Sign,
) {
    let why = match sign {
        Sign::Lost(Failure {
            cause:
                why @ (Cause::Replaced(_)
                | Cause::Unidentified(_)
                | Cause::TooLarge(_)
                | Cause::OverBudget(_)
                | Cause::Panicked(_)),
            ..
        }) => Some(why.clone()),
        // Another failure does not end this one.
        Sign::Lost(_) | Sign::Aside | Sign::Behind(_) => return,
        Sign::Alive | Sign::Rewound => None,
    };
    let Some(source) = feed.source() else {
        return;
    };
    match why {
        Some(why) => lasting.insert(feed.clone(), why),
        None => lasting.remove(feed),
    };
    for reason in LASTING_REASONS {
        let matches =
            |(feed, why): &(&Feed, &Cause)| feed.source() == Some(source) && why.reason() == reason;
        let count = lasting.iter().filter(matches).count();
        let labels = of_problem(source, reason);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        metrics.problems.get_or_create(&labels).set(count);
    }
}

/// Problems of whole sources.
pub(super) fn of_sources(
    lasting: &BTreeMap<Feed, Cause>,
    behind: &Behind,
    doubles: &Doubles,
) -> impl Iterator<Item = ProblemStatus> {
    let lasting = lasting.iter();
    let lasting = lasting.map(|(feed, why)| lasting_problem(feed, why));
    lasting.chain(behind.problems()).chain(doubles.problems())
}

fn lasting_problem(feed: &Feed, why: &Cause) -> ProblemStatus {
    let source = feed.source().map(ToString::to_string).unwrap_or_default();
    ProblemStatus {
        reason: why.reason().to_owned(),
        object: feed.resource().plural().to_owned(),
        message: format!("no {feed} are taken over: {why}"),
        source,
    }
}
