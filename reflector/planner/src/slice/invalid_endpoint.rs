//! Endpoints for which an API server rejects a whole slice: one must not cost the others.
//!
//! Addresses are brought to their canonical form, as Kubernetes' own mirroring controller
//! does.

use std::collections::BTreeSet;

use proto_types::name::DnsLabel;

use super::{Endpoint, EndpointSliceSpec, LeftOut};
use crate::address;

/// The reason why an endpoint or a port is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// Its address means something else in each cluster, or is none.
    Address,
    /// Its address is of another family than its slice.
    Family,
    /// It has no address.
    NoAddress,
    /// Its host name is no DNS label.
    HostName,
    /// The name of the port is not a legal one.
    PortName,
    /// Another port has its name.
    DuplicatePort,
}

const MAX_ADDRESSES: usize = 100;

impl Oddity {
    /// Reads on from the address or name.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Address => "means something else in each cluster, or is no address",
            Self::Family => "is of another family than the addressType of the slice",
            Self::NoAddress => "is an endpoint without an address",
            Self::HostName => "is not a valid host name (a DNS label)",
            Self::PortName => "is not a valid port name (a DNS label)",
            Self::DuplicatePort => "is the name of another port of the slice too",
        }
    }
}

/// Leaves out invalid endpoints, and returns them.
pub(super) fn leave_out(spec: &mut EndpointSliceSpec) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    let mut names = BTreeSet::new();
    let ports = Vec::from(std::mem::take(&mut spec.ports)).into_iter();
    let ports = ports.filter(|port| {
        let why = if !port.name.is_empty() && port.name.parse::<DnsLabel>().is_err() {
            Oddity::PortName
        } else if !names.insert(port.name.clone()) {
            Oddity::DuplicatePort
        } else {
            return true;
        };
        count(&mut left_out, why, &port.name);
        false
    });
    spec.ports = ports.collect();
    let address_type = spec.address_type.clone();
    let endpoints = Vec::from(std::mem::take(&mut spec.endpoints)).into_iter();
    let endpoints =
        endpoints.filter_map(|mut endpoint| match settle(&mut endpoint, &address_type) {
            Ok(()) => Some(endpoint),
            Err((why, example)) => {
                count(&mut left_out, why, &example);
                None
            }
        });
    spec.endpoints = endpoints.collect();
    left_out
}

fn count(left_out: &mut Vec<LeftOut>, why: Oddity, example: &str) {
    match left_out.iter_mut().find(|it| it.why == why) {
        Some(known) => known.count += 1,
        None => left_out.push(LeftOut {
            why,
            example: example.into(),
            count: 1,
        }),
    }
}

/// Makes an endpoint one that an API server takes, or returns why that is impossible.
fn settle(endpoint: &mut Endpoint, address_type: &str) -> Result<(), (Oddity, Box<str>)> {
    if let Some(name) = &endpoint.hostname {
        if name.is_empty() {
            endpoint.hostname = None;
        } else if name.parse::<DnsLabel>().is_err() {
            return Err((Oddity::HostName, name.clone()));
        }
    }
    let addresses = &mut endpoint.addresses;
    if addresses.is_empty() {
        return Err((Oddity::NoAddress, Box::default()));
    }
    if MAX_ADDRESSES < addresses.len() {
        *addresses = addresses.iter().take(MAX_ADDRESSES).cloned().collect();
    }
    let is_v6 = match address_type {
        "FQDN" => return Ok(()),
        "IPv4" => Some(false),
        "IPv6" => Some(true),
        _ => None,
    };
    for address in addresses.iter_mut() {
        let Some(canonical) = address::canonical(address) else {
            return Err((Oddity::Address, address.clone()));
        };
        if is_v6.is_some_and(|it| it != canonical.is_ipv6()) {
            return Err((Oddity::Family, address.clone()));
        }
        let text = canonical.to_string();
        if text != **address {
            *address = text.into();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::SlicePort;

    fn endpoint(address: &str, hostname: Option<&str>) -> Endpoint {
        Endpoint {
            addresses: [address]
                .into_iter()
                .filter(|it| !it.is_empty())
                .map(Into::into)
                .collect(),
            ready: Some(true),
            serving: None,
            terminating: None,
            hostname: hostname.map(Into::into),
            zone: None,
            node: None,
            hints: Box::default(),
        }
    }

    fn port(name: &str) -> SlicePort {
        SlicePort {
            name: name.into(),
            protocol: "TCP".into(),
            port: Some(80),
            app_protocol: None,
        }
    }

    fn check(
        address_type: &str,
        endpoints: &[(&str, Option<&str>)],
        stay: &[&str],
        why: &[Oddity],
    ) {
        let endpoints = endpoints
            .iter()
            .map(|(address, name)| endpoint(address, *name));
        let mut spec = EndpointSliceSpec {
            address_type: address_type.into(),
            ports: Box::default(),
            endpoints: endpoints.collect(),
        };
        let left_out = leave_out(&mut spec);
        let shown: Vec<_> = spec.endpoints.iter().map(|it| &*it.addresses[0]).collect();
        assert_eq!(shown, stay);
        assert_eq!(left_out.iter().map(|it| it.why).collect::<Vec<_>>(), why);
    }

    #[test]
    fn addresses_are_brought_to_their_canonical_form() {
        let odd = [
            ("2001:DB8::2", None),
            ("fd00:1:0:0::2", None),
            ("fd00:0:0:1:0:0:0:2", None),
        ];
        check(
            "IPv6",
            &odd,
            &["2001:db8::2", "fd00:1::2", "fd00:0:0:1::2"],
            &[],
        );
        check("IPv4", &[("::ffff:10.1.2.3", None)], &["10.1.2.3"], &[]);
    }

    #[test]
    fn one_odd_endpoint_does_not_cost_the_others() {
        let odd = [
            ("::ffff:10.1.2.3", None),
            ("10.0.0.1", None),
            ("127.0.0.1", None),
            ("nonsense", None),
            ("", None),
            ("fd00::1", Some("Not_A_Label")),
            ("fd00::2", Some("web-0")),
            ("fd00::3", Some("")),
        ];
        let why = [
            Oddity::Family,
            Oddity::Address,
            Oddity::NoAddress,
            Oddity::HostName,
        ];
        check("IPv6", &odd, &["fd00::2", "fd00::3"], &why);
        check("FQDN", &[("a.example", None)], &["a.example"], &[]);
    }

    #[test]
    fn one_odd_port_does_not_cost_the_others() {
        let names = ["http", "http", "", "", "Not_A_Label", "dns"];
        let mut spec = EndpointSliceSpec {
            address_type: "IPv4".into(),
            ports: names.map(port).into(),
            endpoints: Box::default(),
        };
        let left_out = leave_out(&mut spec);
        let stay: Vec<_> = spec.ports.iter().map(|it| &*it.name).collect();
        assert_eq!(stay, ["http", "", "dns"]);
        let left_out: Vec<_> = left_out.iter().map(|it| (it.why, it.count)).collect();
        assert_eq!(
            left_out,
            [(Oddity::DuplicatePort, 2), (Oddity::PortName, 1)]
        );
    }
}
