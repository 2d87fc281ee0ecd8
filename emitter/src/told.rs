//! Clients that were sent the state after a change that resource versions do not show.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;
use proto_types::Revision;

/// Maximum number of clients; others list until the resource version moves on.
const MAX_CLIENTS: usize = 10_000;

/// First revision that each client was sent.
#[derive(Debug)]
pub struct Told<C>(Mutex<HashMap<C, Revision>>);

impl<C> Default for Told<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C: Eq + Hash> Told<C> {
    /// Notes that a client was sent the state at a revision.
    pub fn note(&self, client: C, revision: Revision) {
        let mut clients = self.0.lock();
        if let Some(first) = clients.get_mut(&client) {
            *first = revision.min(*first);
        } else if clients.len() < MAX_CLIENTS {
            clients.insert(client, revision);
        }
    }

    /// Returns whether a client that holds a revision can have it from here.
    pub fn knows(&self, client: &C, revision: Revision) -> bool {
        let clients = self.0.lock();
        clients.get(client).is_some_and(|first| *first <= revision)
    }

    /// Forgets all clients.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_CLIENTS, Revision, Told};

    #[test]
    fn a_client_holds_only_what_it_was_sent() {
        let told = Told::default();
        told.note(1, Revision::new(7));
        told.note(1, Revision::new(9));
        assert!(told.knows(&1, Revision::new(7)) && told.knows(&1, Revision::new(8)));
        assert!(!told.knows(&1, Revision::new(6)) && !told.knows(&2, Revision::new(7)));
    }

    #[test]
    fn no_more_clients_are_noted_than_a_limit() {
        let told = Told::default();
        (0..=MAX_CLIENTS).for_each(|client| told.note(client, Revision::new(1)));
        assert!(told.knows(&(MAX_CLIENTS - 1), Revision::new(1)));
        assert!(!told.knows(&MAX_CLIENTS, Revision::new(1)));
    }
}
