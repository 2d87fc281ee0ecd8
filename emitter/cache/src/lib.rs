//! Exported objects, and their recent changes.
//!
//! | module | holds |
//! |---|---|
//! | [`descriptor`] | what sets the objects of one resource apart |
//! | [`fields`] | which fields of an object leave the cluster: cut once, at ingest |
//! | [`entry`] | one version of an object, with what selectors and encodings need |
//! | [`part`] | parts of objects, metadata of lists and bookmarks |
//! | [`change`], [`view_event`] | one step of history, and what a consumer's view sees of it |
//! | [`store`] | the objects, their history, relists as the fewest changes |
//! | [`view_filter`] | view of one client |
//! | [`joined`] | EndpointSlices and Endpoints in step with their Services |
//! | [`view`] | view of one kind of client: scope, selectors, encoding |
//! | [`encode`] | encoded watch events and list bodies, made of the upstream's bytes |
//! | [`protobuf`], [`protobuf_body`] | the same in Kubernetes' protobuf, by a table of its fields |
//! | [`table`] | the columns that kubectl prints |
//! | [`event_buffer`] | encoded events of one view, shared by all its watches |
//! | [`packed`] | encoded watch events, as they are and compressed |
//! | [`page`] | continue tokens |
//!
//! Invariants:
//! * One owner writes a [`Store`]; time comes in as an argument.
//! * Every change has one resource version, given by the upstream; resource versions only grow.
//! * `list` at R, then the changes after R, equals the present (a property test).
//! * A change is encoded at most once per event type and encoding, however many
//!   views and watchers see it ([`encode::Encoder::encoded`] counts).

pub mod change;
pub mod descriptor;
pub mod encode;
pub mod entry;
pub mod event_buffer;
pub mod fields;
pub mod joined;
pub mod packed;
pub mod page;
pub mod part;
pub mod protobuf;
pub mod protobuf_body;
pub mod store;
pub mod table;
pub mod view;
pub mod view_event;
pub mod view_filter;

pub use change::Change;
pub use descriptor::ResourceDescriptor;
pub use entry::Entry;
pub use event_buffer::EventBuffer;
pub use fields::Fields;
pub use joined::Joined;
pub use packed::Encoded;
pub use part::{ListMeta, Note, Part};
pub use store::{Limits, Store};
pub use view::{Encoding, Scope, View};
pub use view_event::ViewEvent;
pub use view_filter::ViewFilter;
