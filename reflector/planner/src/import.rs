//! What may come in from a source, as its consumer configured it: a source is believed
//! about its own Services, and about nothing else.
//!
//! * What is refused is left out, and the rest flows.
//! * What decides is the policy and what the source says, never what came first.
//! * Loopback, link-local, multicast and unspecified addresses never pass, see
//!   [`crate::address`]; nor do those of the local cluster.

mod carry;
mod endpoints;
mod names;
mod ports;
mod quota;
mod refusal;

use std::fmt;

use ipnet::IpNet;
use proto_types::ObjectKey;

use crate::service::{Kind, ServicePort, ServiceSpec};

pub use carry::{Carry, may_come};
pub(crate) use endpoints::Gate;
pub use names::{InvalidPattern, NameRules, Pattern};
pub use ports::{InvalidPorts, PortRange, Ports};
pub(crate) use quota::Quota;
pub use refusal::Refusal;

/// What may come in from a source; by default all that may from any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Import {
    /// From which of its namespaces.
    pub namespaces: NameRules,
    /// Services of which names.
    pub names: NameRules,
    /// Which ports of Services.
    pub ports: Ports,
    /// Which ports of endpoints.
    pub target_ports: Ports,
    /// Where its endpoints are; anywhere, if this is empty.
    pub addresses: Vec<IpNet>,
    /// How many Services.
    pub max_services: Option<usize>,
    /// How many endpoints of one Service.
    pub max_endpoints: Option<usize>,
    /// Which labels and annotations of Services.
    pub carry: Carry,
    /// Whether the names of nodes come along.
    pub nodes: Nodes,
}

/// Whether endpoints say which node of their cluster they are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nodes {
    /// They do not: nodes of another cluster mean nothing here.
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
            ("at most that many Services", limit(max_services)),
            ("at most that many endpoints of each", limit(max_endpoints)),
            ("labels", join(&carry.labels)),
            ("annotations", join(&carry.annotations)),
            ("names of nodes", nodes.in_words().to_owned()),
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
    const fn in_words(self) -> &'static str {
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
    /// Whether a Service may come in, as far as it alone decides that.
    pub(crate) fn admit(
        &self,
        service: &ObjectKey,
        spec: Option<&ServiceSpec>,
    ) -> Result<(), Refusal> {
        if !self.namespaces.admit(service.namespace()) {
            return Err(Refusal::Namespace(service.namespace().into()));
        }
        if !self.names.admit(service.name()) {
            return Err(Refusal::Name(service.name().into()));
        }
        // What cannot be read is told as such.
        let Some(spec) = spec else {
            return Ok(());
        };
        if matches!(spec.kind, Kind::External(_)) && !self.addresses.is_empty() {
            return Err(Refusal::ExternalName);
        }
        let is_left = spec.ports.iter().any(|it| self.ports.admit(it.port));
        if is_left || spec.ports.is_empty() {
            Ok(())
        } else {
            Err(Refusal::NoPort)
        }
    }

    /// A Service without the ports that may not come in.
    pub(crate) fn cut(&self, spec: &ServiceSpec) -> (ServiceSpec, Option<Refusal>) {
        let mut spec = spec.clone();
        let is_refused = |it: &&ServicePort| !self.ports.admit(it.port);
        let Some(refused) = spec.ports.iter().find(is_refused) else {
            return (spec, None);
        };
        let refusal = Refusal::Port { port: refused.port };
        let ports = Vec::from(std::mem::take(&mut spec.ports));
        let admitted = ports.into_iter().filter(|it| self.ports.admit(it.port));
        spec.ports = admitted.collect();
        (spec, Some(refusal))
    }
}
