//! Actions: the difference of desired and observed state.

use crate::mirror::{Mirror, Observed};

/// Desired state of one local object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Desired<T> {
    /// It should exist and look like this.
    Present(T),
    /// It should not exist.
    Absent,
    /// Its sources are unavailable, so it stays unchanged.
    #[default]
    Unknown,
}

/// Change of one local object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<T> {
    /// Make it.
    Create(T),
    /// Change it into this.
    Update(T),
    /// Delete it and make this: the API server does not change one into the other.
    Replace(T),
    /// Delete it.
    Delete,
}

/// Returns the change that makes an object as desired, or `None` if it is.
#[must_use]
pub fn diff<T: Mirror>(verdict: &Desired<T>, observed: Option<&Observed<T>>) -> Option<Action<T>> {
    match (verdict, observed) {
        (Desired::Present(wanted), None) => Some(Action::Create(wanted.clone())),
        (Desired::Present(wanted), Some(observed)) => match &observed.shows {
            Some(shows) if wanted.agrees(shows) => None,
            Some(shows) if wanted.must_replace(shows) => Some(Action::Replace(wanted.clone())),
            Some(_) | None => Some(Action::Update(wanted.clone())),
        },
        (Desired::Absent, Some(_)) => Some(Action::Delete),
        (Desired::Absent, None) | (Desired::Unknown, _) => None,
    }
}
