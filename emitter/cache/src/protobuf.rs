//! Kubernetes' protobuf, byte for byte as a kube-apiserver writes it.
//!
//! It is made of the JSON that is kept anyway, so that there is no second upstream
//! watch whose progress would differ. What it takes is in [`schema`]; a field that is
//! not there cannot be said, and [`Encoded::misfit`] tells which one it was.

use bytes::Bytes;
use proto_types::Status;
use proto_types::frame::EventType;

use crate::encode::{ListMeta, Note};
use crate::entry::Part;
use crate::{Entry, Form};

pub mod message;
mod read;
pub mod schema;
mod wire;
mod write;

pub use message::Message;
pub use read::{Envelope, Unreadable, open, read};
pub use write::{Encoded, encode};

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// What an envelope ends with: no content encoding, no content type.
pub const TAIL: &[u8] = b"\x1a\x00\x22\x00";

const META_VERSION: &str = "meta.k8s.io/v1";

/// An object, or its metadata, in its envelope.
#[must_use]
pub fn object(form: &Form, part: Part, entry: &Entry) -> Vec<u8> {
    match part {
        Part::Whole => whole(form, entry.json()),
        Part::Metadata => metadata(&entry.metadata()),
    }
}

/// The same as the last that a consumer is told of it.
#[must_use]
pub fn deleted(form: &Form, part: Part, last: &[u8]) -> Vec<u8> {
    match part {
        Part::Whole => whole(form, last),
        Part::Metadata => metadata(last),
    }
}

/// An object that has nothing but metadata.
#[must_use]
pub fn bookmark(form: &Form, part: Part, revision: &str, note: Note) -> Vec<u8> {
    let annotations = note.annotations();
    let json = format!(r#"{{"resourceVersion":"{revision}"{annotations}}}"#);
    match part {
        Part::Whole => whole(form, format!(r#"{{"metadata":{json}}}"#).as_bytes()),
        Part::Metadata => metadata(json.as_bytes()),
    }
}

/// A refusal.
#[must_use]
pub fn status(status: &Status) -> Vec<u8> {
    let message = encode(schema::STATUS, status.to_json().as_bytes()).bytes;
    enveloped("v1", "Status", &message)
}

/// One event of a watch, with its length before it.
#[must_use]
pub fn frame(event_type: EventType, object: &[u8]) -> Bytes {
    let mut inner = Vec::with_capacity(object.len() + 8);
    wire::bytes(1, object, &mut inner);
    let mut event = Vec::with_capacity(inner.len() + 24);
    wire::bytes(1, event_type.as_str().as_bytes(), &mut event);
    wire::bytes(2, &inner, &mut event);
    let length = u32::try_from(event.len()).expect("objects are megabytes at most");
    let mut out = Vec::with_capacity(event.len() + 4);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&event);
    out.into()
}

/// One item of a list.
pub fn item(form: &Form, part: Part, entry: &Entry, out: &mut Vec<u8>) {
    let message = match part {
        Part::Whole => encode(message_of(form), entry.json()).bytes,
        Part::Metadata => metadata_message(&entry.metadata()),
    };
    wire::bytes(2, &message, out);
}

/// What stands before the items of a list.
#[must_use]
pub fn list_head(form: &Form, part: Part, meta: &ListMeta, n_item_bytes: usize) -> Vec<u8> {
    let (api_version, kind) = match part {
        Part::Whole => (form.names.api_version, format!("{}List", form.names.kind)),
        Part::Metadata => (META_VERSION, "PartialObjectMetadataList".to_owned()),
    };
    let meta = encode(schema::LIST_META, meta.to_json().as_bytes()).bytes;
    let mut list = Vec::with_capacity(meta.len() + 4);
    wire::bytes(1, &meta, &mut list);
    let mut out = head(api_version, &kind);
    wire::head(2, list.len() + n_item_bytes, &mut out);
    out.extend_from_slice(&list);
    out
}

fn message_of(form: &Form) -> Message {
    form.protobuf.unwrap_or(schema::METADATA)
}

fn whole(form: &Form, json: &[u8]) -> Vec<u8> {
    let message = encode(message_of(form), json).bytes;
    enveloped(form.names.api_version, form.names.kind, &message)
}

fn metadata(json: &[u8]) -> Vec<u8> {
    enveloped(
        META_VERSION,
        "PartialObjectMetadata",
        &metadata_message(json),
    )
}

fn metadata_message(json: &[u8]) -> Vec<u8> {
    let wrapped = [br#"{"metadata":"#, json, b"}"].concat();
    encode(schema::METADATA, &wrapped).bytes
}

/// A message in its envelope.
#[must_use]
pub fn enveloped(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut out = head(api_version, kind);
    wire::bytes(2, message, &mut out);
    out.extend_from_slice(TAIL);
    out
}

fn head(api_version: &str, kind: &str) -> Vec<u8> {
    let mut type_meta = Vec::with_capacity(64);
    wire::bytes(1, api_version.as_bytes(), &mut type_meta);
    wire::bytes(2, kind.as_bytes(), &mut type_meta);
    let mut out = MAGIC.to_vec();
    wire::bytes(1, &type_meta, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::{Encoded, encode, frame, schema, status};
    use proto_types::Status;
    use proto_types::frame::EventType;

    fn misfit(json: &str) -> Option<String> {
        encode(schema::SERVICE, json.as_bytes()).misfit
    }

    #[test]
    fn what_is_no_pointer_is_written_even_if_empty() {
        let Encoded { bytes, misfit } = encode(schema::ENDPOINTS, br#"{"metadata":{"name":"a"}}"#);
        assert_eq!(misfit, None);
        assert_eq!(
            bytes,
            b"\x0a\x11\x0a\x01a\x12\0\x1a\0\x22\0\x2a\0\x32\0\x38\0\x42\0"
        );
    }

    #[test]
    fn the_order_of_the_json_does_not_matter() {
        let one = r#"{"spec":{"selector":{"b":"2","a":"1"},"ports":[{"port":80,"targetPort":"x"}]},"metadata":{"name":"a"}}"#;
        let other = r#"{"metadata":{"name":"a"},"spec":{"ports":[{"targetPort":"x","port":80}],"selector":{"a":"1","b":"2"}}}"#;
        let encoded = |json: &str| encode(schema::SERVICE, json.as_bytes());
        assert_eq!(encoded(one), encoded(other));
        assert_eq!(encoded(one).misfit, None);
    }

    #[test]
    fn what_cannot_be_said_is_told() {
        let check = |json: &str, field: &str| assert_eq!(misfit(json).as_deref(), Some(field));
        check(r#"{"spec":{"tomorrow":1}}"#, "tomorrow");
        check(
            r#"{"spec":{"ports":[{"port":80,"portRange":{"a":[1]}}]}}"#,
            "portRange",
        );
        check(r#"{"spec":{"clusterIP":7}}"#, "clusterIP");
        check(
            r#"{"metadata":{"creationTimestamp":"yesterday"}}"#,
            "creationTimestamp",
        );
        check(r#"{"spec":[]}"#, "spec");
        check("[]", "");
        check("{", "it");
        assert_eq!(
            misfit(r#"{"kind":"Service","spec":null,"metadata":{"labels":null}}"#),
            None
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_message_or_a_misfit(
            text in "[\\[\\]{}\":,a-z0-9.]{0,60}",
            field in "(metadata|spec|ports|labels|clusterIP|creationTimestamp|kind)",
        ) {
            for json in [text.clone(), format!("{{\"{field}\":{text}}}")] {
                let Encoded { bytes, misfit } = encode(schema::SERVICE, json.as_bytes());
                proptest::prop_assert!(!bytes.is_empty(), "metadata is always written");
                let is_object = json.starts_with('{')
                    && serde_json::from_str::<serde_json::Value>(&json).is_ok();
                proptest::prop_assert!(is_object || misfit.is_some(), "{json}");
            }
        }
    }

    #[test]
    fn an_event_has_its_length_before_it() {
        let refused = status(&Status::bad_request("no"));
        assert!(refused.starts_with(b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status"));
        let frame = frame(EventType::Error, &refused);
        assert_eq!(
            frame[..4],
            [0, 0, 0, u8::try_from(frame.len() - 4).unwrap()]
        );
        assert!(frame[4..].starts_with(b"\x0a\x05ERROR\x12"));
    }
}
