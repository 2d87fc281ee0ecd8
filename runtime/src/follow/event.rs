//! What is followed, and what is heard of it.

use proto_types::resource::Names;
use proto_types::{LabelSelector, RawObject, Revision};

use super::Failure;

/// What is followed.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The resource.
    pub resource: &'static Names,
    /// Its namespace; all of them if absent.
    pub namespace: Option<String>,
    /// The server filters with it, so that what stops matching is deleted here.
    pub selector: LabelSelector,
}

/// What was read.
#[derive(Debug)]
pub enum Event {
    /// A completed list: what is not in it does not exist at its revision.
    Listed(Listing),
    /// An object is there, or changed.
    Applied(RawObject),
    /// An object is gone: its last content, with the revision of its end.
    Deleted(RawObject),
    /// Everything up to here has been told.
    Progress(Revision),
    /// A watch began: the server answers.
    Connected,
    /// The server was lost and will be tried again: what was told may be stale.
    Failed(Failure),
}

/// Everything that exists at one revision.
#[derive(Debug)]
pub struct Listing {
    /// The revision.
    pub revision: Revision,
    /// The objects, in the server's order.
    pub objects: Vec<RawObject>,
    /// Whether the server's history went back behind what was told before, as
    /// after a restore from a backup.
    pub rewound: bool,
}
