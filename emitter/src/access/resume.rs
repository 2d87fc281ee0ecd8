//! Resource versions from which a watch may resume after a change of its client's view.
//!
//! History shows what happened to objects, and not what became of a client's view: a client
//! with the state before the change lists again. Replicas reload their files at different
//! times, so that for a while every resource version may come with either state. Then, and
//! at the resource version of the change, only a client that listed here since may resume.

use std::sync::Arc;

use proto_types::ResourceVersion;

use super::{Target, User};
use crate::sent_states::Told;

/// Oldest resource version at which a client's watch may resume.
#[derive(Debug, Clone, Default)]
pub struct MinimumResourceVersion {
    at: ResourceVersion,
    since: Option<(Who, Arc<Since>)>,
}

/// Clients that have listed since a change.
pub(super) type Since = Told<Who>;

/// User, and what it lists.
pub(super) type Who = (String, Target);

impl MinimumResourceVersion {
    /// Floor of a user whose view may be another one up to a resource version.
    pub(super) fn new(
        at: ResourceVersion,
        user: &User,
        target: &Target,
        since: &Arc<Since>,
    ) -> Self {
        let who = (user.name.clone(), target.clone());
        Self {
            at,
            since: Some((who, Arc::clone(since))),
        }
    }

    /// Notes that the client is sent the state at a resource version.
    pub fn record(&self, revision: ResourceVersion) {
        if let Some((who, since)) = &self.since {
            since.note(who.clone(), revision);
        }
    }

    /// Checks that a watch may resume after a resource version. Otherwise returns a resource
    /// version after which it could.
    pub fn admit(&self, revision: ResourceVersion) -> Result<(), ResourceVersion> {
        let Some((who, since)) = &self.since else {
            return Ok(());
        };
        let admitted = self.at < revision || since.knows(who, revision);
        admitted.then_some(()).ok_or(self.at)
    }
}
