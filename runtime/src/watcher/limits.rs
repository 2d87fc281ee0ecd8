//! Delays, sizes and request intervals of a watcher.

use std::time::Duration;

/// A watcher's limits; the defaults suit a cluster anywhere in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time from a request to the head of its response, and for the body of a rejection.
    pub response: Duration,
    /// For a whole list, however many pages it has.
    pub list: Duration,
    /// For a watch without events and bookmarks, before the server is probed.
    pub silence: Duration,
    /// For the server to respond to that probe.
    pub probe: Duration,
    /// The size of one event.
    pub event_bytes: usize,
    /// The size of one page of a list.
    pub page_bytes: usize,
    /// The number of pages of a list.
    pub pages: usize,
    /// A watch that ends sooner was no success.
    pub shortest_watch: Duration,
    /// The least wait after a first failure.
    pub first_delay: Duration,
    /// The longest wait after many, unless the server names a longer one.
    pub longest_delay: Duration,
    /// The longest wait for a list, after an unreachable server responds again.
    pub compare: Duration,
    /// The least time between lists of a server whose watches break, and open again at once.
    pub compare_rarely: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            response: Duration::from_secs(30),
            list: Duration::from_secs(60),
            // A kube-apiserver sends bookmarks every minute, but need not.
            silence: Duration::from_secs(75),
            probe: Duration::from_secs(15),
            // etcd refuses values over 1.5 MB, and an event holds one object; JSON is
            // longer than what is stored.
            event_bytes: 8 << 20,
            page_bytes: 256 << 20,
            pages: 1000,
            shortest_watch: Duration::from_secs(1),
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(30),
            compare: Duration::from_secs(20),
            // Some load balancers end quiet connections every minute.
            compare_rarely: Duration::from_secs(600),
        }
    }
}
