//! core/v1 Endpoints of a source, for sources that have no slices: read as the slices
//! that they amount to, one for each set of ports and family.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::net::IpAddr;

use proto_types::{ObjectKey, RawObject, label};
use siphasher::sip::SipHasher13;

use crate::slice::EndpointSliceSpec;
use crate::source::{
    Change, EndpointsOf, Exported, SliceContent, Slices, SourceSlice, check_name, is_mirror,
};
use crate::wire;

/// Content of Endpoints of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEndpoints {
    /// The slices that they amount to.
    pub parts: Vec<Exported<SourceSlice>>,
}

/// IP family and ordered ports of one part of Endpoints.
type PartKey = (&'static str, Vec<PortKey>);
type PortKey = (Box<str>, Box<str>, u16, Option<Box<str>>);

/// As many endpoints as an API server takes in one slice.
const MAX_ENDPOINTS: usize = 1000;

impl Exported<SourceEndpoints> {
    /// Reads Endpoints of a source. They belong to the Service of their name.
    #[must_use]
    pub fn endpoints(object: &RawObject) -> Self {
        let read = serde_json::from_slice::<wire::Endpoints>(&object.json);
        let hidden = match &read {
            Ok(wire::Endpoints { metadata, .. }) => is_mirror(metadata),
            Err(_) => object.labels.contains_key(label::SOURCE),
        };
        let read = read.map_err(|error| error.to_string().into());
        let parts = check_name(&object.key).and(read);
        let parts = match parts {
            Ok(endpoints) => parts_of(&object.key, endpoints),
            Err(why) => vec![part(&object.key, object.key.name(), Err(why))],
        };
        Self {
            key: object.key.clone(),
            object: (!hidden).then_some(SourceEndpoints { parts }),
        }
    }

    /// Returns whether they are mirrored and have no addresses.
    fn is_empty(&self) -> bool {
        let endpoints = self.object.as_ref();
        endpoints.is_some_and(|it| it.parts.is_empty())
    }

    /// Its parts; none, where it is none of those that are mirrored.
    pub(crate) fn into_parts(self) -> Vec<Exported<SourceSlice>> {
        self.object.map(|it| it.parts).unwrap_or_default()
    }
}

/// Change of EndpointSlices that stands for a change of Endpoints.
pub(crate) enum EndpointsChange {
    /// These are all slices.
    List(Slices),
    /// Change of all EndpointSlices.
    OfAll(Change<SourceSlice>),
    /// These are all slices of one Service.
    OfOne(EndpointsOf),
}

impl Change<SourceEndpoints> {
    /// Returns the change of EndpointSlices that this stands for.
    pub(crate) fn into_slices(self) -> EndpointsChange {
        match self {
            Self::Listed(all) => {
                let empty = all.iter().filter(|it| it.is_empty());
                let empty = empty.map(|it| it.key.clone()).collect();
                let parts = all.into_iter().flat_map(Exported::into_parts);
                EndpointsChange::List(Slices::new(parts.collect()).with_empty(empty))
            }
            Self::ListedInPart(all) => {
                let parts = all.into_iter().flat_map(Exported::into_parts);
                EndpointsChange::OfAll(Change::ListedInPart(parts.collect()))
            }
            Self::Applied(endpoints) => EndpointsChange::OfOne(EndpointsOf {
                service: endpoints.key.clone(),
                is_empty: endpoints.is_empty(),
                parts: endpoints.into_parts(),
            }),
            Self::Deleted(service) => EndpointsChange::OfOne(EndpointsOf {
                service,
                is_empty: false,
                parts: Vec::new(),
            }),
            Self::Heard => EndpointsChange::OfAll(Change::Heard),
            Self::Connected => EndpointsChange::OfAll(Change::Connected),
            Self::Ended => EndpointsChange::OfAll(Change::Ended),
            Self::Lost => EndpointsChange::OfAll(Change::Lost),
        }
    }
}

/// Whatever the order of subsets and addresses, the parts are the same.
fn parts_of(key: &ObjectKey, endpoints: wire::Endpoints) -> Vec<Exported<SourceSlice>> {
    let is_truncated = endpoints.metadata.is_over_capacity();
    let last_change = endpoints.metadata.last_change();
    let mut kinds: BTreeMap<PartKey, BTreeMap<Box<str>, wire::Endpoint>> = BTreeMap::new();
    for subset in endpoints.subsets.into_iter().flatten() {
        let mut ports: Vec<_> = subset.ports.into_iter().flatten().map(key_of).collect();
        ports.sort();
        let ready = subset.addresses.into_iter().flatten();
        let others = subset.not_ready_addresses.into_iter().flatten();
        let all = ready
            .map(|it| (it, true))
            .chain(others.map(|it| (it, false)));
        for (address, is_ready) in all {
            let kind = (family_of(&address.ip), ports.clone());
            let endpoint = endpoint(&address, is_ready);
            kinds.entry(kind).or_default().insert(address.ip, endpoint);
        }
    }
    let mut parts = Vec::new();
    for (kind, endpoints) in kinds {
        let mut rest: Vec<_> = endpoints.into_values().collect();
        let mut n = 0_u64;
        while !rest.is_empty() {
            let next = rest.split_off(rest.len().min(MAX_ENDPOINTS));
            let slice = slice(&kind, std::mem::replace(&mut rest, next));
            let (spec, left_out) = EndpointSliceSpec::of_source(slice);
            let content = SliceContent {
                spec,
                left_out,
                last_change: last_change.clone(),
                is_truncated,
            };
            let name = format!("{}-{}", key.name(), hash(&kind, n));
            parts.push(part(key, &name, Ok(content)));
            n += 1;
        }
    }
    parts
}

fn part(
    service: &ObjectKey,
    name: &str,
    content: Result<SliceContent, Box<str>>,
) -> Exported<SourceSlice> {
    Exported {
        key: ObjectKey::new(service.namespace(), name),
        object: Some(SourceSlice {
            service: service.clone(),
            content,
        }),
    }
}

fn key_of(port: wire::EndpointsPort) -> PortKey {
    let name = port.name.unwrap_or_default();
    let protocol = port.protocol.unwrap_or_else(|| "TCP".into());
    (name, protocol, port.port, port.app_protocol)
}

/// Returns the family of an address. Invalid addresses get one too; they are left out with those
/// that are not allowed.
fn family_of(address: &str) -> &'static str {
    match address.parse().map(|it: IpAddr| it.to_canonical()) {
        Ok(IpAddr::V6(_)) => "IPv6",
        Ok(IpAddr::V4(_)) | Err(_) => "IPv4",
    }
}

fn endpoint(address: &wire::EndpointAddress, is_ready: bool) -> wire::Endpoint {
    wire::Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: wire::Conditions {
            ready: Some(is_ready),
            ..wire::Conditions::default()
        },
        hostname: address.hostname.clone(),
        zone: None,
        node_name: address.node_name.clone(),
        target_ref: None,
        hints: None,
        deprecated_topology: None,
    }
}

fn slice((family, ports): &PartKey, endpoints: Vec<wire::Endpoint>) -> wire::Slice {
    let port = |(name, protocol, port, app_protocol): &PortKey| wire::SlicePort {
        name: Some(name.clone()),
        protocol: Some(protocol.clone()),
        port: Some(*port),
        app_protocol: app_protocol.clone(),
    };
    wire::Slice {
        metadata: wire::Meta::default(),
        address_type: (*family).into(),
        ports: Some(ports.iter().map(port).collect()),
        endpoints: Some(endpoints),
    }
}

/// The same through all releases and restarts, and another for every other kind.
fn hash((family, ports): &PartKey, n: u64) -> String {
    let mut hasher = SipHasher13::new();
    let mut write = |text: &str| {
        hasher.write(text.as_bytes());
        hasher.write(b"\0");
    };
    write(family);
    for (name, protocol, port, app_protocol) in ports {
        write(name);
        write(protocol);
        write(&port.to_string());
        write(app_protocol.as_deref().unwrap_or_default());
    }
    hasher.write(&n.to_le_bytes());
    format!("{:08x}", hasher.finish() >> 32)
}
