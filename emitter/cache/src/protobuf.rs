//! Kubernetes' protobuf, byte for byte as a kube-apiserver writes it.
//!
//! It is made of the JSON that is kept anyway, so that there is no second upstream watch whose
//! progress would differ. The fields are in [`schema`]. [`Encoded::misfit`] names a field that is
//! not in the table; the emitter then serves the resource without protobuf.

use bytes::Bytes;
use proto_types::Status;
use proto_types::frame::EventType;

pub mod message;
mod read;
pub mod schema;
pub(crate) mod wire;
mod write;

pub use message::Message;
pub use read::{Envelope, Unreadable, open, read};
pub use write::{Encoded, encode};

/// Beginning of every body.
const MAGIC: &[u8] = b"k8s\0";

/// End of an envelope: no content encoding, no content type.
pub const TAIL: &[u8] = b"\x1a\x00\x22\x00";

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

/// A message in its envelope.
#[must_use]
pub fn enveloped(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut out = head(api_version, kind);
    wire::bytes(2, message, &mut out);
    out.extend_from_slice(TAIL);
    out
}

/// The beginning of an envelope, up to its message.
pub(crate) fn head(api_version: &str, kind: &str) -> Vec<u8> {
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
    fn fields_that_are_no_pointers_are_written_even_if_empty() {
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
    fn fields_that_protobuf_lacks_are_named() {
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
