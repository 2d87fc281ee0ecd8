//! What a reader is doing at the moment.

use std::pin::Pin;

use proto_types::Revision;
use tokio::time::Instant;

use super::server::{Page, Server, Trouble};
use super::watch::Watch;

type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send>>;

/// What a reader is doing.
pub(super) enum State {
    Waiting {
        until: Instant,
        then: Step,
    },
    Listing {
        list: Pending<Page>,
        at_least: Option<Revision>,
    },
    Opening {
        watch: Pending<Watch>,
    },
    Watching(Box<Watch>),
}

/// What it does next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    List { at_least: Option<Revision> },
    ListAt { revision: Revision },
    Watch { from: Revision },
}

impl Server {
    /// Prepares that step; nothing is sent before it is polled.
    pub(super) fn begin(self, step: Step) -> State {
        match step {
            Step::List { at_least } => State::Listing {
                list: Box::pin(self.list(at_least)),
                at_least,
            },
            Step::ListAt { revision } => State::Listing {
                list: Box::pin(self.list_at(revision)),
                at_least: None,
            },
            Step::Watch { from } => State::Opening {
                watch: Box::pin(self.watch(from)),
            },
        }
    }
}
