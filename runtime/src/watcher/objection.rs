//! Causes of failures that a ruling is.

use proto_types::evidence::{Evidence, Objection, Upstream, Weakness};

use super::FailureCause;

pub(super) fn cause_of_weakness(weakness: Weakness, evidence: &Evidence) -> FailureCause {
    match weakness {
        Weakness::Disconnected => disconnected(evidence),
        Weakness::Unconfirmed => FailureCause::Unconfirmed,
    }
}

pub(super) fn cause_of_objection(objection: Objection, evidence: &Evidence) -> FailureCause {
    let cluster = || evidence.cluster.as_deref().unwrap_or("unknown").to_owned();
    match objection {
        Objection::OtherCluster => FailureCause::Replaced(cluster()),
        Objection::UnknownCluster => FailureCause::Unidentified(cluster()),
        Objection::OtherView => FailureCause::OtherView,
        Objection::Disconnected => disconnected(evidence),
        Objection::Stale => FailureCause::Stale,
        Objection::Rewinding => FailureCause::Older,
    }
}

fn disconnected(evidence: &Evidence) -> FailureCause {
    FailureCause::Disconnected(match &evidence.upstream {
        Upstream::Disconnected(why) => why.to_string(),
        Upstream::Connected => String::new(),
    })
}
