//! Endpoints of a Service that the import policy allows.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Import, ImportViolation, Nodes, Own};
use crate::address;
use crate::slice::{Endpoint, EndpointSliceSpec, SlicePort};

/// Filter of the endpoints of one Service, EndpointSlice by EndpointSlice.
#[derive(Debug)]
pub(crate) struct EndpointFilter<'a> {
    import: &'a Import,
    own: Own<'a>,
    room: Option<Room>,
    n_over: usize,
}

/// Remaining quota of each kind.
#[derive(Debug)]
struct Room {
    n_ready: usize,
    n_others: usize,
}

/// Reason for which an address is not allowed.
enum Bar<'a> {
    Elsewhere,
    Own(&'a IpNet),
}

impl<'a> EndpointFilter<'a> {
    /// For a Service with these slices. Where there are too many endpoints, the ready
    /// ones pass first.
    pub(crate) fn new<'s>(
        import: &'a Import,
        own: Own<'a>,
        slices: impl Iterator<Item = &'s EndpointSliceSpec>,
    ) -> Self {
        let mut gate = Self {
            import,
            own,
            room: None,
            n_over: 0,
        };
        if let Some(limit) = import.max_endpoints {
            let endpoints = slices.flat_map(|slice| {
                let (gate, kind) = (&gate, &*slice.address_type);
                let endpoints = slice.endpoints.iter();
                endpoints.filter(move |it| gate.bar(kind, it).is_none())
            });
            let n_ready = endpoints.filter(|it| is_ready(it)).take(limit).count();
            let n_others = limit - n_ready;
            gate.room = Some(Room { n_ready, n_others });
        }
        gate
    }

    /// Returns the allowed part of an EndpointSlice, and the violations.
    pub(crate) fn pass(
        &mut self,
        name: &str,
        spec: &EndpointSliceSpec,
    ) -> (EndpointSliceSpec, Vec<ImportViolation>) {
        let mut refusals = Vec::new();
        let mut endpoints = Vec::with_capacity(spec.endpoints.len());
        for endpoint in &spec.endpoints {
            match self.bar(&spec.address_type, endpoint) {
                None if self.has_room(endpoint) => endpoints.push(self.shown(endpoint)),
                None => self.n_over += 1,
                Some((address, bar)) => count(&mut refusals, name, (address, bar)),
            }
        }
        let admits = |port: &&SlicePort| match port.port {
            Some(port) => self.import.target_ports.admit(port),
            None => self.import.target_ports.is_open(),
        };
        let refused = spec.ports.iter().find(|it| !admits(it));
        refusals.extend(refused.map(|it| ImportViolation::TargetPort {
            slice: name.into(),
            port: it.port,
        }));
        let passed = EndpointSliceSpec {
            address_type: spec.address_type.clone(),
            ports: spec.ports.iter().filter(admits).cloned().collect(),
            // A slice without ports would lead to all ports of its endpoints.
            endpoints: if refused.is_some() && !spec.ports.iter().any(|it| admits(&it)) {
                Box::default()
            } else {
                endpoints.into()
            },
        };
        (passed, refusals)
    }

    /// Returns the violation that only all EndpointSlices together show.
    pub(crate) fn close(self) -> Option<ImportViolation> {
        let limit = self.import.max_endpoints?;
        (0 < self.n_over).then_some(ImportViolation::TooManyEndpoints {
            limit,
            n_endpoints: self.n_over,
        })
    }

    fn shown(&self, endpoint: &Endpoint) -> Endpoint {
        let mut shown = endpoint.clone();
        match self.import.nodes {
            Nodes::Unnamed => shown.node = None,
            Nodes::Named => {}
        }
        shown
    }

    fn has_room(&mut self, endpoint: &Endpoint) -> bool {
        let Some(room) = &mut self.room else {
            return true;
        };
        let left = if is_ready(endpoint) {
            &mut room.n_ready
        } else {
            &mut room.n_others
        };
        let has_room = 0 < *left;
        *left = left.saturating_sub(1);
        has_room
    }

    /// The first of an endpoint's addresses that does not pass.
    fn bar<'e>(&self, kind: &str, endpoint: &'e Endpoint) -> Option<(&'e str, Bar<'a>)> {
        let mut addresses = endpoint.addresses.iter().map(|it| &**it);
        if kind == "FQDN" {
            let refused = addresses.find(|it| !self.import.admit_host(it, self.own));
            return refused.map(|host| (host, Bar::Elsewhere));
        }
        addresses.find_map(|address| Some((address, self.bar_of(address)?)))
    }

    fn bar_of(&self, address: &str) -> Option<Bar<'a>> {
        let ranges = &self.import.addresses;
        let mut own = self.own.ranges.iter().chain(self.own.learned).peekable();
        if ranges.is_empty() && own.peek().is_none() {
            return None;
        }
        let Ok(address) = address.parse::<IpAddr>() else {
            return Some(Bar::Elsewhere);
        };
        let is_in = |range: &IpNet| address::meanings(address).any(|it| range.contains(&it));
        if let Some(own) = own.find(|it| is_in(it)) {
            return Some(Bar::Own(own));
        }
        let address = address.to_canonical();
        let is_admitted = ranges.is_empty() || ranges.iter().any(|it| it.contains(&address));
        (!is_admitted).then_some(Bar::Elsewhere)
    }
}

/// Kubernetes takes an endpoint without the condition for ready.
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.ready != Some(false)
}

fn count(refusals: &mut Vec<ImportViolation>, slice: &str, (address, bar): (&str, Bar<'_>)) {
    for refusal in &mut *refusals {
        match (refusal, &bar) {
            (ImportViolation::Address { n_endpoints, .. }, Bar::Elsewhere)
            | (ImportViolation::OwnAddress { n_endpoints, .. }, Bar::Own(_)) => {
                *n_endpoints += 1;
                return;
            }
            (_, Bar::Elsewhere | Bar::Own(_)) => {}
        }
    }
    let (slice, address) = (slice.into(), address.into());
    refusals.push(match bar {
        Bar::Elsewhere => ImportViolation::Address {
            slice,
            address,
            n_endpoints: 1,
        },
        Bar::Own(range) => ImportViolation::OwnAddress {
            slice,
            address,
            range: range.to_string().into(),
            n_endpoints: 1,
        },
    });
}
