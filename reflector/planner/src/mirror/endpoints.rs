//! core/v1 Endpoints beside the slices of a mirror, for programs that still read them.
//!
//! They have the content of the slices, as far as Endpoints can: one family, and at most a thousand
//! addresses. Kubernetes orders them as it likes, so that they compare as sets.

use std::collections::{BTreeMap, BTreeSet};

use proto_types::label;
use proto_types::{RawObject, Resource};
use serde_json::{Map, Value, json};

use super::kept::kept;
use super::ownership::ENDPOINTS_LABELS;
use super::{Mirror, Observed, OwnershipMetadata, SourceReference, child};
use crate::service::Family;
use crate::slice::{Endpoint, EndpointSliceSpec, SlicePort};
use crate::wire;

/// The Endpoints of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorEndpoints {
    /// Its marks.
    pub marks: OwnershipMetadata,
    /// Content.
    pub spec: EndpointsSpec,
    /// `true` if observed Endpoints have fields that a mirror never has. Desired ones never do.
    pub has_unexpected_fields: bool,
}

/// Addresses by the ports that they serve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointsSpec {
    subsets: BTreeMap<BTreeSet<Port>, Subset>,
    /// `true` if there was no room for all addresses.
    is_truncated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Subset {
    ready: BTreeSet<Address>,
    others: BTreeSet<Address>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    name: Box<str>,
    protocol: Box<str>,
    port: u16,
    app_protocol: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    ip: Box<str>,
    hostname: Option<Box<str>>,
    node: Option<Box<str>>,
}

/// Those that are ready order first, and so are the last to have no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ready,
    NotReady,
}

/// As many addresses as Kubernetes' own controller writes.
const MAX_ADDRESSES: usize = 1000;

impl EndpointsSpec {
    /// Returns the Endpoints that EndpointSlices of one family amount to.
    pub(crate) fn of_slices<'a>(
        family: Family,
        slices: impl Iterator<Item = &'a EndpointSliceSpec>,
    ) -> Self {
        let mut ports_of: BTreeMap<(State, Address), BTreeSet<Port>> = BTreeMap::new();
        for slice in slices.filter(|it| &*it.address_type == family.as_str()) {
            let ports: BTreeSet<_> = slice.ports.iter().filter_map(Port::of_slice).collect();
            for endpoint in &slice.endpoints {
                if let Some((state, address)) = Address::of_endpoint(endpoint) {
                    let its = ports_of.entry((state, address)).or_default();
                    its.extend(ports.iter().cloned());
                }
            }
        }
        let is_truncated = MAX_ADDRESSES < ports_of.len();
        let mut subsets: BTreeMap<_, Subset> = BTreeMap::new();
        for ((state, address), ports) in ports_of.into_iter().take(MAX_ADDRESSES) {
            let subset = subsets.entry(ports).or_default();
            match state {
                State::Ready => subset.ready.insert(address),
                State::NotReady => subset.others.insert(address),
            };
        }
        Self {
            subsets,
            is_truncated,
        }
    }

    fn read(subsets: Vec<wire::Subset>, is_truncated: bool) -> Self {
        let addresses = |all: Option<Vec<wire::EndpointAddress>>| {
            let all = all.into_iter().flatten();
            all.map(Address::read).collect()
        };
        let subsets = subsets.into_iter().map(|subset| {
            let ports = subset.ports.into_iter().flatten().map(Port::read).collect();
            let subset = Subset {
                ready: addresses(subset.addresses),
                others: addresses(subset.not_ready_addresses),
            };
            (ports, subset)
        });
        Self {
            subsets: subsets.collect(),
            is_truncated,
        }
    }

    fn write(&self, object: &mut Map<String, Value>) {
        let subsets: Vec<_> = self.subsets.iter().map(written).collect();
        object.insert("subsets".to_owned(), json!(subsets));
        let annotations = child(child(object, "metadata"), "annotations");
        if self.is_truncated {
            annotations.insert(label::OVER_CAPACITY.to_owned(), json!("truncated"));
        } else {
            annotations.remove(label::OVER_CAPACITY);
        }
    }
}

impl Mirror for MirrorEndpoints {
    const RESOURCE: Resource = Resource::Endpoints;

    fn observe(json: &[u8]) -> Result<(Self, Option<SourceReference>), serde_json::Error> {
        let wire::Endpoints { metadata, subsets } = serde_json::from_slice(json)?;
        let subsets = subsets.unwrap_or_default();
        let has_unexpected_fields = subsets.iter().any(wire::Subset::has_unexpected_fields);
        let is_truncated = metadata.is_over_capacity();
        let (owner, marks) = metadata.read(&ENDPOINTS_LABELS);
        let endpoints = Self {
            marks,
            spec: EndpointsSpec::read(subsets, is_truncated),
            has_unexpected_fields,
        };
        Ok((endpoints, owner))
    }

    fn marks(&self) -> &OwnershipMetadata {
        &self.marks
    }

    fn last_change(&self) -> Option<&str> {
        None
    }

    fn agrees(&self, observed: &Self) -> bool {
        self == observed
    }

    fn must_replace(&self, _: &Self) -> bool {
        false
    }

    fn write(&self, object: &mut Map<String, Value>) {
        self.marks
            .write(&ENDPOINTS_LABELS, child(object, "metadata"));
        self.spec.write(object);
    }
}

impl Observed<MirrorEndpoints> {
    /// Endpoints that are adopted; nothing, if they cannot be read.
    pub(crate) fn adopted(object: &RawObject, owner: SourceReference) -> Option<Self> {
        let (shows, _) = MirrorEndpoints::observe(&object.json).ok()?;
        Some(Self {
            uid: object.uid.clone(),
            revision: object.revision,
            json: kept(&object.json),
            owner,
            shows: Some(shows),
        })
    }
}

impl Port {
    fn of_slice(port: &SlicePort) -> Option<Self> {
        Some(Self {
            name: port.name.clone(),
            protocol: port.protocol.clone(),
            // Endpoints cannot express all ports at once.
            port: port.port?,
            app_protocol: port.app_protocol.clone(),
        })
    }

    fn read(port: wire::EndpointsPort) -> Self {
        Self {
            name: port.name.unwrap_or_default(),
            protocol: port.protocol.unwrap_or_else(|| "TCP".into()),
            port: port.port,
            app_protocol: port.app_protocol,
        }
    }

    fn written(&self) -> Value {
        let mut port = json!({"port": self.port, "protocol": self.protocol});
        if !self.name.is_empty() {
            port["name"] = json!(self.name);
        }
        if let Some(spoken) = &self.app_protocol {
            port["appProtocol"] = json!(spoken);
        }
        port
    }
}

impl Address {
    /// Returns the state of an endpoint. A terminating endpoint that takes no new connections is in
    /// no Endpoints.
    fn of_endpoint(endpoint: &Endpoint) -> Option<(State, Self)> {
        let state = match (endpoint.ready, endpoint.terminating) {
            (Some(true) | None, _) => State::Ready,
            (Some(false), Some(true)) => return None,
            (Some(false), Some(false) | None) => State::NotReady,
        };
        let address = Self {
            // They are interchangeable; watchers of slices take the first, too.
            ip: endpoint.addresses.first()?.clone(),
            hostname: endpoint.hostname.clone(),
            node: endpoint.node.clone(),
        };
        Some((state, address))
    }

    fn read(address: wire::EndpointAddress) -> Self {
        Self {
            ip: address.ip,
            hostname: address.hostname,
            node: address.node_name,
        }
    }

    fn written(&self) -> Value {
        let mut address = json!({"ip": self.ip});
        if let Some(hostname) = &self.hostname {
            address["hostname"] = json!(hostname);
        }
        if let Some(node) = &self.node {
            address["nodeName"] = json!(node);
        }
        address
    }
}

fn written((ports, subset): (&BTreeSet<Port>, &Subset)) -> Value {
    let addresses = |all: &BTreeSet<Address>| all.iter().map(Address::written).collect::<Vec<_>>();
    let mut written = Map::new();
    for (name, addresses) in [
        ("addresses", addresses(&subset.ready)),
        ("notReadyAddresses", addresses(&subset.others)),
        ("ports", ports.iter().map(Port::written).collect()),
    ] {
        if !addresses.is_empty() {
            written.insert(name.to_owned(), json!(addresses));
        }
    }
    Value::Object(written)
}
