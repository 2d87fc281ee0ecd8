//! Ports of an import: the union of the exports' ports, and which port of an
//! EndpointSlice stands for which of them.

use std::collections::BTreeMap;

use reflector_planner::service::ServicePort;
use reflector_planner::slice::EndpointSliceSpec;

/// Port of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportPort {
    /// Name. Empty only for the single port of an import.
    pub name: Box<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
    /// Number.
    pub port: u16,
    /// Application protocol.
    pub app_protocol: Option<Box<str>>,
}

/// Names of the ports of one cluster's Service, each with the name of the import's port
/// that it stands for. A port without an entry is not reachable through the import.
pub type PortNames = BTreeMap<Box<str>, Box<str>>;

/// Returns the union of ports, merged first by name, then by protocol and number. The
/// ports of the first Service take precedence, then those of the second, and so on.
#[must_use]
pub fn union<'a>(services: impl Iterator<Item = &'a [ServicePort]>) -> Vec<ImportPort> {
    let mut union: Vec<ImportPort> = Vec::new();
    for port in services.flatten() {
        let is_taken = |it: &ImportPort| {
            it.name == port.name || it.protocol == port.protocol && it.port == port.port
        };
        if !union.iter().any(is_taken) {
            union.push(ImportPort {
                name: port.name.clone(),
                protocol: port.protocol.clone(),
                port: port.port,
                app_protocol: port.app_protocol.clone(),
            });
        }
    }
    if 1 < union.len() {
        name_the_unnamed(&mut union);
    }
    union
}

/// Names the one port that may have no name: several ports must all have one.
fn name_the_unnamed(union: &mut [ImportPort]) {
    let names: Vec<_> = union.iter().map(|it| it.name.clone()).collect();
    for port in union.iter_mut().filter(|it| it.name.is_empty()) {
        let base = format!("{}-{}", port.protocol.to_lowercase(), port.port);
        let taken = |it: &str| names.iter().any(|name| &**name == it);
        let mut candidates =
            std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}-{n}")));
        if let Some(name) = candidates.find(|it| !taken(it)) {
            port.name = name.into();
        }
    }
}

/// Returns which port of the import each port of one cluster's Service stands for: the
/// one with its protocol and number.
#[must_use]
pub fn names(import: &[ImportPort], service: &[ServicePort]) -> PortNames {
    let name_of = |port: &ServicePort| {
        let same = |it: &&ImportPort| it.protocol == port.protocol && it.port == port.port;
        let import = import.iter().find(same)?;
        Some((port.name.clone(), import.name.clone()))
    };
    service.iter().filter_map(name_of).collect()
}

/// Returns whether two Services declare the same ports.
#[must_use]
pub fn agree(one: &[ServicePort], other: &[ServicePort]) -> bool {
    let key = |it: &ServicePort| {
        (
            it.name.clone(),
            it.protocol.clone(),
            it.port,
            it.app_protocol.clone(),
        )
    };
    let mut one: Vec<_> = one.iter().map(key).collect();
    let mut other: Vec<_> = other.iter().map(key).collect();
    one.sort();
    other.sort();
    one == other
}

/// Returns ports as text: `http 80/TCP, 443/TCP`.
#[must_use]
pub fn describe(ports: &[ServicePort]) -> String {
    let one = |it: &ServicePort| {
        let space = if it.name.is_empty() { "" } else { " " };
        let spoken = it.app_protocol.as_ref();
        let spoken = spoken.map(|it| format!(" ({it})")).unwrap_or_default();
        format!("{}{space}{}/{}{spoken}", it.name, it.port, it.protocol)
    };
    let texts: Vec<_> = ports.iter().map(one).collect();
    if texts.is_empty() {
        return "none".to_owned();
    }
    texts.join(", ")
}

/// Returns a slice with the import's names of its ports. kube-proxy joins a Service and
/// its EndpointSlices by port names.
#[must_use]
pub fn renamed(slice: &EndpointSliceSpec, names: &PortNames) -> EndpointSliceSpec {
    let mut slice = slice.clone();
    let ports = std::mem::take(&mut slice.ports).into_vec().into_iter();
    let renamed = ports.filter_map(|mut port| {
        port.name = names.get(&port.name)?.clone();
        Some(port)
    });
    slice.ports = renamed.collect();
    slice
}
