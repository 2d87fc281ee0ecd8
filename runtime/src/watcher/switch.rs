//! Switch of a watcher to another replica.

use proto_types::evidence::Ruling;

use super::replica_search::ReplicaSearch;
use super::state::State;
use super::watch::Watch;
use super::{Event, Watcher};

impl Watcher {
    /// Searches for another server while the one of the watch is disconnected.
    pub(super) fn search(&mut self, is_disconnected: bool) {
        let State::Watching { search, .. } = &mut self.state else {
            return;
        };
        let from = self.known.position.filter(|_| is_disconnected);
        match from {
            Some(from) if search.is_none() => {
                *search = Some(Box::new(ReplicaSearch::new(self.server.clone(), from)));
            }
            Some(_) => {}
            None => *search = None,
        }
    }

    /// Another server is connected: continues there, unless its watch would not continue this one.
    pub(super) fn found(&mut self, watch: Box<Watch>) -> Option<Event> {
        if !matches!(self.evaluate(watch.origin()), Ruling::Replace) {
            return None;
        }
        self.ends();
        self.state = State::watching(watch);
        Some(Event::Connected)
    }
}
