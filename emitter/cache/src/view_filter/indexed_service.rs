//! Properties of a Service that decide about what belongs to it.

use proto_types::object::ParseError;
use proto_types::{Labels, ObjectKey, RawObject, label};
use serde::Deserialize;

use crate::Entry;

/// Labels and ports of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexedService {
    pub(super) labels: Labels,
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct ServicePort {
    #[serde(default)]
    pub(super) name: String,
    #[serde(rename = "port")]
    pub(super) number: u16,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
struct Spec {
    ports: Option<Vec<ServicePort>>,
}

impl IndexedService {
    /// Reads a Service.
    pub fn read(service: &RawObject) -> Result<Self, ParseError> {
        let Service { spec } = serde_json::from_slice(&service.json)?;
        Ok(Self {
            labels: service.labels.clone(),
            ports: spec.ports.unwrap_or_default(),
        })
    }
}

/// Returns the key of the Service that an object belongs to, or is.
#[must_use]
pub(crate) fn service_of(entry: &Entry) -> Option<ObjectKey> {
    let key = entry.key();
    let object = entry.object();
    match entry.form().names.plural {
        "endpointslices" => {
            let service = object.labels.get(label::SERVICE_NAME)?;
            Some(ObjectKey::new(key.namespace(), service))
        }
        _ => Some(key.clone()),
    }
}
