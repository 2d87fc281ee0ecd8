//! Evidence of absence: the origin of an answer, and the decision about what it may change.
//!
//! An answer that lacks an object is evidence of its absence only if its origin allows that.
//! Every list and every watch carries [`Evidence`]. [`evaluate`] compares it with the [`Known`]
//! state and returns a [`Ruling`]. Readers of both programs use this function, and so does the
//! model checker in `tests/model`.
//!
//! Invariants:
//!
//! * Only [`Ruling::Replace`] and [`Ruling::Rewound`] make an object absent.
//! * A stale answer never changes the known position.
//! * Answers of another cluster have no effect.

mod table;

use std::collections::BTreeSet;

use crate::ResourceVersion;

pub use table::{Objection, Ruling, Weakness};

/// UID of the `kube-system` namespace of a cluster.
pub type ClusterId = Box<str>;

/// Name of a view, as an emitter reports it.
pub type ViewName = Box<str>;

/// Consecutive confirmed lists that must be older than the known position before a reader
/// accepts that the history went back, as after the restore of an etcd backup.
pub const REWIND_LISTS: u8 = 3;

/// Origin of a list or of a watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Identity of the first API server, if the server reports it.
    pub cluster: Option<ClusterId>,
    /// Name of the view, if the server reports it.
    pub view: Option<ViewName>,
    /// Worst connection state of all servers between the reader and the first API server.
    pub upstream: Upstream,
    /// Relation of the answer to the present.
    pub read: Read,
    /// Resource version; `None` if the server has none.
    pub position: Option<ResourceVersion>,
}

/// Connection of a server to the first API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// Connected. A kube-apiserver always counts as connected.
    Connected,
    /// Disconnected, for that reason: the server returns what it read earlier.
    Disconnected(Box<str>),
}

/// Relation of an answer to the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Read {
    /// List that was compared with a quorum read of the first API server during the request.
    Confirmed,
    /// List from memory that was not compared.
    Cached,
    /// Watch that continues at the known position.
    Resumed,
}

/// State of a reader: the identity that it expects, and the position that it reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Known {
    /// Clusters that are accepted.
    pub expected: Expected,
    /// Cluster of the known objects, if the server reported it.
    pub cluster: Option<ClusterId>,
    /// View of the known objects, if the server reported it.
    pub view: Option<ViewName>,
    /// Resource version up to which everything is known; `None` before the first list.
    pub position: Option<ResourceVersion>,
    /// Consecutive confirmed lists that were older than `position`.
    pub older: u8,
}

/// Clusters that a reader accepts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Expected {
    /// The first one that answers, and from then on no other.
    #[default]
    First,
    /// One of these. The one that answers first is the only one from then on.
    OneOf(BTreeSet<ClusterId>),
    /// Any cluster, and another one at any time.
    Any,
}

impl Evidence {
    /// Evidence of a confirmed list from a server that reports neither identity nor view.
    #[must_use]
    pub const fn confirmed(position: ResourceVersion) -> Self {
        Self {
            cluster: None,
            view: None,
            upstream: Upstream::Connected,
            read: Read::Confirmed,
            position: Some(position),
        }
    }
}

/// Decides what an answer may change.
#[must_use]
pub fn evaluate(known: &Known, offered: &Evidence) -> Ruling {
    table::ruling(known, offered)
}

impl Known {
    /// State of a reader that expects these clusters and has read nothing.
    #[must_use]
    pub fn expecting(expected: Expected) -> Self {
        Self {
            expected,
            ..Self::default()
        }
    }

    /// State after an answer was ruled.
    #[must_use]
    pub fn after(&self, offered: &Evidence, ruling: &Ruling) -> Self {
        let mut after = self.clone();
        match ruling {
            Ruling::Ignore(Objection::Rewinding) => after.older = self.older.saturating_add(1),
            Ruling::Ignore(_) | Ruling::AddOnly(_) => {}
            Ruling::Replace | Ruling::Rewound => {
                after.expected = self.expected.clone().narrowed(offered.cluster.as_ref());
                if offered.cluster.is_some() {
                    after.cluster.clone_from(&offered.cluster);
                }
                after.view.clone_from(&offered.view);
                after.older = 0;
                if offered.read != Read::Resumed {
                    after.position = offered.position;
                }
            }
        }
        after
    }

    /// Moves the position forward: a watch delivered everything up to there.
    pub fn advance(&mut self, position: ResourceVersion) {
        self.position = self.position.max(Some(position));
    }

    /// Returns whether an answer is older than the known position of the same history.
    fn is_older(&self, offered: &Evidence) -> bool {
        let is_before = offered.position.is_some() && offered.position < self.position;
        // Resource versions of different clusters do not compare.
        is_before && !self.is_of_another_cluster(offered)
    }

    fn is_of_another_cluster(&self, offered: &Evidence) -> bool {
        let both = self.cluster.as_ref().zip(offered.cluster.as_ref());
        both.is_some_and(|(known, offered)| known != offered)
    }
}

impl Expected {
    /// Checks an identity. `None` is a server that does not report it.
    pub fn check(&self, cluster: Option<&ClusterId>) -> Result<(), Objection> {
        match (self, cluster) {
            (Self::Any | Self::First, _) => Ok(()),
            (Self::OneOf(ids), Some(id)) if ids.contains(id) => Ok(()),
            (Self::OneOf(_), Some(_)) => Err(Objection::OtherCluster),
            (Self::OneOf(_), None) => Err(Objection::UnknownCluster),
        }
    }

    /// Expectation after that cluster was accepted.
    #[must_use]
    pub fn narrowed(self, cluster: Option<&ClusterId>) -> Self {
        match (self, cluster) {
            (Self::First | Self::OneOf(_), Some(id)) => Self::OneOf(BTreeSet::from([id.clone()])),
            (expected, _) => expected,
        }
    }
}

#[cfg(test)]
mod tests;
