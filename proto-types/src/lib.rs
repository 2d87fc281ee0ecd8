//! Types that emitter and reflector share on the wire, and nothing else.
//!
//! | module | holds |
//! |---|---|
//! | [`resource`] | the served kinds, with their groups, paths and printed names |
//! | [`revision`] | [`ResourceVersion`], comparable within one resource |
//! | [`object`] | [`ObjectKey`] and [`RawObject`]: one object as its server encoded it |
//! | [`evidence`] | origin of an answer, and the decision about what it may change |
//! | [`frame`] | watch events and lists as they come off the wire |
//! | [`selector`] | label and field selectors in Kubernetes' grammar |
//! | [`delta`] | watch events as differences from former versions |
//! | [`status`] | `Status`, the body of every refusal |
//! | [`label`] | labels and annotations that Heliograph writes or respects |
//! | [`multicluster`] | names of the Multi-Cluster Services API |
//! | [`name`] | names that become part of other names |
//!
//! Invariants: no I/O, no clock, no async. An object's bytes are never decoded
//! and encoded again on the way through: what a server wrote is what a consumer
//! reads, unknown fields included.

pub mod delta;
pub mod escape;
pub mod evidence;
pub mod frame;
pub mod label;
mod labels;
pub mod multicluster;
pub mod name;
pub mod object;
pub mod quote;
pub mod resource;
pub mod revision;
pub mod selector;
pub mod status;

pub use labels::Labels;
pub use object::{ObjectKey, RawObject};
pub use resource::Resource;
pub use revision::ResourceVersion;
pub use selector::{FieldSelector, LabelSelector};
pub use status::Status;
