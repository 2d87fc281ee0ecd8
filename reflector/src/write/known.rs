//! State of an object after a response about it.

use proto_types::{ObjectKey, RawObject, Resource};
use reflector_planner::{LocalChange, LocalObject, Mirror, Step, Update, Version, WriteFailure};

use super::ObjectLookup;

/// Returns the change of the object that a step wrote.
pub(super) fn applied(step: &Step, answer: &RawObject) -> Option<Update> {
    let key = answer.key.clone();
    (key == step.key).then(|| match step.resource {
        Resource::Services => Update::LocalServices(now(key, answer)),
        Resource::EndpointSlices => Update::LocalSlices(now(key, answer)),
        Resource::Endpoints => Update::LocalEndpoints(now(key, answer)),
    })
}

pub(super) fn stored(step: &Step, answer: &RawObject) -> Vec<Update> {
    let key = answer.key.clone();
    let update = match step.resource {
        Resource::Services => Update::LocalServices(now(key, answer)),
        Resource::EndpointSlices => Update::LocalSlices(now(key, answer)),
        Resource::Endpoints => Update::LocalEndpoints(now(key, answer)),
    };
    let mut updates = vec![update];
    if !step.satisfied_by(answer) {
        let overruled = WriteFailure::Overruled;
        updates.push(Update::Blocked(step.resource, step.key.clone(), overruled));
    }
    updates
}

/// Returns the change that a response shows. An object without the mark is not managed any more.
pub(super) fn now<T: Mirror>(key: ObjectKey, answer: &RawObject) -> LocalChange<T> {
    match LocalObject::read(answer) {
        LocalObject::Unmanaged => LocalChange::Deleted(key, answer.revision),
        ours @ LocalObject::Managed(_) => LocalChange::Applied(key, ours),
    }
}

pub(super) fn gone(step: &Step, version: &Version) -> Update {
    let (key, uid) = (step.key.clone(), version.uid.clone());
    match step.resource {
        Resource::Services => Update::LocalServices(LocalChange::Gone(key, uid)),
        Resource::EndpointSlices => Update::LocalSlices(LocalChange::Gone(key, uid)),
        Resource::Endpoints => Update::LocalEndpoints(LocalChange::Gone(key, uid)),
    }
}

/// Returns the change of an object that does not exist.
pub(super) fn forgotten(step: &Step) -> Option<Update> {
    step.version.as_ref().map(|version| gone(step, version))
}

pub(super) fn seen<T: Mirror>(
    step: &Step,
    answer: &RawObject,
    update: fn(LocalChange<T>) -> Update,
) -> ObjectLookup {
    match LocalObject::read(answer) {
        ours @ LocalObject::Managed(_) => {
            let change = LocalChange::Applied(answer.key.clone(), ours);
            ObjectLookup::Ours(Some(update(change)))
        }
        LocalObject::Unmanaged => ObjectLookup::Foreign(forgotten(step), answer.clone()),
    }
}
