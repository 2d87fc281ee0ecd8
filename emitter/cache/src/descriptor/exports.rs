//! ServiceExports of the Multi-Cluster Services API.

use jiff::Timestamp;
use proto_types::multicluster::Version;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ResourceDescriptor, select_nothing};
use crate::fields::FieldFilter;
use crate::table::cells::{Metadata, read};

/// `serviceexports` of `multicluster.x-k8s.io`. Custom resources have no protobuf.
pub static SERVICE_EXPORTS: ResourceDescriptor = ResourceDescriptor {
    names: Version::V1Beta1.exports(),
    package: "v1beta1",
    keep: FieldFilter::Whole,
    selectable: &[],
    select: select_nothing,
    empty_tail: "}",
    columns: include_str!("../table/serviceexports.json").trim_ascii_end(),
    cells,
    protobuf: None,
    warning: None,
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct ServiceExport {
    metadata: Metadata,
}

fn cells(json: &[u8], now: Timestamp) -> Vec<Value> {
    let ServiceExport { metadata } = read(json);
    vec![json!(metadata.name), json!(metadata.age(now))]
}
