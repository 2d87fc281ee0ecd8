//! Objects, lists and bookmarks of a resource in protobuf.

use crate::ResourceDescriptor;
use crate::part::{ListMeta, Note, Part};
use crate::protobuf::{Message, encode, enveloped, head, schema, wire};

const META_VERSION: &str = "meta.k8s.io/v1";

/// Returns an object, or its metadata, in an envelope. `json` is that part of the object.
#[must_use]
pub fn object(form: &ResourceDescriptor, part: Part, json: &[u8]) -> Vec<u8> {
    match part {
        Part::Whole => whole(form, json),
        Part::Metadata => metadata(json),
    }
}

/// Returns an object that has nothing but metadata.
#[must_use]
pub fn bookmark(form: &ResourceDescriptor, part: Part, revision: &str, note: Note) -> Vec<u8> {
    let annotations = note.annotations();
    let json = format!(r#"{{"resourceVersion":"{revision}"{annotations}}}"#);
    match part {
        Part::Whole => whole(form, format!(r#"{{"metadata":{json}}}"#).as_bytes()),
        Part::Metadata => metadata(json.as_bytes()),
    }
}

/// Writes one item of a list. `json` is that part of the object.
pub fn item(form: &ResourceDescriptor, part: Part, json: &[u8], out: &mut Vec<u8>) {
    let message = match part {
        Part::Whole => encode(message_of(form), json).bytes,
        Part::Metadata => metadata_message(json),
    };
    wire::bytes(2, &message, out);
}

/// Returns the beginning of a list, up to its items.
#[must_use]
pub fn list_head(
    form: &ResourceDescriptor,
    part: Part,
    meta: &ListMeta,
    n_item_bytes: usize,
) -> Vec<u8> {
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

fn message_of(form: &ResourceDescriptor) -> Message {
    form.protobuf.unwrap_or(schema::METADATA)
}

fn whole(form: &ResourceDescriptor, json: &[u8]) -> Vec<u8> {
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
