//! Properties of the objects of one resource, for storing and writing them.

mod exports;
mod namespaces;

pub use self::exports::SERVICE_EXPORTS;
pub use self::namespaces::NAMESPACES;
use proto_types::Resource;
use proto_types::resource::ApiResource;
use serde::Deserialize;

use crate::fields::{self, FieldFilter};
use crate::protobuf::{Message, schema};
use crate::table::{Cells, cells};

/// Description of a resource: names, exported fields, selectable fields, encodings and columns.
#[derive(Debug)]
pub struct ResourceDescriptor {
    /// Names.
    pub names: &'static ApiResource,
    /// The Go package of their types, which some refusals name.
    pub package: &'static str,
    /// Exported fields.
    pub keep: FieldFilter,
    /// The fields that selectors may name, beside name and namespace.
    pub selectable: &'static [&'static str],
    /// Reads an object's selectable fields, in their order.
    pub select: fn(&[u8]) -> serde_json::Result<Vec<Box<str>>>,
    /// Text after the metadata of an object that has nothing else.
    pub empty_tail: &'static str,
    /// The column definitions of its table, encoded.
    pub columns: &'static str,
    /// Writes the cells of an object's row; those of an empty object for what cannot
    /// be read.
    pub cells: Cells,
    /// Its fields in protobuf, which is not offered without.
    pub protobuf: Option<Message>,
    /// Warning in responses about the resource.
    pub warning: Option<&'static str>,
}

impl PartialEq for ResourceDescriptor {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for ResourceDescriptor {}

impl From<Resource> for &'static ResourceDescriptor {
    fn from(resource: Resource) -> Self {
        match resource {
            Resource::Services => &SERVICES,
            Resource::EndpointSlices => &ENDPOINT_SLICES,
            Resource::Endpoints => &ENDPOINTS,
        }
    }
}

static SERVICES: ResourceDescriptor = ResourceDescriptor {
    names: Resource::Services.names(),
    package: "core",
    keep: fields::SERVICE,
    selectable: &["spec.clusterIP", "spec.type"],
    select: select_service,
    empty_tail: r#","spec":{},"status":{"loadBalancer":{}}}"#,
    columns: include_str!("table/services.json").trim_ascii_end(),
    cells: cells::service,
    protobuf: Some(schema::SERVICE),
    warning: None,
};

static ENDPOINT_SLICES: ResourceDescriptor = ResourceDescriptor {
    names: Resource::EndpointSlices.names(),
    package: "discovery",
    keep: fields::ENDPOINT_SLICE,
    selectable: &[],
    select: select_nothing,
    empty_tail: r#","addressType":"","endpoints":null,"ports":null}"#,
    columns: include_str!("table/endpointslices.json").trim_ascii_end(),
    cells: cells::endpoint_slice,
    protobuf: Some(schema::ENDPOINT_SLICE),
    warning: None,
};

static ENDPOINTS: ResourceDescriptor = ResourceDescriptor {
    names: Resource::Endpoints.names(),
    package: "core",
    keep: fields::ENDPOINTS,
    selectable: &[],
    select: select_nothing,
    empty_tail: "}",
    columns: include_str!("table/endpoints.json").trim_ascii_end(),
    cells: cells::endpoints,
    protobuf: Some(schema::ENDPOINTS),
    warning: Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
};

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    spec: ServiceFields,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceFields {
    #[serde(rename = "clusterIP")]
    cluster_ip: Box<str>,
    #[serde(rename = "type")]
    service_type: Box<str>,
}

fn select_service(json: &[u8]) -> serde_json::Result<Vec<Box<str>>> {
    let Service { spec } = serde_json::from_slice(json)?;
    Ok(vec![spec.cluster_ip, spec.service_type])
}

/// Selects by nothing but name and namespace.
pub fn select_nothing(_: &[u8]) -> serde_json::Result<Vec<Box<str>>> {
    Ok(Vec::new())
}
