//! Clients that were sent the state after a change that resource versions do not show.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use parking_lot::Mutex;
use proto_types::ResourceVersion;

/// Maximum number of clients; others list until the resource version moves on.
const MAX_CLIENTS: usize = 10_000;

/// Maximum number of resource versions for each client; its processes list at different times.
const MAX_REVISIONS: usize = 8;

/// Resource versions of the lists that each client was sent. What it received since then may have
/// come from another replica, so no other resource version is comparable.
#[derive(Debug)]
pub struct Told<C>(Mutex<HashMap<C, VecDeque<ResourceVersion>>>);

impl<C> Default for Told<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C: Eq + Hash> Told<C> {
    /// Notes that a client was sent the state at a resource version.
    pub fn note(&self, client: C, revision: ResourceVersion) {
        let mut clients = self.0.lock();
        let is_known = clients.contains_key(&client);
        if !is_known && MAX_CLIENTS <= clients.len() {
            return;
        }
        let revisions = clients.entry(client).or_default();
        if !revisions.contains(&revision) {
            revisions.push_back(revision);
        }
        if MAX_REVISIONS < revisions.len() {
            revisions.pop_front();
        }
    }

    /// Returns whether a client was sent a list of that resource version.
    pub fn knows(&self, client: &C, revision: ResourceVersion) -> bool {
        let clients = self.0.lock();
        let revisions = clients.get(client);
        revisions.is_some_and(|revisions| revisions.contains(&revision))
    }

    /// Forgets all clients.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_CLIENTS, ResourceVersion, Told};

    #[test]
    fn a_client_holds_only_what_it_was_sent() {
        let told = Told::default();
        told.note(1, ResourceVersion::new(7));
        told.note(1, ResourceVersion::new(9));
        assert!(told.knows(&1, ResourceVersion::new(7)) && told.knows(&1, ResourceVersion::new(9)));
        assert!(
            !told.knows(&1, ResourceVersion::new(8)) && !told.knows(&2, ResourceVersion::new(7))
        );
        (10..20).for_each(|revision| told.note(1, ResourceVersion::new(revision)));
        assert!(
            !told.knows(&1, ResourceVersion::new(7)) && told.knows(&1, ResourceVersion::new(19))
        );
    }

    #[test]
    fn no_more_clients_are_noted_than_a_limit() {
        let told = Told::default();
        (0..=MAX_CLIENTS).for_each(|client| told.note(client, ResourceVersion::new(1)));
        assert!(told.knows(&(MAX_CLIENTS - 1), ResourceVersion::new(1)));
        assert!(!told.knows(&MAX_CLIENTS, ResourceVersion::new(1)));
    }
}
