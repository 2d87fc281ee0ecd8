//! From where a watch may go on after a change of what its consumer may see.
//!
//! History tells what happened to objects, not what became of a consumer's view: who
//! knows the state of before the change lists again. At the very revision of the change
//! there are both states, until something happens in the cluster; so it is noted who has
//! listed since.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use proto_types::Revision;

use super::{Target, User};

/// So many are noted; whoever comes after them lists until something happens.
const MAX_NOTED: usize = 10_000;

/// From where a consumer's watch may go on.
#[derive(Debug, Clone, Default)]
pub struct Floor {
    at: Revision,
    since: Option<(Who, Arc<Since>)>,
}

/// Who has listed since a change.
#[derive(Debug, Default)]
pub(super) struct Since(Mutex<HashSet<Who>>);

/// A user, and what it lists.
type Who = (String, Target);

impl Floor {
    /// Of a user whose view changed at a revision.
    pub(super) fn new(at: Revision, user: &User, target: &Target, since: &Arc<Since>) -> Self {
        let who = (user.name.clone(), target.clone());
        Self {
            at,
            since: Some((who, Arc::clone(since))),
        }
    }

    /// Notes that the consumer is told the state.
    pub fn told(&self) {
        if let Some((who, since)) = &self.since {
            let mut noted = since.0.lock();
            if noted.len() < MAX_NOTED {
                noted.insert(who.clone());
            }
        }
    }

    /// Whether a watch may go on after that revision; if not, from where it could.
    pub fn admit(&self, revision: Revision) -> Result<(), Revision> {
        let Some((who, since)) = &self.since else {
            return Ok(());
        };
        let admitted = self.at < revision || self.at == revision && since.0.lock().contains(who);
        admitted.then_some(()).ok_or(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_noted_than_a_limit() {
        let (at, since) = (Revision::new(7), Arc::default());
        let floor = |n: usize| {
            let user = User {
                name: n.to_string(),
                ..User::default()
            };
            Floor::new(at, &user, &Target::default(), &since)
        };
        for n in 0..=MAX_NOTED {
            assert_eq!(floor(n).admit(at), Err(at));
            floor(n).told();
        }
        assert_eq!(floor(MAX_NOTED - 1).admit(at), Ok(()));
        assert_eq!(floor(MAX_NOTED).admit(at), Err(at));
        assert_eq!(floor(MAX_NOTED).admit(Revision::new(8)), Ok(()));
        assert_eq!(floor(0).admit(Revision::new(6)), Err(at));
    }
}
