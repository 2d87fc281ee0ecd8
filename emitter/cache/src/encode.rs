//! Encoded watch events and list bodies, made of the upstream's bytes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use proto_types::frame::EventType;
use proto_types::{ResourceVersion, Status};

use crate::part::{ListMeta, Note, Part};
use crate::protobuf_body as body;
use crate::table::{Include, Row};
use crate::view::Encoding;
use crate::view_event::ViewEvent;
use crate::{Encoded, Entry, ResourceDescriptor, protobuf};

/// Encodes for one resource, and counts how often it had to.
#[derive(Debug)]
pub struct Encoder {
    form: &'static ResourceDescriptor,
    encoded: AtomicU64,
}

const METADATA_HEAD: &str =
    r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#;

/// The encoded events of one change, one for each encoding and event type, filled on use.
#[derive(Debug, Default)]
pub(crate) struct EncodedEvents([[OnceLock<Encoded>; 3]; 7]);

impl EncodedEvents {
    pub(crate) fn get(
        &self,
        encoding: Encoding,
        event_type: EventType,
        encode: impl FnOnce() -> Encoded,
    ) -> Encoded {
        let row = match encoding {
            Encoding::Object => 0,
            Encoding::Metadata => 1,
            Encoding::Table(Include::Nothing) => 2,
            Encoding::Table(Include::Metadata) => 3,
            Encoding::Table(Include::Object) => 4,
            Encoding::Protobuf(Part::Whole) => 5,
            Encoding::Protobuf(Part::Metadata) => 6,
        };
        let column = match event_type {
            EventType::Added => 0,
            EventType::Modified => 1,
            EventType::Deleted | EventType::Bookmark | EventType::Error => 2,
        };
        self.0[row][column].get_or_init(encode).clone()
    }
}

impl Encoder {
    /// An encoder for that resource.
    #[must_use]
    pub fn new(form: impl Into<&'static ResourceDescriptor>) -> Self {
        Self {
            form: form.into(),
            encoded: AtomicU64::new(0),
        }
    }

    /// Returns the number of watch events of changes that were encoded so far.
    #[must_use]
    pub fn encoded(&self) -> u64 {
        self.encoded.load(Ordering::Relaxed)
    }

    /// The encoded event of a change as a view sees it.
    pub(crate) fn seen(
        &self,
        seen: ViewEvent<'_>,
        revision: ResourceVersion,
        encoding: Encoding,
        now: Timestamp,
    ) -> Bytes {
        self.encoded.fetch_add(1, Ordering::Relaxed);
        let mut out = open(encoding, seen.event_type());
        match seen {
            ViewEvent::Added(entry) | ViewEvent::Modified(entry) => {
                self.object(entry, encoding, now, &mut out);
            }
            ViewEvent::Deleted(entry) => self.deleted(entry, revision, encoding, now, &mut out),
        }
        close(encoding, seen.event_type(), out)
    }

    /// The watch event that shows an existing object to a new watch.
    #[must_use]
    pub fn added(&self, entry: &Entry, encoding: Encoding, now: Timestamp) -> Bytes {
        let mut out = open(encoding, EventType::Added);
        self.object(entry, encoding, now, &mut out);
        close(encoding, EventType::Added, out)
    }

    /// One object, as GET answers it, without the newline at its end.
    pub fn object(&self, entry: &Entry, encoding: Encoding, now: Timestamp, out: &mut Vec<u8>) {
        match encoding {
            Encoding::Object => out.extend_from_slice(entry.json()),
            Encoding::Metadata => {
                out.extend_from_slice(METADATA_HEAD.as_bytes());
                out.extend_from_slice(&entry.metadata());
                out.push(b'}');
            }
            Encoding::Table(include) => {
                let row = Row::of(self.form.cells, entry.json(), now);
                let part = match include {
                    Include::Nothing => Vec::new(),
                    Include::Metadata => entry.metadata().to_vec(),
                    Include::Object => entry.json().to_vec(),
                };
                self.single_row(&row, entry.revision(), include, &part, out);
            }
            Encoding::Protobuf(part) => {
                out.extend_from_slice(&body::object(self.form, part, &entry.part(part)));
            }
        }
    }

    fn deleted(
        &self,
        entry: &Entry,
        revision: ResourceVersion,
        encoding: Encoding,
        now: Timestamp,
        out: &mut Vec<u8>,
    ) {
        match encoding {
            Encoding::Object => out.extend_from_slice(&entry.at_revision(Part::Whole, revision)),
            Encoding::Metadata => {
                out.extend_from_slice(METADATA_HEAD.as_bytes());
                out.extend_from_slice(&entry.at_revision(Part::Metadata, revision));
                out.push(b'}');
            }
            Encoding::Table(include) => {
                let row = Row::of(self.form.cells, entry.json(), now);
                let part = match include {
                    Include::Nothing => Vec::new(),
                    Include::Metadata => entry.at_revision(Part::Metadata, revision),
                    Include::Object => entry.at_revision(Part::Whole, revision),
                };
                self.single_row(&row, revision, include, &part, out);
            }
            Encoding::Protobuf(part) => {
                let last = entry.at_revision(part, revision);
                out.extend_from_slice(&body::object(self.form, part, &last));
            }
        }
    }

    fn single_row(
        &self,
        row: &Row,
        revision: ResourceVersion,
        include: Include,
        part: &[u8],
        out: &mut Vec<u8>,
    ) {
        let head = format!(
            r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{"resourceVersion":"{revision}"}},{COLUMNS}"rows":["#
        );
        out.extend_from_slice(head.as_bytes());
        row.write(include, part, out);
        out.extend_from_slice(b"]}");
    }

    /// The items of a list, with their brackets.
    #[must_use]
    pub fn items<'a>(
        &self,
        entries: impl Iterator<Item = &'a Entry>,
        encoding: Encoding,
        now: Timestamp,
    ) -> Bytes {
        if let Encoding::Protobuf(part) = encoding {
            let mut out = Vec::new();
            for entry in entries {
                body::item(self.form, part, &entry.part(part), &mut out);
            }
            return out.into();
        }
        let mut out = vec![b'['];
        for (i, entry) in entries.enumerate() {
            if 0 < i {
                out.push(b',');
            }
            match encoding {
                Encoding::Object => {
                    out.push(b'{');
                    out.extend_from_slice(&entry.object().item_tail(self.form.names));
                }
                Encoding::Metadata => self.object(entry, encoding, now, &mut out),
                Encoding::Table(include) => {
                    let part = match include {
                        Include::Nothing => Bytes::new(),
                        Include::Metadata => entry.metadata(),
                        Include::Object => entry.json().clone(),
                    };
                    Row::of(self.form.cells, entry.json(), now).write(include, &part, &mut out);
                }
                Encoding::Protobuf(part) => {
                    body::item(self.form, part, &entry.part(part), &mut out);
                }
            }
        }
        // Go writes no empty list for this one kind.
        if out.len() == 1 && encoding == Encoding::Metadata {
            return Bytes::from_static(b"null");
        }
        out.push(b']');
        out.into()
    }

    /// A list: what stands before its items, and after them.
    #[must_use]
    pub fn list(&self, encoding: Encoding, meta: &ListMeta, items: Bytes) -> [Bytes; 3] {
        let (head, tail) = match encoding {
            Encoding::Protobuf(part) => (
                body::list_head(self.form, part, meta, items.len()),
                protobuf::TAIL,
            ),
            Encoding::Object | Encoding::Metadata | Encoding::Table(_) => {
                (self.list_head(encoding, meta).into_bytes(), TAIL)
            }
        };
        [head.into(), items, Bytes::from_static(tail)]
    }

    fn list_head(&self, encoding: Encoding, meta: &ListMeta) -> String {
        let (kind, api_version, items) = match encoding {
            Encoding::Object => {
                let kind = format!("{}List", self.form.names.kind);
                (kind, self.form.names.api_version, r#""items":"#.to_owned())
            }
            Encoding::Metadata | Encoding::Protobuf(_) => (
                "PartialObjectMetadataList".to_owned(),
                "meta.k8s.io/v1",
                r#""items":"#.to_owned(),
            ),
            Encoding::Table(_) => {
                let columns = self.form.columns;
                let rows = format!(r#""columnDefinitions":{columns},"rows":"#);
                ("Table".to_owned(), "meta.k8s.io/v1", rows)
            }
        };
        let meta = meta.to_json();
        format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{meta},{items}"#)
    }

    /// The bookmark of a resource version.
    #[must_use]
    pub fn bookmark(&self, encoding: Encoding, revision: ResourceVersion, note: Note) -> Bytes {
        let annotations = note.annotations();
        let metadata = format!(r#"{{"resourceVersion":"{revision}"{annotations}}}"#);
        let mut out = open(encoding, EventType::Bookmark);
        match encoding {
            Encoding::Protobuf(part) => {
                let revision = revision.to_string();
                out.extend_from_slice(&body::bookmark(self.form, part, &revision, note));
            }
            Encoding::Object => {
                out.extend_from_slice(self.form.names.object_head.as_bytes());
                out.extend_from_slice(b"\"metadata\":");
                out.extend_from_slice(metadata.as_bytes());
                out.extend_from_slice(self.form.empty_tail.as_bytes());
            }
            Encoding::Metadata => {
                out.extend_from_slice(METADATA_HEAD.as_bytes());
                out.extend_from_slice(metadata.as_bytes());
                out.push(b'}');
            }
            Encoding::Table(include) => {
                let row = Row::empty(self.form.cells);
                // The mark must reach the consumer even if it wants no objects.
                let include = match (include, note) {
                    (Include::Nothing, Note::InitialEventsEnd) => Include::Metadata,
                    (include, _) => include,
                };
                let part = match include {
                    Include::Object => {
                        let head = self.form.names.object_head;
                        let tail = self.form.empty_tail;
                        format!("{head}\"metadata\":{metadata}{tail}").into_bytes()
                    }
                    Include::Nothing | Include::Metadata => metadata.into_bytes(),
                };
                self.single_row(&row, revision, include, &part, &mut out);
            }
        }
        close(encoding, EventType::Bookmark, out)
    }
}

/// The encoded event that ends a watch with a refusal.
#[must_use]
pub fn error(encoding: Encoding, status: &Status) -> Bytes {
    let mut out = open(encoding, EventType::Error);
    match encoding {
        Encoding::Protobuf(_) => out.extend_from_slice(&protobuf::status(status)),
        Encoding::Object | Encoding::Metadata | Encoding::Table(_) => {
            out.extend_from_slice(status.to_json().as_bytes());
        }
    }
    close(encoding, EventType::Error, out)
}

/// A table's encoded event as the first of its watch must be: with column definitions. Encoded
/// events are shared, and only the first one that a watcher gets carries them.
#[must_use]
pub fn with_columns(form: &ResourceDescriptor, frame: &Bytes) -> Bytes {
    let Some(at) = find(frame, COLUMNS.as_bytes()) else {
        return frame.clone();
    };
    let columns = form.columns;
    let mut out = Vec::with_capacity(frame.len() + columns.len());
    out.extend_from_slice(&frame[..at]);
    out.extend_from_slice(format!("\"columnDefinitions\":{columns},").as_bytes());
    out.extend_from_slice(&frame[at + COLUMNS.len()..]);
    out.into()
}

const COLUMNS: &str = "\"columnDefinitions\":null,";

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// An encoded event up to its object; in protobuf lengths stand before, and come last.
fn open(encoding: Encoding, event_type: EventType) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf(_) => Vec::new(),
        Encoding::Object | Encoding::Metadata | Encoding::Table(_) => {
            format!(r#"{{"type":"{}","object":"#, event_type.as_str()).into_bytes()
        }
    }
}

fn close(encoding: Encoding, event_type: EventType, mut out: Vec<u8>) -> Bytes {
    match encoding {
        Encoding::Protobuf(_) => protobuf::frame(event_type, &out),
        Encoding::Object | Encoding::Metadata | Encoding::Table(_) => {
            out.extend_from_slice(b"}\n");
            out.into()
        }
    }
}

/// End of a list in JSON.
const TAIL: &[u8] = b"}\n";
