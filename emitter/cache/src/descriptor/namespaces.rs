//! Namespaces, which no upstream serves to the emitter: their names come from the exported objects.

use jiff::Timestamp;
use proto_types::resource;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ResourceDescriptor;
use crate::fields::FieldFilter;
use crate::protobuf::schema;
use crate::table::cells::{Metadata, read};

/// `namespaces` of the core group.
pub static NAMESPACES: ResourceDescriptor = ResourceDescriptor {
    names: &resource::NAMESPACES,
    package: "core",
    keep: FieldFilter::Whole,
    selectable: &["status.phase"],
    select,
    empty_tail: r#","spec":{},"status":{}}"#,
    columns: include_str!("../table/namespaces.json").trim_ascii_end(),
    cells,
    protobuf: Some(schema::NAMESPACE),
    warning: None,
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Namespace {
    metadata: Metadata,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    phase: String,
}

fn cells(json: &[u8], now: Timestamp) -> Vec<Value> {
    let Namespace { metadata, status } = read(json);
    vec![
        json!(metadata.name),
        json!(status.phase),
        json!(metadata.age(now)),
    ]
}

fn select(json: &[u8]) -> serde_json::Result<Vec<Box<str>>> {
    let Namespace { status, .. } = serde_json::from_slice(json)?;
    Ok(vec![status.phase.into()])
}
