//! Changes as views see them.

use proto_types::frame::EventType;

use crate::Entry;

/// Change as a view sees it.
#[derive(Debug, Clone, Copy)]
pub enum ViewEvent<'a> {
    /// The object came into view.
    Added(&'a Entry),
    /// The object stays in view.
    Modified(&'a Entry),
    /// The object left the view; this is its last content there.
    Deleted(&'a Entry),
}

impl<'a> ViewEvent<'a> {
    pub(crate) const fn of(before: Option<&'a Entry>, after: Option<&'a Entry>) -> Option<Self> {
        match (before, after) {
            (None, Some(after)) => Some(Self::Added(after)),
            (Some(_), Some(after)) => Some(Self::Modified(after)),
            (Some(before), None) => Some(Self::Deleted(before)),
            (None, None) => None,
        }
    }

    /// Returns the type of the watch event.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::Added(_) => EventType::Added,
            Self::Modified(_) => EventType::Modified,
            Self::Deleted(_) => EventType::Deleted,
        }
    }
}
