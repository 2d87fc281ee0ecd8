//! An EndpointSlice as far as a mirror shows it: read from either side, and written.

use serde_json::{Map, Value, json};

use crate::wire;

mod invalid_endpoint;

pub use invalid_endpoint::Oddity;

/// Content of an EndpointSlice that a mirror shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSliceSpec {
    /// `IPv4`, `IPv6` or `FQDN`; fixed for life.
    pub address_type: Box<str>,
    /// The ports of all its endpoints.
    pub ports: Box<[SlicePort]>,
    /// Endpoints.
    pub endpoints: Box<[Endpoint]>,
}

/// One port of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePort {
    /// The Service port's name, by which kube-proxy joins the two.
    pub name: Box<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
    /// The number; none means all.
    pub port: Option<u16>,
    /// Application protocol.
    pub app_protocol: Option<Box<str>>,
}

/// One endpoint. Pods of another cluster mean nothing in the local cluster, nor do hints that were
/// computed for its zones alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Interchangeable addresses.
    pub addresses: Box<[Box<str>]>,
    /// Condition `ready`: the endpoint takes new connections.
    pub ready: Option<bool>,
    /// Condition `serving`: the endpoint serves, terminating or not.
    pub serving: Option<bool>,
    /// Condition `terminating`: the endpoint is shutting down.
    pub terminating: Option<bool>,
    /// Its own name under the Service's.
    pub hostname: Option<Box<str>>,
    /// Zone of the endpoint.
    pub zone: Option<Box<str>>,
    /// On which node of its cluster.
    pub node: Option<Box<str>>,
    /// The zones that it is to serve, where some are preferred.
    pub hints: Box<[Box<str>]>,
}

/// Endpoints or ports that were left out of a slice, all for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The reason.
    pub why: Oddity,
    /// The first address or name with it.
    pub example: Box<str>,
    /// Number of endpoints or ports.
    pub count: usize,
}

impl EndpointSliceSpec {
    /// Reads a source EndpointSlice, without parts for which an API server would reject all of it.
    pub(crate) fn of_source(slice: wire::Slice) -> (Self, Vec<LeftOut>) {
        let (mut spec, _) = Self::read(slice);
        for endpoint in &mut spec.endpoints {
            endpoint.hints = Box::default();
        }
        let left_out = invalid_endpoint::leave_out(&mut spec);
        (spec, left_out)
    }

    /// Reads an EndpointSlice, with its metadata.
    pub(crate) fn read(slice: wire::Slice) -> (Self, wire::Meta) {
        let ports = slice.ports.unwrap_or_default();
        let endpoints = slice.endpoints.unwrap_or_default();
        let spec = Self {
            address_type: slice.address_type,
            ports: ports.into_iter().map(SlicePort::read).collect(),
            endpoints: endpoints.into_iter().map(Endpoint::read).collect(),
        };
        (spec, slice.metadata)
    }

    /// Puts this into a slice, which may hold what others wrote.
    pub(crate) fn write(&self, slice: &mut Map<String, Value>) {
        slice.insert("addressType".to_owned(), json!(self.address_type));
        let ports: Vec<_> = self.ports.iter().map(SlicePort::written).collect();
        slice.insert("ports".to_owned(), json!(ports));
        let endpoints: Vec<_> = self.endpoints.iter().map(Endpoint::written).collect();
        slice.insert("endpoints".to_owned(), json!(endpoints));
    }
}

impl wire::Slice {
    /// Returns whether it has what a mirror never has.
    pub(crate) fn has_unexpected_fields(&self) -> bool {
        self.endpoints.iter().flatten().any(|endpoint| {
            endpoint.target_ref.is_some()
                || endpoint
                    .hints
                    .as_ref()
                    .is_some_and(wire::Hints::names_nodes)
                || endpoint.deprecated_topology.is_some()
        })
    }
}

impl wire::Hints {
    fn zones(self) -> Box<[Box<str>]> {
        let zones = self.for_zones.into_iter().flatten();
        zones.map(|it| it.name).collect()
    }

    fn names_nodes(&self) -> bool {
        self.for_nodes.as_ref().is_some_and(|it| !it.is_empty())
    }
}

impl SlicePort {
    fn read(port: wire::SlicePort) -> Self {
        Self {
            name: port.name.unwrap_or_default(),
            protocol: port.protocol.unwrap_or_else(|| "TCP".into()),
            port: port.port,
            app_protocol: port.app_protocol,
        }
    }

    fn written(&self) -> Value {
        let mut port = json!({"name": self.name, "protocol": self.protocol});
        if let Some(number) = self.port {
            port["port"] = json!(number);
        }
        if let Some(spoken) = &self.app_protocol {
            port["appProtocol"] = json!(spoken);
        }
        port
    }
}

impl Endpoint {
    fn read(endpoint: wire::Endpoint) -> Self {
        Self {
            addresses: endpoint.addresses.into(),
            ready: endpoint.conditions.ready,
            serving: endpoint.conditions.serving,
            terminating: endpoint.conditions.terminating,
            hostname: endpoint.hostname,
            zone: endpoint.zone,
            node: endpoint.node_name,
            hints: endpoint.hints.map(wire::Hints::zones).unwrap_or_default(),
        }
    }

    fn written(&self) -> Value {
        let mut conditions = Map::new();
        for (name, condition) in [
            ("ready", self.ready),
            ("serving", self.serving),
            ("terminating", self.terminating),
        ] {
            if let Some(condition) = condition {
                conditions.insert(name.to_owned(), json!(condition));
            }
        }
        let mut endpoint = json!({"addresses": self.addresses, "conditions": conditions});
        if let Some(hostname) = &self.hostname {
            endpoint["hostname"] = json!(hostname);
        }
        if let Some(zone) = &self.zone {
            endpoint["zone"] = json!(zone);
        }
        if let Some(node) = &self.node {
            endpoint["nodeName"] = json!(node);
        }
        if !self.hints.is_empty() {
            let zones: Vec<_> = self.hints.iter().map(|it| json!({"name": it})).collect();
            endpoint["hints"] = json!({"forZones": zones});
        }
        endpoint
    }
}
