//! Causes of failures that a ruling is.

use proto_types::evidence::{Evidence, Objection, Upstream, Weakness};

use super::Cause;

pub(super) fn why_weak(weakness: Weakness, evidence: &Evidence) -> Cause {
    match weakness {
        Weakness::Disconnected => disconnected(evidence),
        Weakness::Unconfirmed => Cause::Unconfirmed,
    }
}

pub(super) fn why_ignored(objection: Objection, evidence: &Evidence) -> Cause {
    let cluster = || evidence.cluster.as_deref().unwrap_or("unknown").to_owned();
    match objection {
        Objection::OtherCluster => Cause::Replaced(cluster()),
        Objection::UnknownCluster => Cause::Unidentified(cluster()),
        Objection::OtherView => Cause::OtherView,
        Objection::Disconnected => disconnected(evidence),
        Objection::Stale => Cause::Stale,
        Objection::Rewinding => Cause::Older,
    }
}

fn disconnected(evidence: &Evidence) -> Cause {
    Cause::Disconnected(match &evidence.upstream {
        Upstream::Disconnected(why) => why.to_string(),
        Upstream::Connected => String::new(),
    })
}
