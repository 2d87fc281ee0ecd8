//! Counts of what the links carry.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Node;

/// Numbers of bytes and requests of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Bytes of answers, in their content coding, without heads.
    pub(crate) n_bytes: u64,
    /// Requests.
    pub(crate) n_requests: u64,
}

/// Traffic of each link, from a client to a server. It counts nothing until it is switched on.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Option<BTreeMap<(Node, Node), Traffic>>>);

impl Meter {
    /// Begins to count, or begins again.
    pub(crate) fn start(&self) {
        *self.0.lock() = Some(BTreeMap::new());
    }

    /// Returns what was counted so far.
    pub(crate) fn traffic(&self) -> BTreeMap<(Node, Node), Traffic> {
        self.0.lock().clone().unwrap_or_default()
    }

    pub(super) fn requested(&self, link: (&Node, &Node)) {
        self.change(link, |it| it.n_requests += 1);
    }

    pub(super) fn sent(&self, link: (&Node, &Node), n_bytes: usize) {
        self.change(link, |it| it.n_bytes += n_bytes as u64);
    }

    fn change(&self, (client, server): (&Node, &Node), change: impl FnOnce(&mut Traffic)) {
        if let Some(traffic) = &mut *self.0.lock() {
            let link = (Arc::clone(client), Arc::clone(server));
            change(traffic.entry(link).or_default());
        }
    }
}
