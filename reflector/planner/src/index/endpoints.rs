//! Endpoints of sources.

use super::{AffectedKeys, Index};
use crate::endpoints::{EndpointsChange, SourceEndpoints};
use crate::policy::Rank;
use crate::source::Change;

impl Index {
    /// Returns whether managed Endpoints matter: some are wanted, or there are some.
    #[must_use]
    pub fn concerns_endpoints(&self) -> bool {
        self.policy.writes_endpoints() || self.local.has_marked()
    }

    /// Endpoints stand for all slices of their Service.
    pub(crate) fn apply_endpoints(
        &mut self,
        rank: Option<Rank>,
        change: Change<SourceEndpoints>,
    ) -> AffectedKeys {
        let Some(rank) = rank else {
            return AffectedKeys::new();
        };
        let said = match change.into_slices() {
            EndpointsChange::OfAll(change) => return self.apply_slices(Some(rank), change),
            said => said,
        };
        // That it lives is news too.
        let mut affected = self.apply_slices(Some(rank), Change::Heard);
        match said {
            EndpointsChange::OfAll(_) => {}
            EndpointsChange::List(slices) => affected.extend(self.list_slices(rank, slices)),
            EndpointsChange::OfOne(endpoints) => {
                let known = self.source_mut(rank).slices.known_mut();
                let services = known.map(|known| known.replace(endpoints));
                affected.extend(self.weigh_slices(rank, services.unwrap_or_default()));
            }
        }
        affected.extend(self.evaluate_staleness(rank));
        affected
    }
}
