//! The Services that slices and Endpoints belong to.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::RwLock;
use proto_types::object::ParseError;
use proto_types::{Labels, ObjectKey, RawObject, Revision, label};
use serde::Deserialize;

use super::Grant;
use crate::Entry;

/// What decides about a Service, and so about its slices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    pub(super) labels: Labels,
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct ServicePort {
    #[serde(default)]
    pub(super) name: String,
    #[serde(rename = "port")]
    pub(super) number: u16,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
struct Spec {
    ports: Option<Vec<ServicePort>>,
}

/// All Services that are exported, and those that lately were: what belongs to a deleted
/// one is deleted a moment later, and is in sight until then as it was.
#[derive(Debug, Default)]
pub struct Owners(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    owners: HashMap<ObjectKey, Arc<Owner>>,
    gone: VecDeque<ObjectKey>,
}

/// How many deleted Services are remembered.
const MAX_GONE: usize = 10_000;

/// A Service that is another one now, so that what belongs to it may have come into sight
/// or gone out of it, without having changed itself.
#[derive(Debug, Clone)]
pub struct Rejoined {
    /// When, in the history of what belongs to it.
    pub revision: Revision,
    /// The objects that belong to it.
    pub entries: Vec<Arc<Entry>>,
    /// What it was; absent if it was not known.
    pub before: Option<Arc<Owner>>,
    /// What it is.
    pub after: Option<Arc<Owner>>,
}

impl Rejoined {
    /// Whether a grant shows something else now.
    #[must_use]
    pub fn concerns(&self, grant: &Grant) -> bool {
        let (before, after) = (self.before.as_deref(), self.after.as_deref());
        let differs = |entry: &Arc<Entry>| {
            let seen = grant.sees_as(entry, after);
            seen != grant.sees_as(entry, before)
                || seen && grant.cuts() && grant.names(before) != grant.names(after)
        };
        !grant.rules().show_all() && self.entries.iter().any(differs)
    }
}

impl Owner {
    /// Reads a Service.
    pub fn read(service: &RawObject) -> Result<Self, ParseError> {
        let Service { spec } = serde_json::from_slice(&service.json)?;
        Ok(Self {
            labels: service.labels.clone(),
            ports: spec.ports.unwrap_or_default(),
        })
    }
}

impl Owners {
    /// Notes a Service; returns what it was if that has changed.
    pub fn set(&self, key: &ObjectKey, owner: Owner) -> Option<(Option<Arc<Owner>>, Arc<Owner>)> {
        let mut known = self.0.write();
        let before = known.owners.get(key).cloned();
        if before.as_deref() == Some(&owner) {
            return None;
        }
        let after = Arc::new(owner);
        known.owners.insert(key.clone(), Arc::clone(&after));
        Some((before, after))
    }

    /// Notes that a Service is gone.
    pub fn remove(&self, key: &ObjectKey) {
        let mut known = self.0.write();
        known.gone.push_back(key.clone());
        if MAX_GONE < known.gone.len()
            && let Some(oldest) = known.gone.pop_front()
            && !known.gone.contains(&oldest)
        {
            known.owners.remove(&oldest);
        }
    }

    /// The Service that decides about an object: a Service decides about itself, so that
    /// each of its versions is judged by what it says.
    pub(super) fn of(&self, entry: &Entry) -> Option<Arc<Owner>> {
        if entry.form().names.plural == "services" {
            return Owner::read(entry.object()).ok().map(Arc::new);
        }
        let key = service_of(entry)?;
        self.0.read().owners.get(&key).cloned()
    }
}

/// The Service that an object belongs to, or is.
#[must_use]
pub(crate) fn service_of(entry: &Entry) -> Option<ObjectKey> {
    let key = entry.key();
    let object = entry.object();
    match entry.form().names.plural {
        "endpointslices" => {
            let service = object.labels.get(label::SERVICE_NAME)?;
            Some(ObjectKey::new(key.namespace(), service))
        }
        _ => Some(key.clone()),
    }
}
