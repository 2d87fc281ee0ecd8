//! Objects of one resource, and the Services that they belong to.

use std::collections::{BTreeSet, HashMap};

use proto_types::{ObjectKey, Resource, ResourceVersion};

use super::{LocalChange, LocalList};
use crate::mirror::{LocalObject, Mirror, Observed, SourceReference};
use crate::name::MirrorKey;
use crate::policy::Policy;

/// One resource's objects, and where each belongs.
#[derive(Debug)]
pub(super) struct Store<T> {
    pub(super) listed: bool,
    /// Apart from the table, which has room for twice as many.
    pub(super) objects: HashMap<ObjectKey, Box<Observed<T>>>,
    pub(super) by_home: HashMap<MirrorKey, BTreeSet<ObjectKey>>,
    /// Services that are not where their Service's mirror usually is, by that Service.
    pub(super) strays: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
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
    pub(super) fn rehome(&mut self, policy: &Policy) {
        self.by_home.clear();
        self.strays.clear();
        for (key, observed) in std::mem::take(&mut self.objects) {
            self.insert(key, observed, policy);
        }
    }

    /// Takes over a change; returns the Services that it concerns. An older
    /// version never replaces a newer one: the answer to a write may overtake
    /// the watch.
    pub(super) fn update(&mut self, change: LocalChange<T>, policy: &Policy) -> Vec<MirrorKey> {
        match change {
            LocalChange::Listed(list) => self.list(list, policy),
            LocalChange::Applied(key, LocalObject::Managed(observed)) => {
                if self.is_news(&key, observed.revision) {
                    return self.insert(key, Box::new(observed), policy);
                }
                Vec::new()
            }
            LocalChange::Applied(_, LocalObject::Unmanaged) => Vec::new(),
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
    pub(super) fn changed_key(&self, change: &LocalChange<T>) -> Option<ObjectKey> {
        match change {
            LocalChange::Applied(key, LocalObject::Managed(observed)) => {
                self.is_news(key, observed.revision).then(|| key.clone())
            }
            LocalChange::Listed(_)
            | LocalChange::Applied(_, LocalObject::Unmanaged)
            | LocalChange::Deleted(..)
            | LocalChange::Gone(..) => None,
        }
    }

    fn is_news(&self, key: &ObjectKey, revision: ResourceVersion) -> bool {
        let known = self.objects.get(key);
        known.is_none_or(|known| known.revision < revision)
    }

    fn list(&mut self, list: LocalList<T>, policy: &Policy) -> Vec<MirrorKey> {
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
            if let LocalObject::Managed(observed) = seen {
                concerned.extend(self.insert(key, Box::new(observed), policy));
            }
        }
        for (key, observed) in before {
            // Not by the version that is listed: a restored object has an older one.
            let newer = revision < observed.revision;
            if newer && !rewound {
                concerned.extend(self.insert(key, observed, policy));
            }
        }
        concerned
    }

    fn insert(
        &mut self,
        key: ObjectKey,
        observed: Box<Observed<T>>,
        policy: &Policy,
    ) -> Vec<MirrorKey> {
        let mut concerned = self.remove(&key, policy);
        if let Some(home) = key_of::<T>(&key, &observed.owner, policy) {
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
            concerned.extend(strays.cloned().map(MirrorKey::new));
        }
        concerned.extend(made_for);
        self.objects.insert(key, observed);
        concerned
    }

    /// Service of a mirror, if these are mirror Services.
    fn is_service<'o>(&self, owner: &'o SourceReference) -> Option<&'o ObjectKey> {
        owner.source.as_ref()?;
        match T::RESOURCE {
            Resource::Services => owner.service.as_ref(),
            Resource::EndpointSlices | Resource::Endpoints => None,
        }
    }

    fn remove(&mut self, key: &ObjectKey, policy: &Policy) -> Vec<MirrorKey> {
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
        let Some(home) = key_of::<T>(key, &observed.owner, policy) else {
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
pub(super) fn key_of<T: Mirror>(
    key: &ObjectKey,
    owner: &SourceReference,
    policy: &Policy,
) -> Option<MirrorKey> {
    match T::RESOURCE {
        Resource::Services | Resource::Endpoints => Some(MirrorKey::new(key.clone())),
        Resource::EndpointSlices => {
            let attached = owner.attached_to.clone();
            attached.or_else(|| made_for(owner, policy))
        }
    }
}

/// The local Service that an object was made for, by its marks.
fn made_for(owner: &SourceReference, policy: &Policy) -> Option<MirrorKey> {
    let rank = policy.rank_of(owner)?;
    Some(policy.local(rank, owner.service.as_ref()?))
}
