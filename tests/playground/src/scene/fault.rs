//! How a source can be broken.

use serde::{Deserialize, Serialize};

/// A way to break a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Fault {
    /// Its emitter is stopped: connections are refused
    Stop,
    /// Its emitter hangs: connections are accepted, and nothing comes; noticed after 90 seconds
    Hang,
    /// Something else answers in its emitter's place, with HTML
    Corrupt,
    /// Its emitter comes back with a selector that nothing has: an empty list
    Empty,
    /// Its API server is gone; its emitter still runs
    Apiserver,
}

/// How a source is, as far as the playground did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// As it should be.
    Well,
    /// Broken on purpose.
    Broken(Fault),
}

impl Fault {
    /// What has been done.
    pub(crate) const fn done(self) -> &'static str {
        match self {
            Self::Stop => "its emitter is stopped",
            Self::Hang => "its emitter hangs, which is noticed after 90 seconds of silence",
            Self::Corrupt => "something else answers in its emitter's place",
            Self::Empty => "its emitter runs with a selector that nothing has",
            Self::Apiserver => "its API server is stopped, its emitter runs",
        }
    }
}
