//! Scope of a watch, and its events.

use proto_types::evidence::{Evidence, Ruling};
use proto_types::resource::ApiResource;
use proto_types::{LabelSelector, RawObject, ResourceVersion};

use super::Failure;

/// Scope of a watch.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The resource.
    pub resource: &'static ApiResource,
    /// Its namespace; all of them if absent.
    pub namespace: Option<String>,
    /// The server filters with it, so that what stops matching is deleted here.
    pub selector: LabelSelector,
}

/// Event of a watcher.
#[derive(Debug)]
pub enum Event {
    /// A completed list. An object that is not in it does not exist if its ruling counts absences.
    Listed(Listing),
    /// An object is there, or changed.
    Applied(RawObject),
    /// An object is gone: its last content, with the resource version of its end.
    Deleted(RawObject),
    /// Everything up to that resource version was reported.
    Progress(ResourceVersion),
    /// A watch began: the server answers.
    Connected,
    /// The connection failed and is retried: reported objects can be stale.
    Failed(Failure),
}

/// Everything that a server returned for one resource version.
#[derive(Debug)]
pub struct Listing {
    /// Resource version; zero where the server has none.
    pub revision: ResourceVersion,
    /// Objects, in the server's order.
    pub objects: Vec<RawObject>,
    /// Origin of the list.
    pub evidence: Evidence,
    /// Effect of the list: additions, changes and absences, or additions and changes alone.
    /// Never [`Ruling::Ignore`]: such a list is no event.
    pub ruling: Ruling,
    /// `true` if the list only checked for events that the watches before it had missed.
    pub is_comparison: bool,
}

impl Listing {
    /// List that is complete and confirmed, at a resource version.
    #[must_use]
    pub const fn confirmed(revision: ResourceVersion, objects: Vec<RawObject>) -> Self {
        Self {
            revision,
            objects,
            evidence: Evidence::confirmed(revision),
            ruling: Ruling::Replace,
            is_comparison: false,
        }
    }

    /// Returns whether the history legitimately went back behind an earlier list.
    #[must_use]
    pub const fn is_rewound(&self) -> bool {
        matches!(self.ruling, Ruling::Rewound)
    }
}
