//! Staleness rules of one source.

use super::SourcePolicy;
use crate::staleness::Rules;

impl SourcePolicy {
    /// Returns the rules for endpoints while the source is disconnected.
    pub(crate) fn staleness_rules(&self) -> Rules<'_> {
        Rules {
            exceptions: &self.staleness_of,
            rest: self.staleness,
        }
    }
}
