//! Exports of one Service by all clusters of the set.

use std::borrow::Cow;
use std::collections::BTreeSet;

use proto_types::ObjectKey;

use crate::cluster::{Contribution, Invalid};
use crate::id::ClusterId;
use crate::merge::{self, Member};
use crate::state::ClusterSet;

/// Exports of one Service by all clusters, as far as they are known.
pub(crate) struct Exports<'a> {
    /// Known exports, by precedence.
    pub(crate) members: Vec<Member<'a>>,
    /// Clusters whose exports are not known.
    pub(crate) unknown: BTreeSet<ClusterId>,
    /// Those of them whose exports or Services were not listed.
    pub(crate) unlisted: BTreeSet<ClusterId>,
}

impl Exports<'_> {
    /// Returns whether the EndpointSlices of all exporters were listed.
    pub(crate) fn are_listed(&self, set: &ClusterSet) -> bool {
        let is_listed = |it: &Member<'_>| {
            let known = set.clusters().get(it.cluster);
            known.is_some_and(|it| !it.slices.is_unlisted())
        };
        self.members.iter().all(is_listed)
    }
}

/// Returns the exports of a Service.
pub(crate) fn exports<'a>(set: &'a ClusterSet, key: &ObjectKey) -> Exports<'a> {
    let mut exports = Exports {
        members: Vec::new(),
        unknown: BTreeSet::new(),
        unlisted: BTreeSet::new(),
    };
    if !set.is_allowed(key.namespace()) {
        return exports;
    }
    for (id, cluster) in set.clusters() {
        match cluster.contribution(key) {
            // What cannot be read is there.
            Contribution::Held(_, None) | Contribution::Invalid(_, Invalid::Unreadable(_)) => {
                exports.unknown.insert(id.clone());
            }
            Contribution::None | Contribution::Invalid(..) => {}
            Contribution::Unknown => {
                exports.unknown.insert(id.clone());
                exports.unlisted.insert(id.clone());
            }
            Contribution::Exported(export, definition)
            | Contribution::Held(_, Some((export, definition))) => exports.members.push(Member {
                cluster: id,
                export,
                definition: Cow::Borrowed(definition),
            }),
        }
    }
    merge::sort(&mut exports.members);
    exports
}
