//! Search for Services, with their members and endpoints.

use std::collections::BTreeMap;

use proto_types::ObjectKey;

use crate::index::{Claim, Index};
use crate::name::MirrorKey;
use crate::slice::Endpoint;

/// Selection of Services, one page of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Part of a name of the Service, of one of its members or of their sources.
    pub text: String,
    /// Number of the page; the first one is 1.
    pub page: usize,
    /// Number of Services of a page.
    pub size: usize,
}

/// Services that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Services of the page, in the order of their names.
    pub services: Vec<ListedService>,
    /// Number of the page: the last one if the search named a later one.
    pub page: usize,
    /// Number of Services that were found.
    pub found: usize,
    /// Number of all Services.
    pub total: usize,
}

/// One local Service of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedService {
    /// Local namespace and name.
    pub service: ObjectKey,
    /// Names of the sources with a member.
    pub sources: Vec<String>,
    /// Endpoints of all members.
    pub endpoints: Count,
    /// `true` if the managed Service exists.
    pub exists: bool,
}

/// Number of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Endpoints that accept new connections.
    pub ready: usize,
    /// All endpoints.
    pub total: usize,
}

/// A Service of a source that is a member of a local Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name of the source.
    pub source: String,
    /// Namespace and name in the source.
    pub service: ObjectKey,
    /// State of the source's EndpointSlices: `synced`, `stale` or `unsynced`.
    pub state: &'static str,
    /// Ports of the EndpointSlices.
    pub ports: Vec<String>,
    /// Endpoints by zone; the zone is empty for endpoints without one.
    pub zones: BTreeMap<String, Count>,
    /// Endpoints in the order of the EndpointSlices, up to the requested number.
    pub endpoints: Vec<Endpoint>,
    /// Errors of EndpointSlices that cannot be read.
    pub errors: Vec<String>,
}

impl Count {
    fn add(&mut self, endpoint: &Endpoint) {
        self.total += 1;
        // As kube-proxy takes it: not stated means ready.
        self.ready += usize::from(endpoint.ready.unwrap_or(true));
    }
}

impl Member {
    /// Endpoints of all zones.
    #[must_use]
    pub fn count(&self) -> Count {
        self.zones.values().fold(Count::default(), |all, it| Count {
            ready: all.ready + it.ready,
            total: all.total + it.total,
        })
    }
}

/// Returns the Services of a search.
#[must_use]
pub fn find(index: &Index, search: &Search) -> Found {
    let keys = index.keys();
    let total = keys.len();
    let text = search.text.to_ascii_lowercase();
    let found = keys.into_iter().filter(|key| matches(index, key, &text));
    let mut found: Vec<MirrorKey> = found.collect();
    found.sort_unstable();
    let size = search.size.max(1);
    let page = search.page.clamp(1, found.len().div_ceil(size).max(1));
    let services = found.iter().skip((page - 1) * size).take(size);
    Found {
        services: services.map(|key| listed(index, key)).collect(),
        page,
        found: found.len(),
        total,
    }
}

fn matches(index: &Index, key: &MirrorKey, text: &str) -> bool {
    let has = |name: &str| name.to_ascii_lowercase().contains(text);
    if text.is_empty() || has(key.object().as_str()) {
        return true;
    }
    let mut claims = index.claims(key);
    claims.any(|it| has(it.service.as_str()) || has(source(index, it)))
}

fn source<'a>(index: &'a Index, claim: &Claim) -> &'a str {
    index.policy().source(claim.rank).name.as_str()
}

fn listed(index: &Index, key: &MirrorKey) -> ListedService {
    let members = members(index, key.object(), 0);
    let mut endpoints = Count::default();
    let mut sources = Vec::new();
    for member in &members {
        endpoints.ready += member.count().ready;
        endpoints.total += member.count().total;
        if !sources.contains(&member.source) {
            sources.push(member.source.clone());
        }
    }
    ListedService {
        service: key.object().clone(),
        sources,
        endpoints,
        exists: index.local().service(key).is_some(),
    }
}

/// Returns the members of a local Service in their order of precedence, each with at most
/// that many endpoints.
#[must_use]
pub fn members(index: &Index, service: &ObjectKey, max_endpoints: usize) -> Vec<Member> {
    let key = MirrorKey::new(service.clone());
    let claims = index.claims(&key);
    claims.map(|it| member(index, it, max_endpoints)).collect()
}

fn member(index: &Index, claim: &Claim, max_endpoints: usize) -> Member {
    let slices = &index.source(claim.rank).slices;
    let mut member = Member {
        source: source(index, claim).to_owned(),
        service: claim.service.clone(),
        state: slices.as_str(),
        ports: Vec::new(),
        zones: BTreeMap::new(),
        endpoints: Vec::new(),
        errors: Vec::new(),
    };
    let contents = slices.known().into_iter();
    for (_, content) in contents.flat_map(|it| it.of(&claim.service)) {
        let spec = match content {
            Ok(content) => &content.spec,
            Err(why) => {
                member.errors.push(why.to_string());
                continue;
            }
        };
        for port in &spec.ports {
            let number = port.port.map_or("all".to_owned(), |it| it.to_string());
            let port = match &*port.name {
                "" => format!("{number}/{}", port.protocol),
                name => format!("{name} {number}/{}", port.protocol),
            };
            if !member.ports.contains(&port) {
                member.ports.push(port);
            }
        }
        for endpoint in &spec.endpoints {
            let zone = endpoint.zone.as_deref().unwrap_or_default();
            let zone = member.zones.entry(zone.to_owned()).or_default();
            zone.add(endpoint);
            if member.endpoints.len() < max_endpoints {
                member.endpoints.push(endpoint.clone());
            }
        }
    }
    member
}
