//! Managed object that a change is about.

use proto_types::{ObjectKey, Resource};

use super::store::{Store, key_of};
use super::{LocalChange, LocalState};
use crate::mirror::{LocalObject, Mirror, MirrorEndpoints, MirrorService, MirrorSlice};
use crate::name::MirrorKey;
use crate::policy::Policy;

impl LocalState {
    /// Returns the managed Service that a change modifies, if it modifies one.
    pub(crate) fn subject_of_service(
        &self,
        change: &LocalChange<MirrorService>,
        policy: &Policy,
    ) -> Option<(MirrorKey, (Resource, ObjectKey))> {
        self.services.subject(change, policy)
    }

    /// Returns the managed EndpointSlice that a change modifies, if it modifies one.
    pub(crate) fn subject_of_slice(
        &self,
        change: &LocalChange<MirrorSlice>,
        policy: &Policy,
    ) -> Option<(MirrorKey, (Resource, ObjectKey))> {
        self.slices.subject(change, policy)
    }

    /// Returns the managed Endpoints that a change modifies, if it modifies one.
    pub(crate) fn subject_of_endpoints(
        &self,
        change: &LocalChange<MirrorEndpoints>,
        policy: &Policy,
    ) -> Option<(MirrorKey, (Resource, ObjectKey))> {
        self.endpoints.subject(change, policy)
    }
}

impl<T: Mirror> Store<T> {
    /// The object that a change makes otherwise, with the Service that it is part of. What
    /// we did ourselves is known by the answer.
    fn subject(
        &self,
        change: &LocalChange<T>,
        policy: &Policy,
    ) -> Option<(MirrorKey, (Resource, ObjectKey))> {
        let (key, revision) = match change {
            LocalChange::Applied(key, LocalObject::Managed(observed)) => (key, observed.revision),
            LocalChange::Deleted(key, revision) => (key, *revision),
            LocalChange::Applied(_, LocalObject::Unmanaged)
            | LocalChange::Listed(_)
            | LocalChange::Gone(..) => return None,
        };
        let known = self.objects.get(key).filter(|it| it.revision < revision)?;
        let home = key_of::<T>(key, &known.owner, policy)?;
        Some((home, (T::RESOURCE, key.clone())))
    }
}
