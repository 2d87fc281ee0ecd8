//! State of a watcher.

use std::future::pending;

use proto_types::ResourceVersion;
use tokio::time::Instant;

use super::replica_search::ReplicaSearch;
use super::request::Pending;
use super::server::{Page, Server};
use super::watch::{Watch, WatchItem};

/// State of a watcher.
pub(super) enum State {
    Waiting {
        until: Instant,
        then: Step,
    },
    Listing {
        list: Pending<Page>,
    },
    Opening {
        watch: Pending<Watch>,
    },
    Watching {
        watch: Box<Watch>,
        /// Search for another server, while this one is disconnected.
        search: Option<Box<ReplicaSearch>>,
    },
}

/// Event while a watch is open.
pub(super) enum WatchStep {
    /// The watch sent an item.
    Item(WatchItem),
    /// A watch is open at a connected server.
    Found(Box<Watch>),
    /// A comparison is due.
    Due,
}

/// Next step of a watcher.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Lists the present.
    List,
    /// Lists the present, after a list that was not enough: by a new connection, which may
    /// lead to another replica, and only where the server is connected to its upstream.
    ListByNewConnection,
    /// Lists the state at a resource version.
    ListAt { revision: ResourceVersion },
    /// Watches from a resource version on.
    Watch { from: ResourceVersion },
    /// The same, for a watch that was quiet for too long. The server must respond soon.
    Probe { from: ResourceVersion },
}

impl State {
    /// A watch whose server is connected.
    pub(super) const fn watching(watch: Box<Watch>) -> Self {
        let search = None;
        Self::Watching { watch, search }
    }
}

/// Returns what comes next while a watch is open. Cancel safe.
pub(super) async fn news(
    watch: &mut Watch,
    search: Option<&mut Box<ReplicaSearch>>,
    due: Option<Instant>,
) -> WatchStep {
    let found = async {
        match search {
            Some(search) => search.next().await,
            None => pending().await,
        }
    };
    let due = async {
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => pending().await,
        }
    };
    tokio::select! {
        biased;
        heard = watch.next() => WatchStep::Item(heard),
        found = found => WatchStep::Found(Box::new(found)),
        () = due => WatchStep::Due,
    }
}

impl Server {
    /// Prepares that step; nothing is sent before it is polled.
    pub(super) fn begin(self, step: Step) -> State {
        match step {
            Step::List => State::Listing {
                list: Box::pin(self.list()),
            },
            Step::ListByNewConnection => State::Listing {
                list: Box::pin(self.list_by_new_connection()),
            },
            Step::ListAt { revision } => State::Listing {
                list: Box::pin(self.list_at(revision)),
            },
            Step::Watch { from } => State::Opening {
                watch: Box::pin(self.watch(from)),
            },
            Step::Probe { from } => State::Opening {
                watch: Box::pin(self.probe(from)),
            },
        }
    }
}
