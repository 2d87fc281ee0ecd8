//! Options of a watcher beside its scope.

use std::sync::Arc;
use std::time::Duration;

use proto_types::ResourceVersion;

use super::Watcher;
use super::budget::Budget;
use super::identity::{IdentityCheck, Verifier};
use super::state::Step;

impl Watcher {
    /// The same, which lists the state at a resource version first, and then reports the changes
    /// since. If that state has expired, it lists the current one.
    #[must_use]
    pub fn beginning_at(mut self, revision: ResourceVersion) -> Self {
        self.begin(Step::ListAt { revision });
        self
    }

    /// The same, for servers that the guard accepts.
    #[must_use]
    pub fn guarded(mut self, guard: IdentityCheck) -> Self {
        let (client, limits) = (self.server.client.clone(), self.server.limits);
        self.server.verifier = Verifier::new(client, limits, Some(guard));
        self.begin(Step::List);
        self
    }

    /// The same, which lists again after that time if a list has no resource version, and so cannot
    /// be watched from. Without this, such a list is none.
    #[must_use]
    pub fn polling(mut self, every: Duration) -> Self {
        self.server.poll_every = Some(every);
        self.begin(Step::List);
        self
    }

    /// Limits the memory of the watcher by a budget, which others can share.
    #[must_use]
    pub fn within(mut self, budget: Arc<Budget>) -> Self {
        self.server.budget = Some(budget);
        self.begin(Step::List);
        self
    }
}
