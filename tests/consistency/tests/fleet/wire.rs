//! Lists and events in the encodings of clients.

use consistency::{Seen, Shown, Verb};
use serde_json::Value;

/// What a frame says.
#[derive(Debug)]
pub(crate) enum Said {
    Seen(Seen),
    /// Bookmark that ends the initial events.
    InitialEnd(u64),
}

/// Encoding that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Json,
    Table,
    Protobuf,
}

impl Coding {
    pub(crate) const fn accept(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Table => "application/json;as=Table;v=v1;g=meta.k8s.io",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// Object as far as it matters here.
#[derive(Debug, Default)]
struct Object {
    key: String,
    revision: u64,
    ends_initial: bool,
}

/// Reads a list: its resource version, its objects, and the token of the next page.
pub(crate) fn list(coding: Coding, body: &[u8]) -> (u64, Shown, Option<String>) {
    if coding == Coding::Protobuf {
        return protobuf_list(body);
    }
    let list: Value = serde_json::from_slice(body).unwrap();
    let items = match coding {
        Coding::Table => &list["rows"],
        Coding::Json | Coding::Protobuf => &list["items"],
    };
    let items = items.as_array().into_iter().flatten();
    let objects = items.map(|item| {
        object(if coding == Coding::Table {
            &item["object"]
        } else {
            item
        })
    });
    let shown = objects.map(|it| (it.key, it.revision)).collect();
    let token = list["metadata"]["continue"].as_str().map(str::to_owned);
    (number(&list["metadata"]), shown, token)
}

fn number(metadata: &Value) -> u64 {
    let revision = metadata["resourceVersion"].as_str().unwrap_or("0");
    revision.parse().unwrap()
}

fn object(value: &Value) -> Object {
    let metadata = &value["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    Object {
        key: format!("{}/{}", text("namespace"), text("name")),
        revision: number(metadata),
        ends_initial: metadata["annotations"]["k8s.io/initial-events-end"] == "true",
    }
}

/// Reads one frame of a watch.
pub(crate) fn event(coding: Coding, frame: &[u8]) -> Said {
    let (verb, object) = match coding {
        Coding::Protobuf => protobuf_event(frame),
        Coding::Json | Coding::Table => {
            let event: Value = serde_json::from_slice(frame).unwrap();
            let inner = &event["object"];
            let mut read = object(match coding {
                Coding::Table => &inner["rows"][0]["object"],
                Coding::Json | Coding::Protobuf => inner,
            });
            if coding == Coding::Table && read.revision == 0 {
                read.revision = number(&inner["metadata"]);
            }
            (event["type"].as_str().unwrap().to_owned(), read)
        }
    };
    let Object {
        key,
        revision,
        ends_initial,
    } = object;
    let event = |verb| {
        Said::Seen(Seen::Event {
            verb,
            key: key.clone(),
            revision,
        })
    };
    match verb.as_str() {
        "ADDED" => event(Verb::Added),
        "MODIFIED" => event(Verb::Modified),
        "DELETED" => event(Verb::Deleted),
        "BOOKMARK" if ends_initial => Said::InitialEnd(revision),
        "BOOKMARK" => Said::Seen(Seen::Bookmark { revision }),
        _ => Said::Seen(Seen::Expired),
    }
}

/// Fields of a protobuf message: number, and bytes or a varint.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let mut take = |n: usize| {
            let (value, rest) = bytes.split_at(n);
            bytes = rest;
            value
        };
        let value: &[u8] = match tag & 7 {
            0 => {
                varint(&mut bytes);
                &[]
            }
            1 => take(8),
            5 => take(4),
            _ => {
                let n = usize::try_from(varint(&mut bytes)).unwrap();
                let (value, rest) = bytes.split_at(n);
                bytes = rest;
                value
            }
        };
        all.push((tag >> 3, value));
    }
    all
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn field<'a>(all: &[(u64, &'a [u8])], number: u64) -> &'a [u8] {
    all.iter().find(|it| it.0 == number).map_or(&[], |it| it.1)
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Raw content behind the magic number and `runtime.Unknown`.
fn unwrapped(bytes: &[u8]) -> &[u8] {
    let unknown = bytes.strip_prefix(b"k8s\0").unwrap();
    field(&fields(unknown), 2)
}

fn protobuf_object(raw: &[u8]) -> Object {
    let metadata = fields(field(&fields(raw), 1));
    let (name, namespace) = (field(&metadata, 1), field(&metadata, 3));
    let annotations = metadata.iter().filter(|it| it.0 == 12);
    let is_end = |it: &(u64, &[u8])| {
        it.1.windows(25)
            .any(|it| it == b"k8s.io/initial-events-end")
    };
    let ends_initial = annotations.into_iter().any(is_end);
    Object {
        key: format!("{}/{}", string(namespace), string(name)),
        revision: string(field(&metadata, 6)).parse().unwrap_or(0),
        ends_initial,
    }
}

fn protobuf_list(body: &[u8]) -> (u64, Shown, Option<String>) {
    let list = fields(unwrapped(body));
    let meta = fields(field(&list, 1));
    let items = list.iter().filter(|it| it.0 == 2);
    let objects = items.map(|it| protobuf_object(it.1));
    let shown = objects.map(|it| (it.key, it.revision)).collect();
    let token = Some(string(field(&meta, 3))).filter(|it| !it.is_empty());
    (string(field(&meta, 2)).parse().unwrap(), shown, token)
}

fn protobuf_event(frame: &[u8]) -> (String, Object) {
    let event = match frame[4..].starts_with(b"k8s\0") {
        true => fields(unwrapped(&frame[4..])),
        false => fields(&frame[4..]),
    };
    let verb = string(field(&event, 1));
    let raw = field(&fields(field(&event, 2)), 1);
    let object = match raw.starts_with(b"k8s\0") && verb != "ERROR" {
        true => protobuf_object(unwrapped(raw)),
        false => Object::default(),
    };
    (verb, object)
}
