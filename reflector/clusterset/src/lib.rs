//! The Multi-Cluster Services API (KEP-1645) as a pure function of state.
//!
//! ```text
//! Update ──▶ ClusterSet ──plan(key)──▶ Plan ──actions──▶ Action
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`api`] | resources, labels and annotations of the API |
//! | [`id`] | [`ClusterId`] |
//! | [`losses`] | what a cluster does not have any more, and its deletion holds |
//! | [`known`] | [`Known`]: data of one resource of one cluster, and how current it is |
//! | [`export`] | ServiceExports and exported Services, as a cluster declares them |
//! | [`cluster`] | [`Cluster`]: all that is known of one cluster of the set |
//! | [`local`], [`namespace`] | imports, derived Services, EndpointSlices and namespaces that exist in the local cluster |
//! | [`settings`] | configuration |
//! | [`update`] | [`Update`], a piece of news |
//! | [`state`] | [`ClusterSet`]: all of it, and the keys that an [`Update`] touches |
//! | `exports`, [`merge`], [`ports`], [`conflict`] | exports of many clusters become one import |
//! | [`admission`] | import policies: the part of exports that is imported |
//! | [`selector`], [`selection`] | which of the exporting clusters serve first |
//! | [`plan`](mod@plan), [`wanted`] | the desired state of one namespaced name |
//! | [`conditions`] | conditions of exports and imports |
//! | [`action`], `request` | the writes that establish a plan |
//! | [`explain`](mod@explain), [`reason`] | why an import is as it is, and what is wrong |
//! | [`unsupported`] | values that the local API server rejects |
//! | [`preview`] | the writes of all imports, in advance |
//! | [`left`], `adopt` | imports of other programs, and how they are adopted |
//! | [`name`] | names of derived Services and of copied EndpointSlices |
//!
//! Invariants:
//!
//! * A plan is a function of the state alone. It never fails.
//! * Every cluster computes the same import from the same exports: the order of events
//!   and the local cluster do not matter.
//! * Exports that were never listed are unknown. They never count as an empty set.
//! * What a cluster lacks in mass is held until another list lacks it too.
//! * Only objects with the mark of this program are changed or deleted, and those of a program
//!   that the configuration names in `adopt`.
//! * Performing the actions of a plan establishes it; then there are none.

pub mod action;
pub mod admission;
mod adopt;
pub mod api;
pub mod cluster;
pub mod conditions;
pub mod conflict;
pub mod explain;
pub mod export;
mod exports;
pub mod id;
pub mod known;
pub mod left;
pub mod local;
pub mod losses;
pub mod merge;
pub mod name;
pub mod namespace;
pub mod plan;
pub mod ports;
pub mod preview;
pub mod reason;
mod request;
pub mod selection;
pub mod selector;
pub mod settings;
pub mod state;
pub mod unsupported;
pub mod update;
pub mod wanted;

pub use action::{Action, Request, actions};
pub use cluster::Cluster;
pub use conflict::Conflict;
pub use explain::{ImportExplanation, ImportProblem, explain, problems};
pub use export::{Export, ExportedService};
pub use id::ClusterId;
pub use known::{Change, Known};
pub use left::{LeftSlice, Predecessor};
pub use local::{LocalState, Observed};
pub use losses::Part;
pub use plan::{Desired, Plan, plan};
pub use preview::{ImportAction, ImportPreview, previews};
pub use settings::{ClusterSettings, Settings};
pub use state::{ClusterSet, RelistRequest};
pub use update::{Schema, Update};
