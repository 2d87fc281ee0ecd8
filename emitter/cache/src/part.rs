//! Parts of objects, and metadata of lists and bookmarks.

use proto_types::{ResourceVersion, label};

/// A part of an object's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The whole object.
    Whole,
    /// The value of `metadata`.
    Metadata,
}

/// Annotation of a bookmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The initial events end with it.
    InitialEventsEnd,
    /// The emitter is disconnected from its upstream.
    Disconnected,
    /// None.
    None,
}

impl Note {
    /// Returns it as a member of the metadata, after another one.
    pub(crate) fn annotations(self) -> String {
        let (name, value) = match self {
            Self::InitialEventsEnd => (label::INITIAL_EVENTS_END, "true"),
            Self::Disconnected => (label::UPSTREAM, label::DISCONNECTED),
            Self::None => return String::new(),
        };
        format!(r#","annotations":{{"{name}":"{value}"}}"#)
    }
}

/// Metadata of a list.
#[derive(Debug, Default)]
pub struct ListMeta {
    /// Resource version of the list.
    pub revision: ResourceVersion,
    /// Token of the next page, if there is one.
    pub continue_token: Option<String>,
    /// Number of objects on further pages, if it is known.
    pub remaining: Option<usize>,
}

impl ListMeta {
    pub(crate) fn to_json(&self) -> String {
        use std::fmt::Write;
        let mut json = format!(r#"{{"resourceVersion":"{}""#, self.revision);
        if let Some(token) = &self.continue_token {
            let _ = write!(json, r#","continue":"{token}""#);
        }
        if let Some(remaining) = self.remaining {
            let _ = write!(json, r#","remainingItemCount":{remaining}"#);
        }
        json.push('}');
        json
    }
}
