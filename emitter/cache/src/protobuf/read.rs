//! Protobuf to JSON, by the same tables.
//!
//! As Go reads it: fields in any order, unknown ones passed over, and what is no
//! pointer in Go left out of the JSON where it is empty.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde_json::{Map, Value};

use super::message::{Field, Kind, Message, Rule};
use super::wire::{self, Given};
use super::{MAGIC, schema};

/// Error of an invalid message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// There are none.
    #[error("empty data")]
    Empty,
    /// They are something else.
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    NoMagic,
    /// They end too early.
    #[error("unexpected EOF")]
    Cut,
    /// A field is written in a way in which its kind is not.
    #[error("proto: wrong wireType = {wire} for field {field}")]
    Wire {
        /// Wire type.
        wire: u64,
        /// Field.
        field: String,
    },
    /// A field does not hold what it is there for.
    #[error("field {0} cannot be read")]
    Value(String),
}

/// Envelope of every body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// API version of the object.
    pub api_version: String,
    /// The kind of it.
    pub kind: String,
    /// The message.
    pub message: &'a [u8],
}

/// Unwraps a body.
pub fn open(body: &[u8]) -> Result<Envelope<'_>, Unreadable> {
    if body.is_empty() {
        return Err(Unreadable::Empty);
    }
    let rest = body.strip_prefix(MAGIC).ok_or(Unreadable::NoMagic)?;
    let mut envelope = Envelope {
        api_version: String::new(),
        kind: String::new(),
        message: b"",
    };
    for given in wire::fields(rest) {
        match given? {
            (1, Given::Bytes(inner)) => {
                let said = read(schema::TYPE_META, inner)?;
                let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
                (envelope.api_version, envelope.kind) = (text("apiVersion"), text("kind"));
            }
            (2, Given::Bytes(message)) => envelope.message = message,
            _ => {}
        }
    }
    Ok(envelope)
}

/// Reads a message as a JSON object.
pub fn read(message: Message, bytes: &[u8]) -> Result<Value, Unreadable> {
    let mut object = Map::new();
    for given in wire::fields(bytes) {
        let (number, given) = given?;
        let is_it = |field: &&Field| field.number() == number && field.rule() != Rule::Never;
        let Some(field) = message.iter().find(is_it) else {
            continue;
        };
        let value = value(field, given)?;
        let name = field.name().to_owned();
        match (object.get_mut(&name), value) {
            (Some(Value::Array(items)), value) if field.rule() == Rule::Repeated => {
                items.push(value);
            }
            (Some(Value::Object(entries)), Value::Object(more)) => entries.extend(more),
            (_, value) if field.rule() == Rule::Repeated => {
                object.insert(name, Value::Array(vec![value]));
            }
            (_, value) => drop(object.insert(name, value)),
        }
    }
    let is_left_out = |name: &str| {
        let field = message.iter().find(|field| field.name() == name);
        field.is_some_and(|field| field.rule() == Rule::Always)
    };
    object.retain(|name, value| !(is_left_out(name) && is_empty(value)));
    Ok(Value::Object(object))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(it) => !it,
        Value::Number(it) => it.as_i64() == Some(0),
        Value::String(it) => it.is_empty(),
        Value::Array(it) => it.is_empty(),
        Value::Object(it) => it.is_empty(),
    }
}

fn value(field: &Field, given: Given<'_>) -> Result<Value, Unreadable> {
    let unreadable = || Unreadable::Value(field.name().to_owned());
    match (field.kind(), given) {
        (Kind::Truth, Given::Number(number)) => Ok(Value::Bool(number != 0)),
        (Kind::Integer, Given::Number(number)) => Ok(number.cast_signed().into()),
        (Kind::Text, Given::Bytes(bytes)) => Ok(text(bytes).ok_or_else(unreadable)?.into()),
        (Kind::Nested(message), Given::Bytes(bytes)) => read(message, bytes),
        (Kind::IntegerOrText, Given::Bytes(bytes)) => {
            let it = read(schema::INTEGER_OR_TEXT, bytes)?;
            match it["type"].as_i64() {
                Some(1) => Ok(it["text"].as_str().unwrap_or_default().into()),
                _ => Ok(it["number"].as_i64().unwrap_or_default().into()),
            }
        }
        (kind @ (Kind::Time | Kind::MicroTime), Given::Bytes(bytes)) => {
            moment(kind, bytes)?.ok_or_else(unreadable)
        }
        (kind @ (Kind::Map | Kind::ByteMap), Given::Bytes(bytes)) => {
            let (name, value) = entry(bytes)?;
            let value = match kind {
                Kind::ByteMap => Some(STANDARD.encode(value)),
                _ => text(value),
            };
            let name = text(name).ok_or_else(unreadable)?;
            let value = value.ok_or_else(unreadable)?;
            Ok(Value::Object(Map::from_iter([(name, value.into())])))
        }
        (Kind::Raw, Given::Bytes(bytes)) => {
            let json = inner(bytes, 1)?;
            serde_json::from_slice(json).map_err(|_| unreadable())
        }
        (_, given) => Err(Unreadable::Wire {
            wire: given.wire_type(),
            field: field.name().to_owned(),
        }),
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// Nothing at all is no moment.
fn moment(kind: Kind, bytes: &[u8]) -> Result<Option<Value>, Unreadable> {
    if bytes.is_empty() {
        return Ok(Some(Value::Null));
    }
    let said = read(schema::MOMENT, bytes)?;
    let seconds = said["seconds"].as_i64().unwrap_or_default();
    let nanoseconds = said["nanoseconds"].as_i64().unwrap_or_default();
    let Ok(nanoseconds) = i32::try_from(nanoseconds) else {
        return Ok(None);
    };
    let precision = if let Kind::MicroTime = kind { 6 } else { 0 };
    let printer = DateTimePrinter::new().precision(Some(precision));
    let time = Timestamp::new(seconds, nanoseconds).ok();
    Ok(time.map(|time| printer.timestamp_to_string(&time).into()))
}

fn entry(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    Ok((inner(bytes, 1)?, inner(bytes, 2)?))
}

/// The bytes of one field.
fn inner(bytes: &[u8], wanted: u32) -> Result<&[u8], Unreadable> {
    let mut found: &[u8] = b"";
    for given in wire::fields(bytes) {
        if let (number, Given::Bytes(bytes)) = given?
            && number == wanted
        {
            found = bytes;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::{encode, enveloped};
    use super::{Unreadable, open, read, schema};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn written_values_are_read() {
        let service = json!({
            "metadata": {
                "name": "web", "labels": {"a": "b", "c": ""}, "finalizers": ["x/y", "z/w"],
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {
                "ports": [
                    {"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 81, "targetPort": 8081},
                ],
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}},
                "allocateLoadBalancerNodePorts": false,
            },
        });
        let encoded = encode(schema::SERVICE, service.to_string().as_bytes());
        assert_eq!(encoded.misfit, None);
        assert_eq!(read(schema::SERVICE, &encoded.bytes).unwrap(), service);
        let body = enveloped("v1", "Service", &encoded.bytes);
        let envelope = open(&body).unwrap();
        assert_eq!((&*envelope.api_version, &*envelope.kind), ("v1", "Service"));
        assert_eq!(envelope.message, encoded.bytes);
    }

    #[test]
    fn an_invalid_message_is_reported() {
        let refused = |bytes: &[u8]| read(schema::SERVICE, bytes).unwrap_err().to_string();
        assert_eq!(open(b""), Err(Unreadable::Empty));
        assert_eq!(open(b"{}"), Err(Unreadable::NoMagic));
        assert_eq!(refused(b"\x0a\x05a"), "unexpected EOF");
        assert_eq!(refused(b"\x0a"), "unexpected EOF");
        assert_eq!(
            refused(b"\x08\x01"),
            "proto: wrong wireType = 0 for field metadata"
        );
        assert_eq!(
            refused(b"\x0a\x03\x0a\x01\xff"),
            "field name cannot be read"
        );
        let unknown = b"\xf8\x07\x01\x0a\x03\x0a\x01a";
        let read = read(schema::SERVICE, unknown).unwrap();
        assert_eq!(read, json!({"metadata": {"name": "a"}}));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(schema::ENDPOINT_SLICE, &bytes);
            let _ = open(&[&b"k8s\0"[..], &bytes].concat());
        }

        #[test]
        fn a_map_comes_back(entries in proptest::collection::btree_map(".{0,5}", ".{0,5}", 1..4)) {
            let object = json!({"metadata": {"name": "a", "annotations": entries}});
            let encoded = encode(schema::ENDPOINTS, object.to_string().as_bytes());
            prop_assert_eq!(read(schema::ENDPOINTS, &encoded.bytes).unwrap(), object);
        }
    }
}
