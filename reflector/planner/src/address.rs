//! Which addresses may pass from one cluster into another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address of another cluster may be used here.
///
/// Loopback, link-local, multicast and unspecified addresses mean something else
/// in every place, and an API server refuses the whole slice for one of them
/// (CVE-2021-25740 shows what else they are good for).
#[must_use]
pub fn passes(address: &str) -> bool {
    canonical(address).is_some()
}

/// Returns an address as an API server spells it, if it may be used here. An IPv4-mapped
/// one is one of IPv4.
#[must_use]
pub fn canonical(address: &str) -> Option<IpAddr> {
    let address = address.parse::<IpAddr>().ok()?.to_canonical();
    let passes = match address {
        IpAddr::V4(address) => passes_v4(address),
        IpAddr::V6(address) => passes_v6(address),
    };
    passes.then_some(address)
}

const fn passes_v4(address: Ipv4Addr) -> bool {
    !(address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_unspecified()
        || address.is_broadcast())
}

const fn passes_v6(address: Ipv6Addr) -> bool {
    !(address.is_loopback()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn addresses_that_mean_the_same_everywhere_pass() {
        for address in ["10.0.0.1", "192.168.1.1", "fd00::1", "2001:db8::1"] {
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
}
