//! Reads the exported objects of a source, and hides mirrors and the Service of its API server.

use proto_types::{Labels, ObjectKey, RawObject, label};

use super::{Exported, ServiceContent, SliceContent, SourceService, SourceSlice};
use crate::import::may_come;
use crate::service::ServiceSpec;
use crate::slice::EndpointSliceSpec;
use crate::wire;

impl Exported<SourceService> {
    /// Reads a Service of a source, which is mirrored.
    #[must_use]
    pub fn service(object: &RawObject) -> Self {
        let mut service = Self::member(object);
        if let Some(Ok(content)) = &mut service.object {
            content.labels.retain(|name, _| may_come(name));
            content.selector = Labels::new();
            content
                .annotations
                .retain(|name, _| may_come(name) || name == label::ALIAS);
        }
        service
    }

    /// Reads a Service of a source, which joins a global one.
    #[must_use]
    pub fn member(object: &RawObject) -> Self {
        let read = serde_json::from_slice(&object.json);
        let hidden = is_own_api(&object.key)
            || match &read {
                Ok(wire::Service { metadata, .. }) => is_mirror(metadata),
                Err(_) => object.labels.contains_key(label::SOURCE),
            };
        let service = read
            .map(|mut service: wire::Service| ServiceContent {
                has_selector: service.spec.selector.iter().any(|it| !it.is_empty()),
                selector: service.spec.selector.take().unwrap_or_default(),
                is_exposed: service.spec.is_exposed(),
                spec: ServiceSpec::of_source(service.spec),
                created: service.metadata.creation_timestamp,
                labels: service.metadata.labels.unwrap_or_default(),
                annotations: service.metadata.annotations.unwrap_or_default(),
            })
            .map_err(|error| error.to_string().into());
        let service = check_name(&object.key).and(service);
        Self {
            key: object.key.clone(),
            object: (!hidden).then_some(service),
        }
    }
}

impl Exported<SourceSlice> {
    /// Reads a slice of a source. One that belongs to no Service is not mirrored.
    #[must_use]
    pub fn slice(object: &RawObject) -> Self {
        let read = serde_json::from_slice(&object.json);
        let hidden = match &read {
            Ok(wire::Slice { metadata, .. }) => is_mirror(metadata),
            Err(_) => object.labels.contains_key(label::SOURCE),
        };
        let content = read
            .map(|slice: wire::Slice| {
                let last_change = slice.metadata.last_change();
                let (spec, left_out) = EndpointSliceSpec::of_source(slice);
                SliceContent {
                    spec,
                    left_out,
                    last_change,
                    is_truncated: false,
                }
            })
            .map_err(|error| error.to_string().into());
        let content = check_name(&object.key).and(content);
        let service = object.labels.get(label::SERVICE_NAME);
        let slice = service.filter(|_| !hidden).map(|name| SourceSlice {
            service: ObjectKey::new(object.key.namespace(), name),
            content,
        });
        Self {
            key: object.key.clone(),
            object: slice,
        }
    }
}

/// Names become parts of paths here. A server that is no API server may send anything.
pub(crate) fn check_name(key: &ObjectKey) -> Result<(), Box<str>> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let name = key.name().bytes().all(|byte| legal(byte) || byte == b'.');
    let namespace = !key.namespace().is_empty() && key.namespace().bytes().all(legal);
    if name && namespace {
        Ok(())
    } else {
        Err("its namespace or name is not a legal one".into())
    }
}

/// Every cluster has this one, and a mirror of it would lead away from it.
fn is_own_api(service: &ObjectKey) -> bool {
    service.as_str() == "default/kubernetes"
}

/// A mirror is never mirrored again: two clusters that mirror each other would
/// never come to rest.
pub(crate) fn is_mirror(metadata: &wire::Meta) -> bool {
    let none = Labels::new();
    let labels = metadata.labels.as_ref().unwrap_or(&none);
    let annotations = metadata.annotations.as_ref().unwrap_or(&none);
    label::is_managed(labels, annotations) || label::is_predecessors(labels, annotations)
}
