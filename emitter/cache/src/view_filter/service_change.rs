//! Objects whose Service changed.

use std::sync::Arc;

use proto_types::ResourceVersion;

use super::{IndexedService, Turn, ViewFilter};
use crate::Entry;

/// Objects that may have become visible or hidden because their Service changed. They did
/// not change themselves, so no watch event can show that.
#[derive(Debug, Clone)]
pub struct ServiceChange {
    /// Change of the Service.
    pub turn: Arc<Turn>,
    /// Objects of the Service at that resource version.
    pub entries: Vec<Arc<Entry>>,
}

impl ServiceChange {
    /// Returns the resource version of the change of the Service.
    #[must_use]
    pub fn revision(&self) -> ResourceVersion {
        self.turn.revision
    }

    /// Returns whether a grant shows something else afterwards.
    #[must_use]
    pub fn concerns(&self, grant: &ViewFilter) -> bool {
        let (before, after) = (self.turn.before.as_deref(), self.turn.after.as_deref());
        let names = |owner: Option<&IndexedService>| grant.names(owner);
        let cuts_otherwise = grant.cuts() && names(before) != names(after);
        let differs = |entry: &Arc<Entry>| {
            let seen = grant.sees_as(entry, after);
            seen != grant.sees_as(entry, before) || seen && cuts_otherwise
        };
        !grant.rules().show_whole_namespaces() && self.entries.iter().any(differs)
    }
}
