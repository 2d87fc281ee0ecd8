//! Host names that a source may lead to: of Services of type ExternalName, and of endpoints
//! of address type FQDN.
//!
//! A name that means something in every cluster, such as `localhost` or a name below the
//! cluster's own domain, leads to the local cluster and not to the source. No other name can
//! be checked, because its owner chooses the address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host name, or all names below a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    domain: Box<str>,
    is_open: bool,
}

/// Error of an invalid host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host name: write one, or *. and a domain, as in *.example.org")]
pub struct InvalidHost(String);

/// Domains whose names every cluster, node or cloud answers for itself. A name below one of
/// them is local too.
const LOCAL_DOMAINS: [&str; 14] = [
    "localhost",
    "localdomain",
    "localhost4",
    "localhost6",
    "ip6-localhost",
    "ip6-loopback",
    "local",
    "svc",
    "arpa",
    // Metadata services of clouds.
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
    "metadata.packet.net",
];

/// First labels of names of metadata services below a cloud's domain.
const METADATA_LABELS: [&str; 2] = ["metadata", "instance-data"];

impl HostPattern {
    /// Returns whether a host name matches.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = normalized(host);
        if self.is_open {
            let rest = host.strip_suffix(&*self.domain);
            rest.is_some_and(|it| it.len() > 1 && it.ends_with('.'))
        } else {
            *host == *self.domain
        }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let (domain, is_open) = match text.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (text, false),
        };
        let domain = normalized(domain);
        if is_name(&domain) {
            Ok(Self {
                domain: domain.into(),
                is_open,
            })
        } else {
            Err(InvalidHost(text.to_owned()))
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asterisk = if self.is_open { "*." } else { "" };
        write!(f, "{asterisk}{}", self.domain)
    }
}

/// Returns whether a host name may mean something of the local cluster, of a node, or
/// nothing that DNS knows. `domains` are the local cluster's own, beside `cluster.local`.
pub(super) fn is_local(host: &str, domains: &[Box<str>]) -> bool {
    let host = normalized(host);
    let is_below = |domain: &str| {
        let rest = host.strip_suffix(domain);
        rest.is_some_and(|it| it.is_empty() || it.ends_with('.'))
    };
    let mut labels = host.split('.');
    let (first, last) = (labels.next().unwrap_or_default(), labels.next_back());
    // A single label is completed by search domains; a number in the place of a top-level
    // domain makes an address of it.
    let is_address = host.parse::<IpAddr>().is_ok()
        || last.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()));
    let is_metadata = METADATA_LABELS.contains(&first) && is_below("internal");
    !is_name(&host)
        || last.is_none()
        || is_address
        || is_metadata
        || LOCAL_DOMAINS.into_iter().any(is_below)
        || domains.iter().any(|it| is_below(&normalized(it)))
}

/// In lower case, without the dot of the root.
fn normalized(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.to_ascii_lowercase()
}

fn is_name(host: &str) -> bool {
    let legal = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let is_label = |it: &str| !it.is_empty() && it.len() <= 63 && it.bytes().all(legal);
    host.len() <= 253 && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::{HostPattern, is_local};

    #[test]
    fn names_that_lead_to_the_local_cluster_are_known() {
        let domains = ["k8s.example.net".into()];
        for host in [
            "localhost",
            "LOCALHOST.",
            "db.localhost",
            "localhost.localdomain",
            "kubernetes.default.svc.cluster.local",
            "kubernetes.default.svc.cluster.local.",
            "KUBERNETES.default.SVC.Cluster.Local",
            "kubernetes.default.svc",
            "kubernetes",
            "10-0-0-1.demo.pod.cluster.local",
            "kubernetes.default.svc.k8s.example.net",
            "metadata.google.internal",
            "metadata.google.internal.",
            "instance-data.ec2.internal",
            "metadata.eu.internal",
            "127.0.0.1",
            "169.254.169.254.",
            "0x7f.1",
            "2130706433",
            "::1",
            "",
            ".",
            "a..b.com",
            "a b.com",
            "1.0.0.127.in-addr.arpa",
        ] {
            assert!(is_local(host, &domains), "{host}");
        }
        for host in [
            "example.org",
            "db.example.org.",
            "ip-10-0-0-1.eu-west-1.compute.internal",
            "notlocal",
            "svc.example.org",
            "web.demo.svc.cluster.east",
        ] {
            let expected = host == "notlocal";
            assert_eq!(is_local(host, &domains), expected, "{host}");
        }
    }

    #[test]
    fn a_host_pattern_is_a_name_or_all_below_a_domain() {
        let matches = |pattern: &str, host: &str| {
            let pattern: HostPattern = pattern.parse().unwrap();
            pattern.matches(host)
        };
        assert!(matches("db.example.org", "DB.example.org."));
        assert!(!matches("db.example.org", "x.db.example.org"));
        assert!(matches("*.example.org", "x.db.example.org"));
        assert!(!matches("*.example.org", "example.org"));
        assert!(!matches("*.example.org", ".example.org"));
        assert!(!matches("*.example.org", "evilexample.org"));
        for bad in ["", "*", "*.", "a.*.b", "a b"] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad:?}");
        }
    }
}
