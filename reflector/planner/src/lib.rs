//! Desired objects and the writes that create them, independently of any
//! API server.
//!
//! ```text
//! Update ──▶ World ──plan(key)──▶ Plan {Verdict, Problem} ──steps──▶ Step
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`policy`] | what was configured, checked as a whole |
//! | [`name`] | names of sources and mirrors |
//! | [`source`] | state of a source, and its certainty: [`SourceState`] |
//! | [`local`] | what is observed in the local cluster, managed objects only |
//! | [`index`] | [`Index`]: all of it, and which keys a change touches |
//! | [`update`] | [`Update`]: entry of all changes into the [`Index`] |
//! | [`plan`](mod@plan) | what should exist under a [`MirrorKey`] |
//! | [`explain`](mod@explain), [`preview`] | the same, with the reasons |
//! | [`inspect`] | Services with members and endpoints, for people |
//! | [`diff`](mod@diff) | [`Desired`] against what is observed |
//! | [`step`] | the writes, ready to be sent |
//! | [`service`], [`mod@slice`], [`mirror`] | the two kinds of object, read and written |
//! | `plan::global` | Services of many clusters that become one |
//! | [`mod@endpoints`] | sources that have Endpoints and no slices |
//! | [`adopt`] | mirrors of the predecessors, which are adopted |
//! | [`import`] | what may come in from a source |
//! | [`address`] | what may not pass |
//! | [`hold`] | deletions that a source causes in mass |
//! | [`staleness`] | treatment of endpoints while their source is stale |
//! | [`rejected`] | optional fields that the local API server does not take |
//! | [`problem`] | what could not be done, in users' words |
//!
//! Invariants:
//!
//! * A plan is a function of the [`Index`] alone; it is total, and never fails.
//! * Only a completed list, or a delete event, of a source that is followed now leads
//!   to a delete. What cannot be read is not taken for what is not there.
//! * Doing the steps of a plan makes it true; then there are none.
//! * A step names the version that it is about, and only objects with the ownership label are
//!   observed: an unmanaged object is neither changed nor deleted.
//! * Neither clock, I/O nor async: time comes as an argument.

pub mod address;
pub mod adopt;
pub mod diff;
pub mod endpoints;
pub mod explain;
pub mod hold;
pub mod import;
pub mod index;
pub mod inspect;
pub mod local;
pub mod mirror;
pub mod name;
pub mod plan;
pub mod policy;
pub mod preview;
pub mod problem;
pub mod rejected;
pub mod service;
mod shared;
pub mod slice;
pub mod source;
pub mod staleness;
pub mod step;
pub mod update;
mod wire;

pub use adopt::ExistingObject;
pub use diff::{Action, Desired, diff};
pub use endpoints::SourceEndpoints;
pub use explain::{Explanation, explain};
pub use hold::{DeletionHold, HeldDeletions, HoldReason, MonotonicTime};
pub use import::{Import, ImportViolation};
pub use index::{AffectedKeys, Claim, Index, RelistRequest, selector_of_left_behind};
pub use local::{LocalChange, LocalList, LocalState, WriteFailure};
pub use mirror::{
    LocalObject, Mirror, MirrorEndpoints, MirrorService, MirrorSlice, Observed, Role, Version,
};
pub use name::{GlobalPlacement, MirrorKey, Naming, Placement, SourceName};
pub use plan::{Plan, Reason, plan};
pub use policy::{
    CoreEndpoints, GlobalPolicy, MemberPolicy, MissingNamespaces, Policy, PolicyRight, Rank,
    RemovedSources, Sharing, SourcePolicy,
};
pub use preview::{PlannedAction, ServicePreview, previews};
pub use problem::{Conflict, Problem, ProblemCause};
pub use rejected::OptionalField;
pub use source::{
    Change, Exported, ServiceContent, SourceService, SourceSlice, SourceState, UpstreamContact,
};
pub use staleness::{Age, Staleness, StalenessOf};
pub use step::{Step, Write, steps};
pub use update::Update;
