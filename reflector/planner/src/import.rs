//! Import policy, as configured for a source: a source is trusted about its own
//! Services, and about nothing else.
//!
//! * What is refused is left out, and the rest flows.
//! * The policy and the state of the source decide, never the order of events.
//! * Loopback, link-local, multicast and unspecified addresses never pass, see
//!   [`crate::address`]; nor do those of the local cluster.

mod admission;
mod endpoints;
mod host;
mod metadata_filter;
mod names;
mod ports;
mod quota;
mod violation;

use std::fmt;

use ipnet::IpNet;
use proto_types::ObjectKey;

use crate::service::{ServiceKind, ServicePort, ServiceSpec};

pub use admission::LocalAddresses;
pub(crate) use endpoints::EndpointFilter;
pub use host::{HostPattern, InvalidHost};
pub use metadata_filter::{MIRROR_PREFIX, MIRRORED, MetadataFilter, may_come};
pub use names::{InvalidPattern, NameRules, Pattern};
pub use ports::{InvalidPorts, PortRange, Ports};
pub use quota::Quota;
pub use violation::ImportViolation;

/// Import policy of a source. The default allows all that is allowed from any source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Import {
    /// Namespaces of the source.
    pub namespaces: NameRules,
    /// Services of which names.
    pub names: NameRules,
    /// Allowed ports of Services.
    pub ports: Ports,
    /// Allowed ports of endpoints.
    pub target_ports: Ports,
    /// Allowed CIDRs of endpoints; empty for all.
    pub addresses: Vec<IpNet>,
    /// Host names that ExternalName Services and FQDN endpoints may lead to. Where this is
    /// empty: all that are not local, and none where addresses are limited.
    pub hosts: Vec<HostPattern>,
    /// Maximum number of Services.
    pub max_services: Option<usize>,
    /// Maximum number of endpoints of one Service.
    pub max_endpoints: Option<usize>,
    /// Labels and annotations of Services that are copied.
    pub carry: MetadataFilter,
    /// Treatment of the node names of endpoints.
    pub nodes: Nodes,
}

/// The local cluster's own addresses and domains, which no other cluster may lead to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a> {
    /// `true` if the objects are of another cluster.
    pub(crate) is_foreign: bool,
    /// `true` if the operator closed CIDRs. A host name could lead there unseen.
    pub(crate) is_limited: bool,
    /// CIDRs that the operator closed.
    pub(crate) ranges: &'a [IpNet],
    /// CIDRs that the local API server reports.
    pub(crate) learned: &'a [IpNet],
    /// Domains of the local cluster.
    pub(crate) domains: &'a [Box<str>],
}

/// Treatment of the node names of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nodes {
    /// They do not: nodes of another cluster mean nothing in the local cluster.
    #[default]
    Unnamed,
    /// They do.
    Named,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespaces,
            names,
            ports,
            target_ports,
            addresses,
            hosts,
            max_services,
            max_endpoints,
            carry,
            nodes,
        } = self;
        let limit = |it: &Option<usize>| it.map_or(String::new(), |it| it.to_string());
        let rules = [
            ("namespaces", namespaces.to_string()),
            ("names", names.to_string()),
            ("ports", ports.to_string()),
            ("target ports", target_ports.to_string()),
            ("addresses", join(addresses)),
            ("external names", join(hosts)),
            ("at most that many Services", limit(max_services)),
            ("at most that many endpoints of each", limit(max_endpoints)),
            ("labels", join(&carry.labels)),
            ("annotations", join(&carry.annotations)),
            ("names of nodes", nodes.describe().to_owned()),
        ];
        let rules = rules.iter().filter(|(_, rule)| !rule.is_empty());
        let rules: Vec<_> = rules
            .map(|(what, rule)| format!("{what}: {rule}"))
            .collect();
        f.write_str(if rules.is_empty() { "everything" } else { "" })?;
        f.write_str(&rules.join("; "))
    }
}

impl Nodes {
    const fn describe(self) -> &'static str {
        match self {
            Self::Unnamed => "",
            Self::Named => "yes",
        }
    }
}

/// For people.
fn join<T: fmt::Display>(parts: &[T]) -> String {
    let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
    parts.join(", ")
}

impl Import {
    /// Returns whether a Service may come in, as far as it alone decides that.
    pub(crate) fn admit(
        &self,
        service: &ObjectKey,
        spec: Option<&ServiceSpec>,
        own: Own<'_>,
    ) -> Result<(), ImportViolation> {
        if !self.namespaces.admit(service.namespace()) {
            return Err(ImportViolation::Namespace(service.namespace().into()));
        }
        if !self.names.admit(service.name()) {
            return Err(ImportViolation::Name(service.name().into()));
        }
        // An invalid Service is reported as such.
        let Some(spec) = spec else {
            return Ok(());
        };
        if let ServiceKind::External(host) = &spec.kind
            && !self.admit_host(host, own)
        {
            return Err(self.refusal_of(host, own));
        }
        let is_left = spec.ports.iter().any(|it| self.ports.admit(it.port));
        if is_left || spec.ports.is_empty() {
            Ok(())
        } else {
            Err(ImportViolation::NoPort)
        }
    }

    /// Returns whether a source may lead to a host name.
    fn admit_host(&self, host: &str, own: Own<'_>) -> bool {
        if !self.hosts.is_empty() {
            return self.hosts.iter().any(|it| it.matches(host));
        }
        let is_limited = !self.addresses.is_empty() || own.is_limited;
        let is_own = own.is_foreign && host::is_local(host, own.domains);
        !is_limited && !is_own
    }

    fn refusal_of(&self, host: &str, own: Own<'_>) -> ImportViolation {
        let is_unlimited = self.addresses.is_empty() && !own.is_limited;
        if is_unlimited && self.hosts.is_empty() {
            ImportViolation::LocalHost(host.into())
        } else {
            ImportViolation::ExternalName(host.into())
        }
    }

    /// A Service without the ports that may not come in.
    pub(crate) fn filter_ports(
        &self,
        spec: &ServiceSpec,
    ) -> (ServiceSpec, Option<ImportViolation>) {
        let mut spec = spec.clone();
        let is_refused = |it: &&ServicePort| !self.ports.admit(it.port);
        let Some(refused) = spec.ports.iter().find(is_refused) else {
            return (spec, None);
        };
        let refusal = ImportViolation::Port { port: refused.port };
        let ports = Vec::from(std::mem::take(&mut spec.ports));
        let admitted = ports.into_iter().filter(|it| self.ports.admit(it.port));
        spec.ports = admitted.collect();
        (spec, Some(refusal))
    }
}
