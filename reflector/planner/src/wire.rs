//! Kubernetes' objects as they are read: of each only what decides something.

use proto_types::{Labels, label};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

#[derive(Deserialize)]
pub(crate) struct Service {
    pub(crate) metadata: Meta,
    #[serde(default)]
    pub(crate) spec: ServiceSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Slice {
    pub(crate) metadata: Meta,
    #[serde(default)]
    pub(crate) address_type: Box<str>,
    pub(crate) ports: Option<Vec<SlicePort>>,
    pub(crate) endpoints: Option<Vec<Endpoint>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    #[serde(default)]
    pub(crate) namespace: Box<str>,
    pub(crate) creation_timestamp: Option<Box<str>>,
    pub(crate) labels: Option<Labels>,
    pub(crate) annotations: Option<Labels>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(crate) service_type: Option<Box<str>>,
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: Option<Box<str>>,
    pub(crate) external_name: Option<Box<str>>,
    pub(crate) selector: Option<Labels>,
    pub(crate) ports: Option<Vec<ServicePort>>,
    pub(crate) session_affinity: Option<Box<str>>,
    pub(crate) session_affinity_config: Option<AffinityConfig>,
    pub(crate) publish_not_ready_addresses: Option<bool>,
    pub(crate) traffic_distribution: Option<Box<str>>,
    pub(crate) ip_family_policy: Option<Box<str>>,
    pub(crate) ip_families: Option<Vec<Box<str>>>,
    pub(crate) internal_traffic_policy: Option<Box<str>>,
    /// All other fields.
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServicePort {
    #[serde(default)]
    pub(crate) name: Box<str>,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) port: u16,
    pub(crate) target_port: Option<Target>,
    pub(crate) app_protocol: Option<Box<str>>,
    #[serde(default)]
    pub(crate) node_port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Target {
    Number(u16),
    Name(Box<str>),
}

#[derive(Deserialize)]
pub(crate) struct AffinityConfig {
    #[serde(rename = "clientIP")]
    pub(crate) client_ip: Option<ClientIp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientIp {
    pub(crate) timeout_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SlicePort {
    pub(crate) name: Option<Box<str>>,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) port: Option<u16>,
    pub(crate) app_protocol: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    #[serde(default)]
    pub(crate) addresses: Vec<Box<str>>,
    #[serde(default)]
    pub(crate) conditions: Conditions,
    pub(crate) hostname: Option<Box<str>>,
    pub(crate) zone: Option<Box<str>>,
    pub(crate) node_name: Option<Box<str>>,
    pub(crate) target_ref: Option<IgnoredAny>,
    pub(crate) hints: Option<Hints>,
    pub(crate) deprecated_topology: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Hints {
    pub(crate) for_zones: Option<Vec<ForZone>>,
    pub(crate) for_nodes: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
pub(crate) struct ForZone {
    pub(crate) name: Box<str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Conditions {
    pub(crate) ready: Option<bool>,
    pub(crate) serving: Option<bool>,
    pub(crate) terminating: Option<bool>,
}

#[derive(Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) metadata: Meta,
    pub(crate) subsets: Option<Vec<Subset>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subset {
    pub(crate) addresses: Option<Vec<EndpointAddress>>,
    pub(crate) not_ready_addresses: Option<Vec<EndpointAddress>>,
    pub(crate) ports: Option<Vec<EndpointsPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointAddress {
    pub(crate) ip: Box<str>,
    pub(crate) hostname: Option<Box<str>>,
    pub(crate) node_name: Option<Box<str>>,
    pub(crate) target_ref: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointsPort {
    pub(crate) name: Option<Box<str>>,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) port: u16,
    pub(crate) app_protocol: Option<Box<str>>,
}

impl Meta {
    /// Returns whether Endpoints had no room for all addresses.
    pub(crate) fn is_over_capacity(&self) -> bool {
        let annotations = self.annotations.as_ref();
        annotations.is_some_and(|it| it.contains_key(label::OVER_CAPACITY))
    }
}

impl Subset {
    /// Returns whether it has what a mirror never has.
    pub(crate) fn has_unexpected_fields(&self) -> bool {
        let all = [&self.addresses, &self.not_ready_addresses];
        let mut all = all.into_iter().flatten().flatten();
        all.any(|it| it.target_ref.is_some())
    }
}
