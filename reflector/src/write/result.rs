//! Result of the steps for a key.

use std::time::Duration;

use proto_types::{ObjectKey, Status};
use reflector_planner::{MirrorKey, SourceName, Step, Update, WriteFailure};

use super::error::WriteError;
use crate::queue::Requeue;

/// Result of the steps for a key.
#[derive(Debug)]
pub(crate) struct WriteResult {
    /// The key.
    pub(crate) key: MirrorKey,
    /// Changes of the index.
    pub(crate) updates: Vec<Update>,
    /// Delay of the retry, if a step failed.
    pub(crate) again: Option<Requeue>,
    /// Reason for which the local API server is unavailable.
    pub(crate) unavailable: Option<String>,
    /// A source for which it is to be looked again for what a predecessor left.
    pub(crate) postponed: Option<SourceName>,
}

impl WriteResult {
    /// Creates the result of steps without a write.
    pub(crate) const fn of(key: MirrorKey, updates: Vec<Update>) -> Self {
        Self {
            key,
            updates,
            again: None,
            unavailable: None,
            postponed: None,
        }
    }

    /// Nothing is known yet, and the lookup is repeated.
    pub(crate) fn postponed(source: SourceName) -> Self {
        let key = MirrorKey::new(ObjectKey::new("", ""));
        Self {
            postponed: Some(source),
            ..Self::of(key, Vec::new())
        }
    }

    pub(super) fn blocked(&mut self, step: &Step, write_failure: WriteFailure) {
        let key = step.key.clone();
        self.updates
            .push(Update::Blocked(step.resource, key, write_failure));
        self.again = self.again.max(Some(Requeue::WithBackoff));
    }

    pub(super) fn deferred(&mut self, refusal: WriteError) {
        let (why, again) = match refusal {
            WriteError::StandingBy => {
                self.again = self.again.max(Some(Requeue::WithBackoff));
                return;
            }
            WriteError::Unavailable(why) | WriteError::Namespace(why) => {
                (why, Requeue::WithBackoff)
            }
            WriteError::Busy(status) => {
                let after = requested_delay(&status).map(Requeue::Busy);
                (status.message, after.unwrap_or(Requeue::WithBackoff))
            }
            WriteError::Status(_, status) => {
                let after = requested_delay(&status).map(Requeue::After);
                (status.message, after.unwrap_or(Requeue::WithBackoff))
            }
        };
        self.unavailable = Some(why);
        self.again = self.again.max(Some(again));
    }
}

/// Returns the delay that the server asked for.
fn requested_delay(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds?;
    Some(Duration::from_secs(seconds.into()))
}
