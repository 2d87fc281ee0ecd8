//! State of the local cluster, managed objects only.

mod store;
mod subject;
mod write_failure;

use std::collections::HashMap;

use proto_types::{ObjectKey, Resource, ResourceVersion, label};

use crate::adopt::Adoption;
use crate::hold::MonotonicTime;
use crate::mirror::{
    LocalObject, MirrorEndpoints, MirrorService, MirrorSlice, Observed, Role, SourceReference,
};
use crate::name::{MirrorKey, SourceName};
use crate::policy::Policy;
use crate::rejected::Rejected;

pub use write_failure::WriteFailure;

use store::Store;

/// Change of one resource, from the local watch or from the response to a write.
#[derive(Debug, Clone)]
pub enum LocalChange<T> {
    /// A completed list.
    Listed(LocalList<T>),
    /// An object as it is now.
    Applied(ObjectKey, LocalObject<T>),
    /// A watch no longer has the object since that resource version: it was deleted, or lost the
    /// label of managed objects.
    Deleted(ObjectKey, ResourceVersion),
    /// The object of that uid does not exist.
    Gone(ObjectKey, Box<str>),
}

/// A completed list of managed objects.
#[derive(Debug, Clone)]
pub struct LocalList<T> {
    /// Resource version of the list.
    pub revision: ResourceVersion,
    /// `true` if history began again at an earlier resource version, as after a restore of etcd.
    pub rewound: bool,
    /// The objects.
    pub objects: Vec<(ObjectKey, LocalObject<T>)>,
}

/// Managed objects of the local cluster. Nothing is decided before both resources are listed.
#[derive(Debug, Default)]
pub struct LocalState {
    services: Store<MirrorService>,
    slices: Store<MirrorSlice>,
    endpoints: Store<MirrorEndpoints>,
    /// With when they were met last.
    write_failures: HashMap<(Resource, ObjectKey), (WriteFailure, MonotonicTime)>,
    pub(crate) rejected: Rejected,
    adoptions: HashMap<ObjectKey, Adoption>,
}

impl LocalState {
    /// Returns whether all that exists is known.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        self.services.listed && self.slices.listed
    }

    /// The managed Service of that name.
    #[must_use]
    pub fn service(&self, key: &MirrorKey) -> Option<&Observed<MirrorService>> {
        self.services.objects.get(key.object()).map(AsRef::as_ref)
    }

    /// The managed EndpointSlice of that name, whatever Service it belongs to.
    #[must_use]
    pub fn slice(&self, key: &ObjectKey) -> Option<&Observed<MirrorSlice>> {
        self.slices.objects.get(key).map(AsRef::as_ref)
    }

    /// The managed EndpointSlices of a Service.
    pub fn slices_of(
        &self,
        service: &MirrorKey,
    ) -> impl Iterator<Item = (&ObjectKey, &Observed<MirrorSlice>)> {
        let keys = self.slices.by_home.get(service).into_iter().flatten();
        let slices = keys.filter_map(|key| self.slices.objects.get_key_value(key));
        slices.map(|(key, slice)| (key, slice.as_ref()))
    }

    /// Returns whether all managed Endpoints are listed. They are watched only if some are desired.
    #[must_use]
    pub const fn knows_endpoints(&self) -> bool {
        self.endpoints.listed
    }

    /// The managed Endpoints of that name.
    #[must_use]
    pub fn endpoints(&self, key: &MirrorKey) -> Option<&Observed<MirrorEndpoints>> {
        self.endpoints.objects.get(key.object()).map(AsRef::as_ref)
    }

    /// Returns the number of managed Endpoints.
    #[must_use]
    pub fn n_endpoints(&self) -> usize {
        self.endpoints.objects.len()
    }

    /// The Services that managed Endpoints belong to.
    pub(crate) fn keys_of_endpoints(&self) -> impl Iterator<Item = MirrorKey> {
        self.endpoints.objects.keys().cloned().map(MirrorKey::new)
    }

    /// Returns whether the managed Service of that name has the mark of managed Endpoints.
    pub(crate) fn is_marked(&self, key: &MirrorKey) -> bool {
        self.service(key).is_some_and(reports_endpoints)
    }

    /// Returns whether a managed Service has the mark of managed Endpoints.
    pub(crate) fn has_marked(&self) -> bool {
        self.services().any(|(_, it)| reports_endpoints(it))
    }

    /// All managed Services.
    pub fn services(&self) -> impl Iterator<Item = (&ObjectKey, &Observed<MirrorService>)> {
        let services = self.services.objects.iter();
        services.map(|(key, service)| (key, service.as_ref()))
    }

    /// All managed EndpointSlices.
    pub fn slices(&self) -> impl Iterator<Item = (&ObjectKey, &Observed<MirrorSlice>)> {
        let slices = self.slices.objects.iter();
        slices.map(|(key, slice)| (key, slice.as_ref()))
    }

    /// The Services that a source has mirrors of or slices in.
    pub(crate) fn keys_of(&self, source: &SourceName, role: Role) -> Vec<MirrorKey> {
        let is_its =
            |owner: &SourceReference| owner.role == role && owner.source.as_ref() == Some(source);
        let services = self.services().filter(|(_, it)| is_its(&it.owner));
        let services = services.map(|(key, _)| MirrorKey::new(key.clone()));
        let slices = self.slices.by_home.iter().filter(|(_, slices)| {
            let mut slices = slices.iter().filter_map(|key| self.slice(key));
            slices.any(|it| is_its(&it.owner))
        });
        services
            .chain(slices.map(|(home, _)| home.clone()))
            .collect()
    }

    /// Mirror Services that are not where the mirror of their Service usually is: those of
    /// sources that are not configured, of aliases, and of former names.
    pub(crate) fn displaced_mirrors(&self) -> impl Iterator<Item = MirrorKey> {
        let strays = self.services.strays.values().flatten();
        strays.cloned().map(MirrorKey::new)
    }

    /// Those of one Service.
    pub(crate) fn displaced_mirrors_of(
        &self,
        service: &ObjectKey,
    ) -> impl Iterator<Item = MirrorKey> {
        let strays = self.services.strays.get(service).into_iter().flatten();
        strays.cloned().map(MirrorKey::new)
    }

    /// Finds out again where everything belongs.
    pub(crate) fn rehome(&mut self, policy: &Policy) {
        self.services.rehome(policy);
        self.slices.rehome(policy);
        self.endpoints.rehome(policy);
    }

    /// The Services that slices belong to.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &MirrorKey> {
        self.slices.by_home.keys()
    }

    /// Returns the adoption of the Service of that name, if one is in progress.
    pub(crate) fn adoption(&self, key: &MirrorKey) -> Option<&Adoption> {
        self.adoptions.get(key.object())
    }

    /// Adopts a Service that is not managed yet.
    pub(crate) fn adopt(
        &mut self,
        key: ObjectKey,
        (observed, adoption): (Observed<MirrorService>, Adoption),
        policy: &Policy,
    ) -> Vec<MirrorKey> {
        let change = LocalChange::Applied(key.clone(), LocalObject::Managed(observed));
        let concerned = self.update_services(change, policy);
        self.clear_obstacle(Resource::Services, &key);
        self.adoptions.insert(key, adoption);
        concerned
    }

    pub(crate) fn update_services(
        &mut self,
        change: LocalChange<MirrorService>,
        policy: &Policy,
    ) -> Vec<MirrorKey> {
        if let Some(key) = self.services.changed_key(&change) {
            self.clear_obstacle(Resource::Services, &key);
        }
        match &change {
            LocalChange::Applied(key, _) | LocalChange::Gone(key, _) => {
                self.adoptions.remove(key);
            }
            // What was adopted may not have the label of managed objects yet.
            LocalChange::Listed(_) | LocalChange::Deleted(..) => {}
        }
        self.services.update(change, policy)
    }

    pub(crate) fn update_slices(
        &mut self,
        change: LocalChange<MirrorSlice>,
        policy: &Policy,
    ) -> Vec<MirrorKey> {
        if let Some(key) = self.slices.changed_key(&change) {
            self.clear_obstacle(Resource::EndpointSlices, &key);
        }
        self.slices.update(change, policy)
    }

    pub(crate) fn update_endpoints(
        &mut self,
        change: LocalChange<MirrorEndpoints>,
        policy: &Policy,
    ) -> Vec<MirrorKey> {
        if let Some(key) = self.endpoints.changed_key(&change) {
            self.clear_obstacle(Resource::Endpoints, &key);
        }
        self.endpoints.update(change, policy)
    }
}

fn reports_endpoints(service: &Observed<MirrorService>) -> bool {
    let shows = service.shows.as_ref();
    shows.is_some_and(|it| it.marks.annotations.contains_key(label::CORE_ENDPOINTS))
}
