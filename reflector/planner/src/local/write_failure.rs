//! Failed writes of objects.

use std::time::Duration;

use proto_types::{ObjectKey, Resource};

use super::LocalState;
use crate::hold::MonotonicTime;

/// Reason for which an object is not as planned, though a write was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteFailure {
    /// An object that is unmanaged has the name.
    Occupied,
    /// Its namespace does not exist.
    NamespaceMissing,
    /// Nor does the API server create it.
    NamespaceRefused(Box<str>),
    /// The API server refuses it.
    Refused(Box<str>),
    /// The API server stored something else.
    Overruled,
    /// It is deleted, and these finalizers keep it.
    Terminating(Box<str>),
}

impl WriteFailure {
    /// Returns the obstacle as the end of a sentence.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Occupied => "an object that is not Heliograph's has the name".to_owned(),
            Self::NamespaceMissing => "its namespace does not exist".to_owned(),
            Self::NamespaceRefused(message) => {
                format!("its namespace does not exist and cannot be created: {message}")
            }
            Self::Refused(message) => format!("the local API server rejects it: {message}"),
            Self::Overruled => "the local API server stores something else".to_owned(),
            Self::Terminating(finalizers) => {
                format!("it is deleted and kept by its finalizers {finalizers}")
            }
        }
    }
}

/// Several times the longest pause between two attempts.
const FORGET_OBSTACLES_AFTER: Duration = Duration::from_mins(30);

impl LocalState {
    /// Returns the reason for which an object is not as planned.
    #[must_use]
    pub fn write_failure(&self, resource: Resource, key: &ObjectKey) -> Option<&WriteFailure> {
        let met = self.write_failures.get(&(resource, key.clone()));
        met.map(|(write_failure, _)| write_failure)
    }

    pub(crate) fn set_obstacle(
        &mut self,
        resource: Resource,
        key: ObjectKey,
        it: WriteFailure,
        now: MonotonicTime,
    ) {
        self.write_failures.insert((resource, key), (it, now));
    }

    /// Returns the number of objects that are not as planned.
    #[must_use]
    pub fn n_obstacles(&self) -> usize {
        self.write_failures.len()
    }

    /// Forgets what has not been met for long: what is still wanted is tried every minute.
    pub(crate) fn drop_old_write_failures(&mut self, now: MonotonicTime) {
        let age = |met: &MonotonicTime| now.0.saturating_sub(met.0);
        self.write_failures
            .retain(|_, (_, met)| age(met) < FORGET_OBSTACLES_AFTER);
    }

    pub(crate) fn clear_obstacle(&mut self, resource: Resource, key: &ObjectKey) {
        self.write_failures.remove(&(resource, key.clone()));
    }
}
