//! The planner of the Multi-Cluster Services API, against a small API server in memory.

#![allow(clippy::panic, clippy::unwrap_used)]

mod adopt;
mod conflicts;
mod evidence;
mod explain;
mod exports;
mod holds;
mod imports;
mod lab;
mod laws;
mod policies;
mod previews;
mod scale;
mod selection;
mod traps;
