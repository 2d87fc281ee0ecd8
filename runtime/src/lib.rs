//! Process plumbing and the list/watch reader, independently of what either program does with them.
//!
//! | module | does |
//! |---|---|
//! | [`certificate`] | judges certificates as Go does |
//! | [`client`] | builds a client for a cluster, without contacting it |
//! | [`document()`] | reads one small JSON document of a server |
//! | [`files`] | how many connections a process may have |
//! | [`flags`] | reads flags as Go programs do, for the programs that these replace |
//! | [`watcher`] | follows one resource of one cluster: list, watch, and again |
//! | [`listen`] | binds a socket; an error names the address and the cause |
//! | [`admin`] | liveness, readiness and metrics over HTTP |
//! | [`log`] | what is logged, and how |
//! | [`multicluster`] | finds the version of the Multi-Cluster Services API that a cluster serves |
//! | [`network`] | the system's sockets, or connections within the process |
//! | [`page`] | pages of the admin port |
//! | [`shutdown`] | signals become a cancellation |
//! | [`supervise`] | contains panics, and delays restarts |
//! | [`task`] | runs named tasks until shutdown or the first failure |
//! | [`upstream`] | connection of an emitter to its upstream, as it reports it |
//!
//! Invariants: this crate has no notion of sources, mirrors and exports, and nothing runs that its
//! caller did not start and cannot stop.

pub mod admin;
pub mod certificate;
pub mod client;
mod document;
pub mod files;
pub mod flags;
pub mod listen;
pub mod log;
pub mod multicluster;
pub mod network;
pub mod page;
mod print;
mod reasons;
pub mod shutdown;
pub mod supervise;
pub mod task;
pub mod upstream;
pub mod watcher;

#[cfg(test)]
mod mock_server;

pub use admin::{Flag, Readiness};
pub use client::{Access, Authority, Token, connect};
pub use document::{Unread, document};
pub use log::{LogFilter, LogFormat};
pub use network::Network;
pub use print::print;
pub use reasons::reasons;
pub use supervise::{Restarts, contain, contain_call};
pub use task::Tasks;
pub use watcher::{
    Amount, Budget, Event, Failure, FailureCause, IdentityCheck, Limits, Listing, ReportedIdentity,
    Scope, Watcher,
};

/// Commit that the programs were built from, where the build sets `HELIOGRAPH_REVISION`.
pub const REVISION: &str = match option_env!("HELIOGRAPH_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
