//! All that is known of one cluster of the set.

use std::collections::{BTreeMap, HashMap};

use proto_types::ObjectKey;
use reflector_planner::slice::SliceSpec;
use reflector_planner::{Moment, SourceSlice};

use crate::export::{Definition, Export, ExportedService};
use crate::known::{Change, Known};

/// All that is known of one cluster of the set.
#[derive(Debug, Default)]
pub struct Cluster {
    /// Its ServiceExports.
    pub exports: Known<HashMap<ObjectKey, Export>>,
    /// Its Services.
    pub services: Known<HashMap<ObjectKey, ExportedService>>,
    /// Its EndpointSlices, by Service.
    pub slices: Known<Slices>,
    /// Time of the last contact.
    pub last_contact: Moment,
}

/// EndpointSlices of a cluster, by Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slices {
    by_service: HashMap<ObjectKey, BTreeMap<ObjectKey, Option<SliceSpec>>>,
    service_of: HashMap<ObjectKey, ObjectKey>,
}

/// Contribution of a cluster to an import.
#[derive(Debug, Clone, Copy)]
pub enum Contribution<'a> {
    /// The cluster does not export the Service.
    None,
    /// Not known, because a resource of the cluster was never listed.
    Unknown,
    /// The cluster has a ServiceExport that cannot take effect.
    Invalid(&'a Export, Invalid<'a>),
    /// The cluster exports the Service.
    Exported(&'a Export, &'a Definition),
}

/// Reason why a ServiceExport cannot take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid<'a> {
    /// There is no Service of its name.
    NoService,
    /// The Service has type ExternalName.
    ExternalName,
    /// The Service was written by a multi-cluster program.
    Managed,
    /// The Service cannot be read.
    Unreadable(&'a str),
}

impl Cluster {
    /// Returns what the cluster contributes to an import.
    #[must_use]
    pub fn contribution(&self, key: &ObjectKey) -> Contribution<'_> {
        let Some(exports) = self.exports.data() else {
            return Contribution::Unknown;
        };
        let Some(export) = exports.get(key) else {
            return Contribution::None;
        };
        let Some(services) = self.services.data() else {
            return Contribution::Unknown;
        };
        let invalid = |why| Contribution::Invalid(export, why);
        match services.get(key) {
            None => invalid(Invalid::NoService),
            Some(ExportedService::ExternalName) => invalid(Invalid::ExternalName),
            Some(ExportedService::Managed) => invalid(Invalid::Managed),
            Some(ExportedService::Unreadable(why)) => invalid(Invalid::Unreadable(why)),
            Some(ExportedService::Usable(definition)) => Contribution::Exported(export, definition),
        }
    }

    /// Returns whether a resource is disconnected after it was listed.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.exports.is_stale() || self.services.is_stale() || self.slices.is_stale()
    }
}

impl Slices {
    /// Returns the EndpointSlices of a Service. `None` stands for one that cannot be read.
    pub fn of(
        &self,
        service: &ObjectKey,
    ) -> impl Iterator<Item = (&ObjectKey, Option<&SliceSpec>)> {
        let slices = self.by_service.get(service).into_iter().flatten();
        slices.map(|(key, spec)| (key, spec.as_ref()))
    }

    fn set(&mut self, key: ObjectKey, slice: Option<SourceSlice>) -> Vec<ObjectKey> {
        let mut touched = self.remove(&key);
        if let Some(SourceSlice { service, content }) = slice {
            let siblings = self.by_service.entry(service.clone()).or_default();
            siblings.insert(key.clone(), content.ok().map(|it| it.spec));
            self.service_of.insert(key, service.clone());
            touched.push(service);
        }
        touched
    }

    fn remove(&mut self, key: &ObjectKey) -> Vec<ObjectKey> {
        let Some(service) = self.service_of.remove(key) else {
            return Vec::new();
        };
        if let Some(siblings) = self.by_service.get_mut(&service) {
            siblings.remove(key);
            if siblings.is_empty() {
                self.by_service.remove(&service);
            }
        }
        vec![service]
    }
}

impl Known<HashMap<ObjectKey, Export>> {
    /// Applies a change of ServiceExports. Returns the keys that it concerns.
    pub fn apply(&mut self, change: Change<ObjectKey, Export>) -> Vec<ObjectKey> {
        apply(self, change)
    }
}

impl Known<HashMap<ObjectKey, ExportedService>> {
    /// Applies a change of Services. Returns the keys that it concerns.
    pub fn apply(&mut self, change: Change<ObjectKey, ExportedService>) -> Vec<ObjectKey> {
        apply(self, change)
    }
}

fn apply<T: PartialEq>(
    known: &mut Known<HashMap<ObjectKey, T>>,
    change: Change<ObjectKey, T>,
) -> Vec<ObjectKey> {
    match change {
        Change::Listed(objects) => {
            let listed: HashMap<_, _> = objects.into_iter().collect();
            let before = std::mem::replace(known, Known::Current(HashMap::new()));
            let mut touched: Vec<_> = listed.keys().cloned().collect();
            let gone = before.data().into_iter().flat_map(HashMap::keys);
            touched.extend(gone.filter(|it| !listed.contains_key(*it)).cloned());
            *known = Known::Current(listed);
            touched
        }
        Change::ListedUnconfirmed(objects) => {
            let Some(data) = known.data_mut() else {
                return Vec::new();
            };
            let touched = objects.iter().map(|(key, _)| key.clone()).collect();
            data.extend(objects);
            touched
        }
        Change::Applied(key, object) => match known.data_mut() {
            Some(data) if data.get(&key) == Some(&object) => Vec::new(),
            Some(data) => {
                data.insert(key.clone(), object);
                vec![key]
            }
            None => Vec::new(),
        },
        Change::Deleted(key) => {
            let data = known.data_mut();
            let removed = data.and_then(|it| it.remove(&key));
            removed.map(|_| key).into_iter().collect()
        }
        Change::Connected => {
            known.reconnect();
            Vec::new()
        }
        Change::Disconnected => {
            known.disconnect();
            Vec::new()
        }
    }
}

impl Known<Slices> {
    /// Applies a change of EndpointSlices. Returns the Services that it concerns.
    pub fn apply(&mut self, change: Change<ObjectKey, Option<SourceSlice>>) -> Vec<ObjectKey> {
        match change {
            Change::Listed(objects) => {
                let mut listed = Slices::default();
                for (key, slice) in objects {
                    listed.set(key, slice);
                }
                let before = std::mem::replace(self, Self::Current(listed));
                let all = [before.data(), self.data()].into_iter().flatten();
                all.flat_map(|it| it.by_service.keys().cloned()).collect()
            }
            Change::ListedUnconfirmed(objects) => {
                let Some(data) = self.data_mut() else {
                    return Vec::new();
                };
                let set = objects.into_iter().map(|(key, slice)| data.set(key, slice));
                set.flatten().collect()
            }
            Change::Applied(key, slice) => {
                let data = self.data_mut();
                data.map(|it| it.set(key, slice)).unwrap_or_default()
            }
            Change::Deleted(key) => {
                let data = self.data_mut();
                data.map(|it| it.remove(&key)).unwrap_or_default()
            }
            Change::Connected => {
                self.reconnect();
                Vec::new()
            }
            Change::Disconnected => {
                self.disconnect();
                Vec::new()
            }
        }
    }
}
