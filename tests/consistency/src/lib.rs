//! Independent checker of watch histories.
//!
//! It knows the Kubernetes list/watch protocol and no code of an emitter. [`Truth`] is what
//! happened upstream, [`Seen`] what one client received, and [`Judge`] decides whether the
//! second is a legal view of the first:
//!
//! * A list at a resource version shows exactly what the view shows at that resource version. So
//!   does a
//!   bookmark, but deletions may have come before their resource version.
//! * An event shows a version that existed and was visible, with a resource version that is not
//!   before the client's. What it does not show yet is followed by a later event.
//! * In the end the client has exactly what its view shows.
//! * A watch resumes only under the view under which its client listed, or the client has to
//!   list before the end.
//!
//! | module | holds |
//! |---|---|
//! | [`truth`] | histories of the upstream, and what a view shows at a resource version |
//! | [`mod@judge`] | the decision |
//! | [`record`] | recorded traffic as lines of JSON |

pub mod judge;
pub mod record;
pub mod truth;

pub use judge::{Illegal, Judge, Seen, Verb};
pub use truth::{Event, History, Key, Shown, Truth, Version, View};
