//! Watch events and lists as they come off the wire.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::ResourceVersion;
use crate::resource::ApiResource;

/// Type of a watch event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    /// The object came to be, or came to match the selector.
    Added,
    /// The object changed.
    Modified,
    /// The object is gone, or no longer matches the selector.
    Deleted,
    /// Nothing happened up to the object's resource version.
    Bookmark,
    /// The watch ends here; the object is a `Status`.
    Error,
}

impl EventType {
    /// As the wire spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }
}

/// One line of a watch.
#[derive(Debug, Deserialize)]
pub struct WatchEvent<'a> {
    /// Type of the event.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The object, undecoded.
    #[serde(borrow)]
    pub object: &'a RawValue,
}

/// A list, its items undecoded.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List<'a> {
    /// Kind; empty where the server sends none.
    #[serde(default)]
    pub kind: std::borrow::Cow<'a, str>,
    /// API version; empty where the server sends none.
    #[serde(default)]
    pub api_version: std::borrow::Cow<'a, str>,
    /// Resource version and continue token.
    pub metadata: ListMeta,
    /// The items. Go writes `null` for an empty list of some kinds, but never omits them.
    #[serde(borrow, deserialize_with = "present")]
    pub items: Option<Vec<&'a RawValue>>,
}

/// Maximum number of items of a page: each takes room before it is read, however short
/// it is.
pub const MAX_ITEMS: usize = 500_000;

/// Reads items, which may be null but not absent, as far as they are not too many.
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<&'de RawValue>>, D::Error> {
    struct Items;
    impl<'de> Visitor<'de> for Items {
        type Value = Option<Vec<&'de RawValue>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of objects")
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = all.next_element()? {
                if MAX_ITEMS <= items.len() {
                    return Err(A::Error::custom("a page with too many items"));
                }
                items.push(item);
            }
            Ok(Some(items))
        }
    }
    deserializer.deserialize_any(Items)
}

impl List<'_> {
    /// Checks that it is a list of that resource.
    pub fn check(&self, resource: &ApiResource) -> Result<(), String> {
        let is_kind = self.kind.strip_suffix("List") == Some(resource.kind);
        if !is_kind || self.api_version != resource.api_version {
            let (kind, api_version) = (&self.kind, &self.api_version);
            return Err(format!(
                "kind {kind:?} of {api_version:?} is not {}List of {}",
                resource.kind, resource.api_version
            ));
        }
        Ok(())
    }
}

/// A list's metadata.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    /// The resource version at which all items stood as they are; zero if the server sends none.
    #[serde(default)]
    pub resource_version: ResourceVersion,
    /// Token of the next page; empty on the last.
    #[serde(default, rename = "continue")]
    pub continue_token: String,
}

/// The metadata that a bookmark carries.
#[derive(Debug, Deserialize)]
pub struct Bookmark {
    /// Metadata with the resource version.
    pub metadata: BookmarkMeta,
}

/// A bookmark's metadata.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BookmarkMeta {
    /// Everything up to here has been sent.
    pub resource_version: ResourceVersion,
    /// Holds [`INITIAL_EVENTS_END`](crate::label::INITIAL_EVENTS_END) once, and
    /// [`UPSTREAM`](crate::label::UPSTREAM) while an emitter is disconnected.
    #[serde(default)]
    pub annotations: Option<crate::Labels>,
}

#[cfg(test)]
mod tests {
    use super::{EventType, List, WatchEvent};

    #[test]
    fn a_line_is_read_without_decoding_its_object() {
        let event: WatchEvent<'_> =
            serde_json::from_str(r#"{"type":"MODIFIED","object":{"a": [1, 2]}}"#).unwrap();
        assert_eq!(event.event_type, EventType::Modified);
        assert_eq!(event.object.get(), r#"{"a": [1, 2]}"#);
    }

    #[test]
    fn an_unknown_event_type_is_an_error() {
        assert!(serde_json::from_str::<WatchEvent<'_>>(r#"{"type":"X","object":{}}"#).is_err());
    }

    #[test]
    fn a_null_list_is_an_empty_one() {
        let list: List<'_> =
            serde_json::from_str(r#"{"metadata":{"resourceVersion":"7"},"items":null}"#).unwrap();
        assert!(list.items.unwrap_or_default().is_empty());
    }

    #[test]
    fn a_list_without_a_revision_is_at_zero() {
        let list: List<'_> = serde_json::from_str(r#"{"metadata":{},"items":[]}"#).unwrap();
        assert!(list.metadata.resource_version.is_zero());
    }
}
