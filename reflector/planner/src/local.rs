//! What is observed in the local cluster, ours only.

mod subject;

use std::collections::{BTreeSet, HashMap};

use proto_types::{ObjectKey, Resource, Revision, label};

use crate::adopt::Adoption;
use crate::mirror::{
    Mirror, MirrorEndpoints, MirrorService, MirrorSlice, Observed, Owner, Role, Seen,
};
use crate::name::{LocalKey, SourceName};
use crate::policy::Policy;

/// What the local reader, or the answer to a write, reports of one resource.
#[derive(Debug, Clone)]
pub enum LocalChange<T> {
    /// A completed list.
    Listed(LocalList<T>),
    /// An object as it is now.
    Applied(ObjectKey, Seen<T>),
    /// A watch no longer has the object since that revision: it was deleted, or
    /// lost our label.
    Deleted(ObjectKey, Revision),
    /// The object of that uid does not exist.
    Gone(ObjectKey, Box<str>),
}

/// A completed list of our objects.
#[derive(Debug, Clone)]
pub struct LocalList<T> {
    /// When it was so.
    pub revision: Revision,
    /// Whether history began anew at an earlier revision (etcd was restored).
    pub rewound: bool,
    /// The objects.
    pub objects: Vec<(ObjectKey, Seen<T>)>,
}

/// Why an object is not as it should be, though it was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// An object that is not ours has the name.
    Occupied,
    /// Its namespace does not exist.
    NamespaceMissing,
    /// Nor does the API server create it.
    NamespaceRefused(Box<str>),
    /// The API server refuses it.
    Refused(Box<str>),
    /// The API server stored something else.
    Overruled,
}

/// What is observed in the local cluster. Nothing is decided before both
/// resources are listed.
#[derive(Debug, Default)]
pub struct Local {
    services: Store<MirrorService>,
    slices: Store<MirrorSlice>,
    endpoints: Store<MirrorEndpoints>,
    obstacles: HashMap<(Resource, ObjectKey), Obstacle>,
    adoptions: HashMap<ObjectKey, Adoption>,
}

/// One resource's objects, and where each belongs.
#[derive(Debug)]
struct Store<T> {
    listed: bool,
    objects: HashMap<ObjectKey, Observed<T>>,
    by_home: HashMap<LocalKey, BTreeSet<ObjectKey>>,
    /// Services that are not where their Service's mirror usually is, by that Service.
    strays: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
}

impl Local {
    /// Whether all that exists is known.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        self.services.listed && self.slices.listed
    }

    /// Our Service of that name.
    #[must_use]
    pub fn service(&self, key: &LocalKey) -> Option<&Observed<MirrorService>> {
        self.services.objects.get(key.object())
    }

    /// Our slice of that name, whatever Service it belongs to.
    #[must_use]
    pub fn slice(&self, key: &ObjectKey) -> Option<&Observed<MirrorSlice>> {
        self.slices.objects.get(key)
    }

    /// Our slices of a Service.
    pub fn slices_of(
        &self,
        service: &LocalKey,
    ) -> impl Iterator<Item = (&ObjectKey, &Observed<MirrorSlice>)> {
        let keys = self.slices.by_home.get(service).into_iter().flatten();
        keys.filter_map(|key| self.slices.objects.get_key_value(key))
    }

    /// Whether all our Endpoints are known. Where none are wanted, nobody looks.
    #[must_use]
    pub const fn knows_endpoints(&self) -> bool {
        self.endpoints.listed
    }

    /// Our Endpoints of that name.
    #[must_use]
    pub fn endpoints(&self, key: &LocalKey) -> Option<&Observed<MirrorEndpoints>> {
        self.endpoints.objects.get(key.object())
    }

    /// How many Endpoints of ours there are.
    #[must_use]
    pub fn n_endpoints(&self) -> usize {
        self.endpoints.objects.len()
    }

    /// The Services that Endpoints of ours belong to.
    pub(crate) fn homes_of_endpoints(&self) -> impl Iterator<Item = LocalKey> {
        self.endpoints.objects.keys().cloned().map(LocalKey::new)
    }

    /// Whether our Service of that name says that it has Endpoints of ours.
    pub(crate) fn is_marked(&self, key: &LocalKey) -> bool {
        self.service(key).is_some_and(says_endpoints)
    }

    /// Whether any of our Services says that it has Endpoints of ours.
    pub(crate) fn has_marked(&self) -> bool {
        self.services.objects.values().any(says_endpoints)
    }

    /// All our Services.
    pub fn services(&self) -> impl Iterator<Item = (&ObjectKey, &Observed<MirrorService>)> {
        self.services.objects.iter()
    }

    /// All our slices.
    pub fn slices(&self) -> impl Iterator<Item = (&ObjectKey, &Observed<MirrorSlice>)> {
        self.slices.objects.iter()
    }

    /// What stands in the way of an object.
    #[must_use]
    pub fn obstacle(&self, resource: Resource, key: &ObjectKey) -> Option<&Obstacle> {
        self.obstacles.get(&(resource, key.clone()))
    }

    /// The Services that a source has mirrors of or slices in.
    pub(crate) fn homes_of(&self, source: &SourceName, role: Role) -> Vec<LocalKey> {
        let is_its = |owner: &Owner| owner.role == role && owner.source.as_ref() == Some(source);
        let services = self.services().filter(|(_, it)| is_its(&it.owner));
        let services = services.map(|(key, _)| LocalKey::new(key.clone()));
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
    pub(crate) fn strays(&self) -> impl Iterator<Item = LocalKey> {
        let strays = self.services.strays.values().flatten();
        strays.cloned().map(LocalKey::new)
    }

    /// Finds out anew where everything belongs.
    pub(crate) fn rehome(&mut self, policy: &Policy) {
        self.services.rehome(policy);
        self.slices.rehome(policy);
        self.endpoints.rehome(policy);
    }

    /// The Services that slices belong to.
    pub(crate) fn homes(&self) -> impl Iterator<Item = &LocalKey> {
        self.slices.by_home.keys()
    }

    /// How our Service of that name is taken over, if it is.
    pub(crate) fn adoption(&self, key: &LocalKey) -> Option<&Adoption> {
        self.adoptions.get(key.object())
    }

    /// Takes a Service over that its owner does not know to be ours yet.
    pub(crate) fn adopt(
        &mut self,
        key: ObjectKey,
        (observed, adoption): (Observed<MirrorService>, Adoption),
        policy: &Policy,
    ) -> Vec<LocalKey> {
        let change = LocalChange::Applied(key.clone(), Seen::Ours(observed));
        let concerned = self.update_services(change, policy);
        self.clear_obstacle(Resource::Services, &key);
        self.adoptions.insert(key, adoption);
        concerned
    }

    pub(crate) fn set_obstacle(&mut self, resource: Resource, key: ObjectKey, it: Obstacle) {
        self.obstacles.insert((resource, key), it);
    }

    pub(crate) fn clear_obstacle(&mut self, resource: Resource, key: &ObjectKey) {
        self.obstacles.remove(&(resource, key.clone()));
    }

    pub(crate) fn update_services(
        &mut self,
        change: LocalChange<MirrorService>,
        policy: &Policy,
    ) -> Vec<LocalKey> {
        if let Some(key) = self.services.news_of(&change) {
            self.clear_obstacle(Resource::Services, &key);
        }
        match &change {
            LocalChange::Applied(key, _) | LocalChange::Gone(key, _) => {
                self.adoptions.remove(key);
            }
            // What was taken over may not have our label yet.
            LocalChange::Listed(_) | LocalChange::Deleted(..) => {}
        }
        self.services.update(change, policy)
    }

    pub(crate) fn update_slices(
        &mut self,
        change: LocalChange<MirrorSlice>,
        policy: &Policy,
    ) -> Vec<LocalKey> {
        if let Some(key) = self.slices.news_of(&change) {
            self.clear_obstacle(Resource::EndpointSlices, &key);
        }
        self.slices.update(change, policy)
    }

    pub(crate) fn update_endpoints(
        &mut self,
        change: LocalChange<MirrorEndpoints>,
        policy: &Policy,
    ) -> Vec<LocalKey> {
        if let Some(key) = self.endpoints.news_of(&change) {
            self.clear_obstacle(Resource::Endpoints, &key);
        }
        self.endpoints.update(change, policy)
    }
}

fn says_endpoints(service: &Observed<MirrorService>) -> bool {
    let shows = service.shows.as_ref();
    shows.is_some_and(|it| it.marks.annotations.contains_key(label::CORE_ENDPOINTS))
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self {
            listed: false,
            objects: HashMap::new(),
            by_home: HashMap::new(),
            strays: HashMap::new(),
        }
    }
}

impl<T: Mirror> Store<T> {
    fn rehome(&mut self, policy: &Policy) {
        self.by_home.clear();
        self.strays.clear();
        for (key, observed) in std::mem::take(&mut self.objects) {
            self.insert(key, observed, policy);
        }
    }

    /// Takes over a change; returns the Services that it concerns. An older
    /// version never replaces a newer one: the answer to a write may overtake
    /// the watch.
    fn update(&mut self, change: LocalChange<T>, policy: &Policy) -> Vec<LocalKey> {
        match change {
            LocalChange::Listed(list) => self.list(list, policy),
            LocalChange::Applied(key, Seen::Ours(observed)) => {
                if self.is_news(&key, observed.revision) {
                    return self.insert(key, observed, policy);
                }
                Vec::new()
            }
            LocalChange::Applied(_, Seen::Foreign) => Vec::new(),
            LocalChange::Deleted(key, revision) => match self.objects.get(&key) {
                Some(observed) if observed.revision <= revision => self.remove(&key, policy),
                Some(_) | None => Vec::new(),
            },
            LocalChange::Gone(key, uid) => match self.objects.get(&key) {
                Some(observed) if observed.uid == uid => self.remove(&key, policy),
                Some(_) | None => Vec::new(),
            },
        }
    }

    /// The object of which a change shows a version that was not known.
    fn news_of(&self, change: &LocalChange<T>) -> Option<ObjectKey> {
        match change {
            LocalChange::Applied(key, Seen::Ours(observed)) => {
                self.is_news(key, observed.revision).then(|| key.clone())
            }
            LocalChange::Listed(_)
            | LocalChange::Applied(_, Seen::Foreign)
            | LocalChange::Deleted(..)
            | LocalChange::Gone(..) => None,
        }
    }

    fn is_news(&self, key: &ObjectKey, revision: Revision) -> bool {
        let known = self.objects.get(key);
        known.is_none_or(|known| known.revision < revision)
    }

    fn list(&mut self, list: LocalList<T>, policy: &Policy) -> Vec<LocalKey> {
        self.listed = true;
        let LocalList {
            revision,
            rewound,
            objects,
        } = list;
        let before = std::mem::take(&mut self.objects);
        self.strays.clear();
        let mut concerned: Vec<_> = std::mem::take(&mut self.by_home).into_keys().collect();
        for (key, seen) in objects {
            if let Seen::Ours(observed) = seen {
                concerned.extend(self.insert(key, observed, policy));
            }
        }
        for (key, observed) in before {
            let listed = self.objects.get(&key);
            let newer = listed.map_or(revision, |it| it.revision) < observed.revision;
            if newer && !rewound {
                concerned.extend(self.insert(key, observed, policy));
            }
        }
        concerned
    }

    fn insert(&mut self, key: ObjectKey, observed: Observed<T>, policy: &Policy) -> Vec<LocalKey> {
        let mut concerned = self.remove(&key, policy);
        if let Some(home) = home::<T>(&key, &observed.owner, policy) {
            let homed = self.by_home.entry(home.clone()).or_default();
            homed.insert(key.clone());
            concerned.push(home);
        }
        // Whose the object is may have been edited; its maker repairs it.
        let made_for = made_for(&observed.owner, policy);
        if let Some(service) = self.is_service(&observed.owner) {
            let is_stray = made_for.as_ref().is_none_or(|it| *it.object() != key);
            if is_stray {
                let strays = self.strays.entry(service.clone()).or_default();
                strays.insert(key.clone());
            }
            // They may have waited for this one.
            let strays = self.strays.get(service).into_iter().flatten();
            concerned.extend(strays.cloned().map(LocalKey::new));
        }
        concerned.extend(made_for);
        self.objects.insert(key, observed);
        concerned
    }

    /// Service of a mirror, if these are mirror Services.
    fn is_service<'o>(&self, owner: &'o Owner) -> Option<&'o ObjectKey> {
        owner.source.as_ref()?;
        match T::RESOURCE {
            Resource::Services => owner.service.as_ref(),
            Resource::EndpointSlices | Resource::Endpoints => None,
        }
    }

    fn remove(&mut self, key: &ObjectKey, policy: &Policy) -> Vec<LocalKey> {
        let Some(observed) = self.objects.remove(key) else {
            return Vec::new();
        };
        if let Some(service) = self.is_service(&observed.owner)
            && let Some(strays) = self.strays.get_mut(service)
        {
            strays.remove(key);
            if strays.is_empty() {
                self.strays.remove(service);
            }
        }
        let Some(home) = home::<T>(key, &observed.owner, policy) else {
            return Vec::new();
        };
        if let Some(homed) = self.by_home.get_mut(&home) {
            homed.remove(key);
            if homed.is_empty() {
                self.by_home.remove(&home);
            }
        }
        vec![home]
    }
}

/// The local Service that an object is part of.
fn home<T: Mirror>(key: &ObjectKey, owner: &Owner, policy: &Policy) -> Option<LocalKey> {
    match T::RESOURCE {
        Resource::Services | Resource::Endpoints => Some(LocalKey::new(key.clone())),
        Resource::EndpointSlices => {
            let attached = owner.attached_to.clone();
            attached.or_else(|| made_for(owner, policy))
        }
    }
}

/// The local Service that an object was made for, by its marks.
fn made_for(owner: &Owner, policy: &Policy) -> Option<LocalKey> {
    let rank = policy.rank_of(owner)?;
    Some(policy.local(rank, owner.service.as_ref()?))
}
