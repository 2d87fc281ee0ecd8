//! An open watch: lines become events.

mod line;

use bytes::Bytes;
use http::Response;
use proto_types::frame::{Bookmark, EventType, WatchEvent};
use proto_types::resource::ApiResource;
use proto_types::{RawObject, ResourceVersion, Status, label};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::origin::Origin;
use super::request::{Decoded, RequestError, innermost, meaning};
use super::{FailureCause, Limits};
use line::Lines;

/// A watch that the server opened.
pub(super) struct Watch {
    resource: &'static ApiResource,
    origin: Origin,
    lines: Lines,
    limits: Limits,
    opened: Instant,
    /// The last sign of life.
    heard: Instant,
    had_events: bool,
}

/// Item of a watch.
#[derive(Debug)]
pub(super) enum WatchItem {
    /// An object was added or modified.
    Applied(RawObject),
    /// An object was deleted, or no longer matches.
    Deleted(RawObject),
    /// Everything up to here has been sent.
    Bookmark(ResourceVersion),
    /// The same, of a server that is disconnected from its upstream: what it lacks may exist.
    DisconnectedBookmark(ResourceVersion),
    /// The server ended the watch in order.
    End { had_events: bool },
    /// Nothing came for the time that is allowed: it is quiet or half-open.
    Quiet,
    /// It ended in another way.
    Failed(RequestError),
}

impl Watch {
    pub(super) fn new(
        resource: &'static ApiResource,
        answer: Response<Decoded>,
        origin: Origin,
        limits: Limits,
    ) -> Self {
        let now = Instant::now();
        Self {
            resource,
            origin,
            lines: Lines::new(answer.into_body(), limits.event_bytes),
            limits,
            opened: now,
            heard: now,
            had_events: false,
        }
    }

    /// Returns the origin.
    pub(super) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the time since it was opened.
    pub(super) fn age(&self) -> std::time::Duration {
        self.opened.elapsed()
    }

    /// Returns the next item. Cancel safe.
    pub(super) async fn next(&mut self) -> WatchItem {
        let silence = self.limits.silence;
        let line = tokio::time::timeout_at(self.heard + silence, self.lines.next()).await;
        self.heard = Instant::now();
        match line {
            Ok(Ok(Some(line))) => {
                self.had_events = true;
                read(self.resource, &line).unwrap_or_else(WatchItem::Failed)
            }
            Ok(Ok(None)) => WatchItem::End {
                had_events: self.had_events,
            },
            Ok(Err(cause)) => WatchItem::Failed(cause.into()),
            Err(_) => WatchItem::Quiet,
        }
    }
}

fn read(resource: &'static ApiResource, line: &Bytes) -> Result<WatchItem, RequestError> {
    let WatchEvent { event_type, object } = serde_json::from_slice(line).map_err(garbage)?;
    Ok(match event_type {
        EventType::Added | EventType::Modified => WatchItem::Applied(parse(resource, object)?),
        EventType::Deleted => WatchItem::Deleted(parse(resource, object)?),
        EventType::Bookmark => {
            let Bookmark { metadata } = serde_json::from_str(object.get()).map_err(garbage)?;
            let revision = metadata.resource_version;
            let annotations = metadata.annotations.unwrap_or_default();
            match annotations.get(label::UPSTREAM) {
                Some(label::DISCONNECTED) => WatchItem::DisconnectedBookmark(revision),
                _ => WatchItem::Bookmark(revision),
            }
        }
        EventType::Error => {
            let status: Status = serde_json::from_str(object.get()).map_err(garbage)?;
            WatchItem::Failed(meaning(status.code, status))
        }
    })
}

/// Copies the object: a slice would keep all that was received with it, for as
/// long as the object lives.
fn parse(resource: &'static ApiResource, object: &RawValue) -> Result<RawObject, RequestError> {
    let json = Bytes::copy_from_slice(object.get().as_bytes());
    RawObject::parse(resource, &json).map_err(garbage)
}

fn garbage(why: impl std::fmt::Display) -> RequestError {
    FailureCause::Garbage(why.to_string()).into()
}

#[cfg(test)]
mod tests {
    use proto_types::Resource;

    use super::{Bytes, WatchItem, read};
    use proptest::prelude::{Strategy, any, prop, proptest};
    use proptest::prop_oneof;

    fn line() -> impl Strategy<Value = String> {
        let words = prop::sample::select(
            &[
                r#"{"type":""#,
                "ADDED",
                "BOOKMARK",
                "ERROR",
                r#"","object":"#,
                r#"{"metadata":"#,
                r#"{"name":"a","resourceVersion":"1"}"#,
                "}",
                "null",
                "{",
                "\"",
                "[",
                r#""code":410"#,
            ][..],
        );
        let pieces = prop_oneof![6 => words.prop_map(str::to_owned), 1 => any::<String>()];
        prop::collection::vec(pieces, 0..10).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_line_is_an_event_or_an_error(line in line()) {
            let heard = read(Resource::Services.names(), &Bytes::from(line.clone()));
            if let Ok(WatchItem::Applied(object) | WatchItem::Deleted(object)) = heard {
                proptest::prop_assert!(!object.key.name().is_empty(), "{}", line);
            }
        }
    }
}
