//! JSON to protobuf in one pass, by a table of fields.
//!
//! As gogo's generated Go code writes it: fields by ascending number, maps by key,
//! and whatever is no pointer in Go even where it is empty.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use super::message::{Field, Kind, Message, Rule};
use super::wire;

/// Writes what stands for a field's absence.
fn write_empty(field: &Field, out: &mut Vec<u8>) {
    if field.rule() != Rule::Always {
        return;
    }
    let number = field.number();
    match field.kind() {
        Kind::Truth | Kind::Integer => wire::number(number, 0, out),
        Kind::IntegerOrText => wire::bytes(number, &integer_or_text(0, None), out),
        Kind::Nested(message) => wire::bytes(number, &empty(message), out),
        Kind::Text | Kind::Time | Kind::MicroTime | Kind::Map | Kind::ByteMap | Kind::Raw => {
            wire::bytes(number, b"", out);
        }
    }
}

/// A message without anything in it.
fn empty(message: Message) -> Vec<u8> {
    let mut out = Vec::new();
    for field in message {
        write_empty(field, &mut out);
    }
    out
}

fn integer_or_text(number: i64, text: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    wire::number(1, u64::from(text.is_some()), &mut out);
    wire::number(2, number.cast_unsigned(), &mut out);
    wire::bytes(3, text.unwrap_or_default().as_bytes(), &mut out);
    out
}

/// A message, and the part of its JSON that it lacks.
#[derive(Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The message, without what does not fit.
    pub bytes: Vec<u8>,
    /// The first field that does not fit: its name is not in the table, or its value is
    /// of another kind.
    pub misfit: Option<String>,
}

/// Encodes a JSON object.
#[must_use]
pub fn encode(message: Message, json: &[u8]) -> Encoded {
    let misfit = RefCell::new(None);
    let seed = Value {
        kind: Kind::Nested(message),
        name: "",
        misfit: &misfit,
    };
    let mut reader = serde_json::Deserializer::from_slice(json);
    let payload = seed.deserialize(&mut reader);
    let payload = payload.and_then(|payload| reader.end().map(|()| payload));
    let bytes = match payload {
        Ok(Some(Payload::Bytes(bytes))) => bytes,
        Ok(_) | Err(_) => {
            misfit.borrow_mut().get_or_insert_with(|| "it".to_owned());
            empty(message)
        }
    };
    Encoded {
        bytes,
        misfit: misfit.into_inner(),
    }
}

/// A value, without its field's number.
enum Payload {
    Number(u64),
    Bytes(Vec<u8>),
    /// The entries of a map.
    Entries(Vec<Vec<u8>>),
}

impl Payload {
    fn write(&self, field: u32, out: &mut Vec<u8>) {
        match self {
            Self::Number(value) => wire::number(field, *value, out),
            Self::Bytes(value) => wire::bytes(field, value, out),
            Self::Entries(entries) => {
                for entry in entries {
                    wire::bytes(field, entry, out);
                }
            }
        }
    }
}

/// Reads one value of a kind; `None` where it is null or does not fit.
#[derive(Clone, Copy)]
struct Value<'a> {
    kind: Kind,
    name: &'static str,
    misfit: &'a RefCell<Option<String>>,
}

impl Value<'_> {
    fn misfit<E>(&self) -> Result<Option<Payload>, E> {
        note(self.misfit, self.name);
        Ok(None)
    }

    fn integer<E>(&self, value: i64) -> Result<Option<Payload>, E> {
        match self.kind {
            Kind::Integer => Ok(Some(Payload::Number(value.cast_unsigned()))),
            Kind::IntegerOrText => Ok(Some(Payload::Bytes(integer_or_text(value, None)))),
            _ => self.misfit(),
        }
    }
}

impl Value<'_> {
    /// The entries of a map, by ascending name.
    fn entries<'de, A: MapAccess<'de>>(&self, mut map: A) -> Result<Option<Payload>, A::Error> {
        let mut sorted = BTreeMap::new();
        while let Some((Name(name), value)) = map.next_entry::<Name<'_>, Option<Name<'_>>>()? {
            let text = value.map_or(Cow::Borrowed(""), |it| it.0);
            let value = match self.kind {
                Kind::ByteMap => STANDARD.decode(text.as_bytes()).ok(),
                _ => Some(text.into_owned().into_bytes()),
            };
            match value {
                Some(value) => drop(sorted.insert(name, value)),
                None => note(self.misfit, self.name),
            }
        }
        let entries = sorted.into_iter().map(|(name, value)| {
            let mut entry = Vec::with_capacity(name.len() + value.len() + 4);
            wire::bytes(1, name.as_bytes(), &mut entry);
            wire::bytes(2, &value, &mut entry);
            entry
        });
        Ok(Some(Payload::Entries(entries.collect())))
    }
}

fn note(misfit: &RefCell<Option<String>>, name: &str) {
    misfit.borrow_mut().get_or_insert_with(|| name.to_owned());
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Option<Payload>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if let Kind::Raw = self.kind {
            let json = <&RawValue>::deserialize(deserializer)?;
            let mut out = Vec::with_capacity(json.get().len() + 4);
            wire::bytes(1, json.get().as_bytes(), &mut out);
            return Ok(Some(Payload::Bytes(out)));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Option<Payload>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {:?}", self.kind)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        match self.kind {
            Kind::Truth => Ok(Some(Payload::Number(value.into()))),
            _ => self.misfit(),
        }
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        self.integer(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        match i64::try_from(value) {
            Ok(value) => self.integer(value),
            Err(_) => self.misfit(),
        }
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        self.misfit()
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        let bytes = match self.kind {
            Kind::Text => value.as_bytes().to_vec(),
            Kind::IntegerOrText => integer_or_text(0, Some(value)),
            Kind::Time | Kind::MicroTime => match value.parse::<Timestamp>() {
                Ok(time) => moment(time, self.kind),
                Err(_) => return self.misfit(),
            },
            _ => return self.misfit(),
        };
        Ok(Some(Payload::Bytes(bytes)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.misfit()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        match self.kind {
            Kind::Nested(message) => {
                let bytes = fields(map, message, self.misfit)?;
                Ok(Some(Payload::Bytes(bytes)))
            }
            Kind::Map | Kind::ByteMap => self.entries(map),
            _ => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                self.misfit()
            }
        }
    }
}

/// As Go's JSON does, protobuf keeps seconds, or microseconds, and no more.
fn moment(time: Timestamp, kind: Kind) -> Vec<u8> {
    let nanoseconds = match kind {
        Kind::MicroTime => time.subsec_nanosecond() / 1_000 * 1_000,
        _ => 0,
    };
    let mut out = Vec::with_capacity(12);
    wire::number(1, time.as_second().cast_unsigned(), &mut out);
    wire::number(2, i64::from(nanoseconds).cast_unsigned(), &mut out);
    out
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields of a message in their order, whatever order they come in.
fn fields<'de, A: MapAccess<'de>>(
    mut map: A,
    message: Message,
    misfit: &RefCell<Option<String>>,
) -> Result<Vec<u8>, A::Error> {
    let mut found: Vec<Option<Vec<u8>>> = vec![None; message.len()];
    while let Some(Name(name)) = map.next_key()? {
        let Some(at) = message.iter().position(|field| field.name() == name) else {
            note(misfit, &name);
            map.next_value::<IgnoredAny>()?;
            continue;
        };
        found[at] = match message[at].rule() {
            Rule::Never => map.next_value::<IgnoredAny>().map(|_| None)?,
            Rule::Always | Rule::IfPresent | Rule::Repeated => {
                let field = &message[at];
                map.next_value_seed(Whole { field, misfit })?
            }
        };
    }
    let mut out = Vec::new();
    for (field, found) in message.iter().zip(found) {
        match found {
            Some(bytes) => out.extend_from_slice(&bytes),
            None => write_empty(field, &mut out),
        }
    }
    Ok(out)
}

/// Reads a field with all its elements; `None` where it is null.
struct Whole<'a> {
    field: &'static Field,
    misfit: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = Option<Vec<u8>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let Self { field, misfit } = self;
        let value = Value {
            kind: field.kind(),
            name: field.name(),
            misfit,
        };
        let mut out = Vec::new();
        if field.rule() == Rule::Repeated {
            deserializer.deserialize_any(Elements {
                value,
                number: field.number(),
                out: &mut out,
            })?;
            return Ok(Some(out));
        }
        let payload = value.deserialize(deserializer)?;
        Ok(payload.map(|payload| {
            payload.write(field.number(), &mut out);
            out
        }))
    }
}

/// Reads the elements of a field.
struct Elements<'a> {
    value: Value<'a>,
    number: u32,
    out: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(payload) = seq.next_element_seed(self.value)? {
            match payload {
                Some(payload) => payload.write(self.number, self.out),
                None => note(self.value.misfit, self.value.name),
            }
        }
        Ok(())
    }
}
