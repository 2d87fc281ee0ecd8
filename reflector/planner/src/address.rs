//! Addresses that may be copied from one cluster into another.
//!
//! An address is judged together with every IPv4 address that it carries within: a
//! translator or a tunnel on the way leads to that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 addresses outside of the link-local range that clouds answer node-local requests at.
const METADATA_V4: [Ipv4Addr; 4] = [
    // Alibaba Cloud, Azure, Oracle Cloud Classic, Tencent Cloud.
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(100, 88, 222, 5),
];

/// IPv6 addresses that clouds answer node-local requests at.
const METADATA_V6: [Ipv6Addr; 6] = [
    // AWS: metadata, DNS and time.
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123),
    // Google Cloud, Oracle Cloud, Scaleway.
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// Returns whether an address of another cluster may be used in this one.
///
/// Loopback, link-local, multicast and unspecified addresses mean something else
/// in every place, and an API server refuses the whole EndpointSlice for one of them
/// (CVE-2021-25740 shows what else they are good for). Cloud metadata services answer
/// with credentials of the node that asks.
#[must_use]
pub fn passes(address: &str) -> bool {
    canonical(address).is_some()
}

/// Returns an address as an API server spells it, if it may be used in the local cluster. An
/// IPv4-mapped one is one of IPv4.
#[must_use]
pub fn canonical(address: &str) -> Option<IpAddr> {
    let address = address.parse::<IpAddr>().ok()?.to_canonical();
    let passes = meanings(address).all(|it| match it {
        IpAddr::V4(address) => passes_v4(address),
        IpAddr::V6(address) => passes_v6(address),
    });
    passes.then_some(address)
}

/// Returns the address, and the IPv4 addresses that it leads to where it is translated or
/// unpacked.
pub(crate) fn meanings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (whole, carried) = match address {
        IpAddr::V4(_) => (Some(address), [None; 2]),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => (Some(IpAddr::V4(v4)), [None; 2]),
            None => (Some(address), carried(v6)),
        },
    };
    let carried = carried.into_iter().flatten().map(IpAddr::V4);
    whole.into_iter().chain(carried)
}

/// The IPv4 addresses within an IPv6 address. Teredo has two: its server's and its client's.
fn carried(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        Some(Ipv4Addr::from_bits(
            (u32::from(high) << 16) | u32::from(low),
        ))
    };
    match (a, b) {
        // IPv4-compatible; the unspecified and the loopback address are no such ones.
        (0, 0) if [c, d, e, f] == [0; 4] && (g, h) > (0, 1) => [v4(g, h), None],
        // IPv4-translated, RFC 2765.
        (0, 0) if [c, d, e, f] == [0, 0, 0xffff, 0] => [v4(g, h), None],
        // NAT64, well-known and local-use, RFC 6052 and RFC 8215.
        (0x64, 0xff9b) => [v4(g, h), None],
        // 6to4.
        (0x2002, _) => [v4(b, c), None],
        // Teredo.
        (0x2001, 0) => [v4(c, d), v4(!g, !h)],
        // ISATAP.
        (_, _) if f == 0x5efe && e & !0x0200 == 0 => [v4(g, h), None],
        (_, _) => [None; 2],
    }
}

fn passes_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    !(address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        // "This network" leads to the sender itself.
        || first == 0
        || METADATA_V4.contains(&address))
}

fn passes_v6(address: Ipv6Addr) -> bool {
    !(address.is_loopback()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || address.is_unspecified()
        || METADATA_V6.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn addresses_that_mean_the_same_everywhere_pass() {
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "fd00::1",
            "2001:db8::1",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(passes(address), "{address}");
        }
    }

    #[test]
    fn others_do_not() {
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "224.0.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "example.com",
            "010.0.0.1",
            "",
        ] {
            assert!(!passes(address), "{address}");
        }
    }

    #[test]
    fn metadata_addresses_of_clouds_do_not_pass() {
        for address in [
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "::ffff:168.63.129.16",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(!passes(address), "{address}");
        }
    }

    #[test]
    fn an_address_within_an_address_is_judged_as_well() {
        for address in [
            "::127.0.0.1",
            "::169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::127.0.0.1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            // Teredo: a server, and a client with its bits turned over.
            "2001:0:7f00:1::",
            "2001:0:808:808:0:0:80ff:fffe",
            "fd00::5efe:127.0.0.1",
            "fd00::200:5efe:169.254.169.254",
        ] {
            assert!(!passes(address), "{address}");
        }
    }
}
