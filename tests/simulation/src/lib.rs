//! Whole fleets in one process, on a virtual clock and a virtual network.
//!
//! ```text
//!  plan (from a seed) ─▶ run ─▶ fleet: clusters, emitters, relays, reflectors, operators
//!                         │        │ requests            │ every change
//!                         │        ▼                     ▼
//!                         │     network (faults)      oracle (truth, invariants)
//!                         ▼                              │
//!                      outcome ◀─────────────────────────┘
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`plan`] | fleet and schedule of a run |
//! | [`run`](mod@run) | one run, from a plan to its outcome |
//! | [`settings`] | configuration of reflectors, and what it demands |
//! | [`network`] | links between nodes, and their faults |
//! | [`oracle`] | invariants, judged by the true history of every source |
//! | `fleet`, `program`, `operator` | what runs, and who works there |
//! | `consumer` | clients of emitters, judged by the checker of watch histories |
//! | [`tree`] | many clusters that read a few through relays, with what their links carry |
//! | `entropy`, `trace` | what makes a run repeatable, and shows that it is |
//!
//! Invariants: programs run unchanged; everything random follows from the seed.

mod consumer;
mod entropy;
mod fleet;
pub mod network;
mod operator;
pub mod oracle;
pub mod plan;
mod program;
pub mod run;
pub mod sabotage;
pub mod script;
pub mod settings;
mod trace;
pub mod tree;
mod truth;

pub use plan::Plan;
pub use run::{Outcome, run};
