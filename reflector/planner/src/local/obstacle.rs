//! What stands in the way of objects.

use std::time::Duration;

use proto_types::{ObjectKey, Resource};

use super::Local;
use crate::hold::Moment;

/// Reason for which an object is not as planned, though a write was tried.
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
    /// It is deleted, and these finalizers keep it.
    Terminating(Box<str>),
}

impl Obstacle {
    /// Returns the obstacle as the end of a sentence.
    pub(crate) fn in_words(&self) -> String {
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

impl Local {
    /// Returns the reason for which an object is not as planned.
    #[must_use]
    pub fn obstacle(&self, resource: Resource, key: &ObjectKey) -> Option<&Obstacle> {
        let met = self.obstacles.get(&(resource, key.clone()));
        met.map(|(obstacle, _)| obstacle)
    }

    pub(crate) fn set_obstacle(
        &mut self,
        resource: Resource,
        key: ObjectKey,
        it: Obstacle,
        now: Moment,
    ) {
        self.obstacles.insert((resource, key), (it, now));
    }

    /// Returns the number of objects that are not as planned.
    #[must_use]
    pub fn n_obstacles(&self) -> usize {
        self.obstacles.len()
    }

    /// Forgets what has not been met for long: what is still wanted is tried every minute.
    pub(crate) fn forget_old_obstacles(&mut self, now: Moment) {
        let age = |met: &Moment| now.0.saturating_sub(met.0);
        self.obstacles
            .retain(|_, (_, met)| age(met) < FORGET_OBSTACLES_AFTER);
    }

    pub(crate) fn clear_obstacle(&mut self, resource: Resource, key: &ObjectKey) {
        self.obstacles.remove(&(resource, key.clone()));
    }
}
