//! A Kubernetes API in memory: to read, to write, and to break.
//!
//! It keeps and serves objects as an emitter does, with the same store, lists and
//! watches, and adds what writing needs: defaults, validation, conflicts, patches,
//! server-side apply, addresses of Services. Tens of clusters run in one process; each
//! has a listener, an authority and a kubeconfig of its own, and can be told to fail in
//! every way that a real one can.
//!
//! ```text
//!            ┌ connections ┐    ┌ faults ┐     ┌ write ┐ admission ┌ Hub ┐
//!  client ──▶│ refuse, cut │ ──▶│ answer │ ──▶ │ patch │ ────────▶ │ ... │ one a kind
//!            │ freeze      │    │ hang   │     └───────┘           └─────┘
//!            └─────────────┘    └────────┘ ──▶ get, list, watch ─────▲
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`cluster`] | the handle: start, stop, fail, heal, audit |
//! | [`kind`] | what is served, and what sets it apart |
//! | [`fault`] | the ways to fail |
//! | [`audit`] | what was written, and by whom |
//!
//! Invariants: one lock orders all writes of a cluster, so that resource versions are those of one
//! history; a cluster that is dropped leaves nothing.

mod address;
mod api;
pub mod audit;
mod body;
mod certificate;
pub mod cluster;
mod decode;
mod defaults;
mod discovery;
pub mod fault;
pub mod kind;
mod managed;
mod metadata;
mod refusal;
mod route;
mod rows;
mod schema;
mod serve;
mod service;
mod state;
mod validate;
mod write;

pub use audit::{Audit, Write};
pub use cluster::{EmbeddedCluster, Options};
pub use fault::{Fault, Verb};
pub use kind::Kind;
pub use state::{Backup, Change, Observer};
