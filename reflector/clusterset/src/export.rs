//! ServiceExports and exported Services, as a cluster declares them.

use bytes::Bytes;
use proto_types::{Labels, RawObject, label};
use reflector_planner::service::ServiceKind;
use reflector_planner::{Exported, ServiceContent, SourceSlice};
use serde::Deserialize;
use serde_json::Value;

use crate::api;
use crate::selector::Selectors;

/// A ServiceExport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Creation time as its API server wrote it (RFC 3339 in UTC, so that texts order as
    /// times do). The oldest export takes precedence.
    pub created: Box<str>,
    /// `spec.exportedLabels`.
    pub labels: Labels,
    /// `spec.exportedAnnotations`.
    pub annotations: Labels,
    /// Cluster selectors.
    pub selectors: Option<Selectors>,
    /// The whole object.
    pub json: Bytes,
}

/// A Service of a cluster, as far as an import can show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportedService {
    /// A Service that can be exported.
    Usable(Box<Definition>),
    /// A Service of type ExternalName, which has no endpoints.
    ExternalName,
    /// A Service that a multi-cluster program wrote. It is never exported again.
    Managed,
    /// A Service that cannot be read, and why.
    Unreadable(Box<str>),
}

impl Export {
    /// Returns the UID.
    #[must_use]
    pub fn uid(&self) -> Option<Box<str>> {
        let object: serde_json::Value = serde_json::from_slice(&self.json).ok()?;
        object["metadata"]["uid"].as_str().map(Into::into)
    }
}

impl ExportedService {
    /// Returns whether it can be exported, as far as it can be read.
    #[must_use]
    pub const fn counts(&self) -> bool {
        match self {
            Self::Usable(_) | Self::Unreadable(_) => true,
            Self::ExternalName | Self::Managed => false,
        }
    }
}

/// The fields of a Service that an import shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Ports, type, session affinity, IP families and traffic distribution.
    pub content: ServiceContent,
    /// `spec.internalTrafficPolicy`, with its default.
    pub internal_traffic_policy: Box<str>,
}

impl Definition {
    /// Returns whether clients reach the endpoints by addresses of their own.
    #[must_use]
    pub const fn is_headless(&self) -> bool {
        matches!(self.content.spec.kind, ServiceKind::Headless(_))
    }
}

#[derive(Deserialize)]
struct ExportObject {
    metadata: Metadata,
    #[serde(default)]
    spec: Option<ExportSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    creation_timestamp: Option<Box<str>>,
    #[serde(default)]
    annotations: Option<Labels>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ExportSpec {
    exported_labels: Option<Labels>,
    exported_annotations: Option<Labels>,
    #[serde(default)]
    cluster_selectors: Value,
}

#[derive(Deserialize)]
struct ServiceObject {
    #[serde(default)]
    spec: ServiceSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "type")]
    service_type: Option<Box<str>>,
    internal_traffic_policy: Option<Box<str>>,
}

const DEFAULT_POLICY: &str = "Cluster";

/// Sorts after every time: an export without a creation time never takes precedence.
const NEVER: &str = "~";

impl Export {
    /// Reads a ServiceExport. One that cannot be read exports nothing but its name.
    #[must_use]
    pub fn read(object: &RawObject) -> Self {
        let read: Option<ExportObject> = serde_json::from_slice(&object.json).ok();
        let (metadata, spec) = read.map_or((None, None), |it| (Some(it.metadata), it.spec));
        let spec = spec.unwrap_or_default();
        let annotations = metadata.as_ref().and_then(|it| it.annotations.as_ref());
        let annotation = annotations.and_then(|it| it.get(label::CLUSTER_SELECTORS));
        let selectors = Selectors::of_field(&spec.cluster_selectors);
        let selectors = selectors.or_else(|| Selectors::of_annotation(annotation?));
        let created = metadata.and_then(|it| it.creation_timestamp);
        Self {
            created: created.unwrap_or_else(|| NEVER.into()),
            labels: spec.exported_labels.unwrap_or_default(),
            annotations: spec.exported_annotations.unwrap_or_default(),
            selectors,
            json: object.json.clone(),
        }
    }
}

impl ExportedService {
    /// Reads a Service.
    #[must_use]
    pub fn read(object: &RawObject) -> Self {
        if object.labels.contains_key(api::CLUSTERSET) {
            return Self::Managed;
        }
        let extra: ServiceSpec = match serde_json::from_slice::<ServiceObject>(&object.json) {
            Ok(it) => it.spec,
            Err(why) => return Self::Unreadable(why.to_string().into()),
        };
        if extra.service_type.as_deref() == Some("ExternalName") {
            return Self::ExternalName;
        }
        match Exported::member(object).object {
            None => Self::Managed,
            Some(Err(why)) => Self::Unreadable(why),
            Some(Ok(content)) => Self::Usable(Box::new(Definition {
                content,
                internal_traffic_policy: extra
                    .internal_traffic_policy
                    .unwrap_or_else(|| DEFAULT_POLICY.into()),
            })),
        }
    }
}

/// Reads an EndpointSlice of a cluster. A copy of another cluster's is none of its own.
#[must_use]
pub fn slice(object: &RawObject) -> Option<SourceSlice> {
    let is_copy = object.labels.contains_key(api::SOURCE_CLUSTER);
    Exported::slice(object).object.filter(|_| !is_copy)
}
