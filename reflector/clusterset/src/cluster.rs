//! All that is known of one cluster of the set.

use std::collections::{BTreeMap, HashMap};

use proto_types::ObjectKey;
use reflector_planner::import::Quota;
use reflector_planner::slice::EndpointSliceSpec;
use reflector_planner::{HoldReason, MonotonicTime, SourceSlice};

use crate::export::{Definition, Export, ExportedService};
use crate::known::{Change, Known};
use crate::losses::{Losses, Part};
use crate::selector::{Properties, Selectors};

/// All that is known of one cluster of the set.
#[derive(Debug, Default)]
pub struct Cluster {
    /// Its ServiceExports.
    pub exports: Known<HashMap<ObjectKey, Export>>,
    /// Its Services.
    pub services: Known<HashMap<ObjectKey, ExportedService>>,
    /// Its EndpointSlices, by Service.
    pub slices: Known<Slices>,
    /// Its ClusterProperties; `None` if they were never read.
    pub properties: Option<Properties>,
    /// Losses, and the deletion holds on them.
    pub losses: Losses,
    /// Time of the last contact.
    pub last_contact: MonotonicTime,
    /// Exports, divided at the maximum number of imports.
    pub quota: Quota,
}

/// EndpointSlices of a cluster, by Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slices {
    by_service: HashMap<ObjectKey, BTreeMap<ObjectKey, Option<EndpointSliceSpec>>>,
    service_of: HashMap<ObjectKey, ObjectKey>,
}

/// Contribution of a cluster to an import.
#[derive(Debug, Clone, Copy)]
pub enum Contribution<'a> {
    /// The cluster does not export the Service.
    None,
    /// Not known, because a resource of the cluster was never listed.
    Unknown,
    /// The cluster does not export the Service any more, and its deletion is held: the export
    /// as it was read last, unless that was before a restart.
    Held(HoldReason, Option<(&'a Export, &'a Definition)>),
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
    /// The cluster selectors of the ServiceExport cannot be evaluated.
    Selectors(&'a str),
    /// The ServiceExport of a headless Service has cluster selectors.
    HeadlessSelectors,
}

impl Cluster {
    /// Creates a cluster of which nothing is known, with a maximum number of imports.
    #[must_use]
    pub fn new(max_services: Option<usize>) -> Self {
        Self {
            quota: Quota::new(max_services),
            ..Self::default()
        }
    }

    /// Changes the maximum number of imports.
    pub fn limit(&mut self, max_services: Option<usize>) {
        self.quota = Quota::new(max_services);
        for key in self.exports.data().into_iter().flat_map(HashMap::keys) {
            self.quota.insert(key);
        }
    }

    /// Returns what the cluster contributes to an import.
    #[must_use]
    pub fn contribution(&self, key: &ObjectKey) -> Contribution<'_> {
        let Some(exports) = self.exports.data() else {
            return Contribution::Unknown;
        };
        let export = exports.get(key);
        let held = self.losses.hold(Part::Exports).holds(key);
        if export.is_none() && held.is_none() {
            return Contribution::None;
        }
        let Some(services) = self.services.data() else {
            return Contribution::Unknown;
        };
        let why = match services.get(key) {
            Some(ExportedService::Usable(definition)) => {
                return match (export, held) {
                    (Some(export), _) => exported(export, definition),
                    (None, Some(why)) => Contribution::Held(why, self.last(key)),
                    (None, None) => Contribution::None,
                };
            }
            None => Invalid::NoService,
            Some(ExportedService::ExternalName) => Invalid::ExternalName,
            Some(ExportedService::Managed) => Invalid::Managed,
            Some(ExportedService::Unreadable(why)) => Invalid::Unreadable(why),
        };
        match (self.losses.hold(Part::Services).holds(key), export) {
            (Some(why), _) => Contribution::Held(why, self.last(key)),
            (None, Some(export)) => Contribution::Invalid(export, why),
            (None, None) => Contribution::None,
        }
    }

    /// Returns an export of which a part is held, as it was read last.
    fn last(&self, key: &ObjectKey) -> Option<(&Export, &Definition)> {
        let Losses {
            last_exports,
            last_services,
            ..
        } = &self.losses;
        let export = self.exports.data().and_then(|it| it.get(key));
        let usable = |it: &&ExportedService| matches!(it, ExportedService::Usable(_));
        let service = self.services.data().and_then(|it| it.get(key));
        let service = service.filter(usable).or_else(|| last_services.get(key))?;
        match service {
            ExportedService::Usable(definition) => {
                Some((export.or_else(|| last_exports.get(key))?, definition))
            }
            _ => None,
        }
    }

    /// Returns whether the cluster has an object that an import is made of. A Service that
    /// cannot be read is there.
    #[must_use]
    pub fn has(&self, part: Part, key: &ObjectKey) -> bool {
        match part {
            Part::Exports => self.exports.data().is_some_and(|it| it.contains_key(key)),
            Part::Services => {
                let service = self.services.data().and_then(|it| it.get(key));
                service.is_some_and(ExportedService::counts)
            }
            Part::Slices => {
                let slices = self.slices.data();
                slices.is_some_and(|it| it.of(key).next().is_some())
            }
        }
    }

    /// Returns whether a resource was listed.
    #[must_use]
    pub const fn is_listed(&self, part: Part) -> bool {
        match part {
            Part::Exports => !self.exports.is_unlisted(),
            Part::Services => !self.services.is_unlisted(),
            Part::Slices => !self.slices.is_unlisted(),
        }
    }

    /// Applies a change of ServiceExports. Returns the keys that it concerns.
    pub fn change_exports(&mut self, change: Change<ObjectKey, Export>) -> Vec<ObjectKey> {
        let (mut affected, before) = apply(&mut self.exports, change);
        let n_changed = affected.len();
        for i in 0..n_changed {
            let key = &affected[i];
            let other = match self.exports.data().is_some_and(|it| it.contains_key(key)) {
                true => self.quota.insert(key),
                false => self.quota.remove(key),
            };
            affected.extend(other);
        }
        let gone = before
            .into_iter()
            .filter(|(key, _)| !self.has(Part::Exports, key));
        let gone: Vec<_> = gone.collect();
        self.losses.last_exports.extend(gone);
        affected
    }

    /// Applies a change of Services. Returns the keys that it concerns.
    pub fn change_services(
        &mut self,
        change: Change<ObjectKey, ExportedService>,
    ) -> Vec<ObjectKey> {
        let (affected, before) = apply(&mut self.services, change);
        let gone = before
            .into_iter()
            .filter(|(key, it)| it.counts() && !self.has(Part::Services, key));
        let gone: Vec<_> = gone.collect();
        self.losses.last_services.extend(gone);
        affected
    }

    /// Returns whether a resource is disconnected after it was listed.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.exports.is_stale() || self.services.is_stale() || self.slices.is_stale()
    }
}

/// Returns the contribution of an export whose Service can be exported.
fn exported<'a>(export: &'a Export, definition: &'a Definition) -> Contribution<'a> {
    match &export.selectors {
        Some(Selectors::Invalid(why)) => Contribution::Invalid(export, Invalid::Selectors(why)),
        Some(Selectors::Valid(_)) if definition.is_headless() => {
            Contribution::Invalid(export, Invalid::HeadlessSelectors)
        }
        Some(Selectors::Valid(_)) | None => Contribution::Exported(export, definition),
    }
}

impl Slices {
    /// Returns the EndpointSlices of a Service. `None` stands for one that cannot be read.
    pub fn of(
        &self,
        service: &ObjectKey,
    ) -> impl Iterator<Item = (&ObjectKey, Option<&EndpointSliceSpec>)> {
        let slices = self.by_service.get(service).into_iter().flatten();
        slices.map(|(key, spec)| (key, spec.as_ref()))
    }

    fn set(&mut self, key: ObjectKey, slice: Option<SourceSlice>) -> Vec<ObjectKey> {
        let mut affected = self.remove(&key);
        if let Some(SourceSlice { service, content }) = slice {
            let siblings = self.by_service.entry(service.clone()).or_default();
            siblings.insert(key.clone(), content.ok().map(|it| it.spec));
            self.service_of.insert(key, service.clone());
            affected.push(service);
        }
        affected
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

/// Applies a change. Returns the keys that it concerns, and the objects that were replaced or
/// removed.
fn apply<T: PartialEq>(
    known: &mut Known<HashMap<ObjectKey, T>>,
    change: Change<ObjectKey, T>,
) -> (Vec<ObjectKey>, Vec<(ObjectKey, T)>) {
    let nothing = || (Vec::new(), Vec::new());
    match change {
        Change::Listed(objects) => {
            let listed: HashMap<_, _> = objects.into_iter().collect();
            let before = std::mem::take(known).into_data().unwrap_or_default();
            let mut affected: Vec<_> = listed.keys().cloned().collect();
            let gone = before.keys().filter(|it| !listed.contains_key(*it));
            affected.extend(gone.cloned());
            *known = Known::Current(listed);
            (affected, before.into_iter().collect())
        }
        Change::ListedUnconfirmed(objects) => {
            let Some(data) = known.data_mut() else {
                return nothing();
            };
            let (mut affected, mut before) = nothing();
            for (key, object) in objects {
                affected.push(key.clone());
                let replaced = data.insert(key.clone(), object);
                before.extend(replaced.map(|it| (key, it)));
            }
            (affected, before)
        }
        Change::Applied(key, object) => match known.data_mut() {
            Some(data) if data.get(&key) == Some(&object) => nothing(),
            Some(data) => {
                let replaced = data.insert(key.clone(), object);
                let before = replaced.map(|it| (key.clone(), it));
                (vec![key], before.into_iter().collect())
            }
            None => nothing(),
        },
        Change::Deleted(key) => {
            let data = known.data_mut();
            match data.and_then(|it| it.remove_entry(&key)) {
                Some(before) => (vec![key], vec![before]),
                None => nothing(),
            }
        }
        Change::Connected => {
            known.reconnect();
            nothing()
        }
        Change::Disconnected => {
            known.disconnect();
            nothing()
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
