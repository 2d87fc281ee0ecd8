//! View of one client, whatever it requests.
//!
//! EndpointSlices and Endpoints follow their Service: they are in view if it is, with the ports of
//! it that are. An object outside of the view looks like one that does not exist.

mod indexed_service;
mod ports;
mod service_change;
mod service_index;

use std::collections::BTreeSet;
use std::sync::Arc;

use proto_types::{LabelSelector, Labels, RawObject, ResourceVersion};

use crate::{Entry, Fields};

pub use indexed_service::IndexedService;
pub(crate) use indexed_service::service_of;
pub use service_change::ServiceChange;
pub use service_index::{Blind, ServiceIndex, Span, Turn};

/// View of a client. Two grants that show the same are equal.
#[derive(Debug, Clone, Default)]
pub struct ViewFilter {
    rules: Rules,
    owners: Arc<ServiceIndex>,
}

/// The rules of a grant; by default all may be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Only in these namespaces; in all if absent.
    pub namespaces: Option<BTreeSet<String>>,
    /// Only Services with these labels.
    pub labels: LabelSelector,
    /// Only these ports of them; all if absent.
    pub ports: Option<BTreeSet<Port>>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// By its name; a Service's only port may have none.
    Name(String),
    /// By its number.
    Number(u16),
}

impl PartialEq for ViewFilter {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for ViewFilter {}

impl std::hash::Hash for ViewFilter {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.rules.hash(state);
    }
}

impl Rules {
    /// Returns whether everything may be seen.
    #[must_use]
    pub fn show_all(&self) -> bool {
        self.namespaces.is_none() && self.show_whole_namespaces()
    }

    /// Returns whether all is shown of what is in a namespace, if anything is.
    #[must_use]
    pub fn show_whole_namespaces(&self) -> bool {
        self.labels.is_empty() && self.ports.is_none()
    }

    /// Returns whether the Service with these labels and ports may be seen.
    fn allow(&self, labels: &Labels, ports: Option<&[indexed_service::ServicePort]>) -> bool {
        let has_port = match (&self.ports, ports) {
            (Some(_), Some(ports)) => ports.iter().any(|port| self.allow_port(port)),
            (None, _) | (Some(_), None) => true,
        };
        has_port && self.labels.matches(labels)
    }

    fn allow_port(&self, port: &indexed_service::ServicePort) -> bool {
        self.ports.as_ref().is_none_or(|ports| {
            ports.contains(&Port::Number(port.number))
                || ports.contains(&Port::Name(port.name.clone()))
        })
    }
}

impl ViewFilter {
    /// A grant by those rules; Services are known to `service_index`.
    #[must_use]
    pub const fn new(rules: Rules, owners: Arc<ServiceIndex>) -> Self {
        Self { rules, owners }
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns whether an object may be seen, where its Service is as at a resource version.
    #[must_use]
    pub fn sees(&self, entry: &Entry, at: ResourceVersion) -> bool {
        if self.rules.show_all() {
            return true;
        }
        self.sees_as(entry, self.owner(entry, at).as_deref())
    }

    /// Returns the object as it may be seen: without the ports that may not.
    #[must_use]
    pub fn show(&self, entry: &Arc<Entry>, at: ResourceVersion) -> Option<Arc<Entry>> {
        if !self.sees(entry, at) {
            return None;
        }
        if self.rules.ports.is_none() || entry.form().names.plural == "serviceexports" {
            return Some(Arc::clone(entry));
        }
        self.filter(entry, at)
    }

    /// Returns the Service of an object, where it can matter.
    fn owner(&self, entry: &Entry, at: ResourceVersion) -> Option<Arc<IndexedService>> {
        let matters = !self.rules.show_whole_namespaces();
        matters.then(|| self.owners.of(entry, at)).flatten()
    }

    /// Returns whether objects are shown otherwise than they are.
    #[must_use]
    pub const fn cuts(&self) -> bool {
        self.rules.ports.is_some()
    }

    /// Returns whether an object may be seen if its Service is like that. Where the Service is not
    /// known, the object's own labels count, which controllers copy.
    fn sees_as(&self, entry: &Entry, owner: Option<&IndexedService>) -> bool {
        let key = entry.key();
        let namespaces = self.rules.namespaces.as_ref();
        if entry.form().names.plural == "namespaces" {
            // The object exists because of an unknown Service: only a client that can read
            // everything that a namespace exports sees it.
            let is_whole = self.rules.show_whole_namespaces();
            return is_whole && namespaces.is_none_or(|allowed| allowed.contains(key.name()));
        }
        if namespaces.is_some_and(|allowed| !allowed.contains(key.namespace())) {
            return false;
        }
        match owner {
            Some(owner) => self.rules.allow(&owner.labels, Some(&owner.ports)),
            None => self.rules.allow(&entry.object().labels, None),
        }
    }

    /// Ports by number are known by their Service alone; its slices have the numbers of
    /// the pods.
    fn names(&self, owner: Option<&IndexedService>) -> BTreeSet<String> {
        let by_name = self.rules.ports.iter().flatten();
        let by_name = by_name.filter_map(|port| match port {
            Port::Name(name) => Some(name.clone()),
            Port::Number(_) => None,
        });
        let by_number = owner.into_iter().flat_map(|owner| &owner.ports);
        let by_number = by_number.filter(|port| self.rules.allow_port(port));
        by_name
            .chain(by_number.map(|port| port.name.clone()))
            .collect()
    }

    /// `None` if no port is left of those that there were.
    fn filter(&self, entry: &Entry, at: ResourceVersion) -> Option<Arc<Entry>> {
        let object = entry.object();
        let names = self.names(self.owner(entry, at).as_deref());
        // Managed fields and annotations would show ports too.
        let needed = Fields::needed()
            .filter(&entry.form().keep, &object.json)
            .ok()??;
        let json = ports::filter(&needed, &names).ok()??;
        let object = RawObject {
            json: json.into(),
            ..object.clone()
        };
        let entry = Entry::new(entry.form(), &Fields::All, object).ok()?;
        Some(Arc::new(entry))
    }
}

#[cfg(test)]
mod tests;
