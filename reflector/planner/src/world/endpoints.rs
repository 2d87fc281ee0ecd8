//! Endpoints of sources.

use super::{Touched, World};
use crate::endpoints::{Said, SourceEndpoints};
use crate::policy::Rank;
use crate::source::Change;

impl World {
    /// Returns whether Endpoints of ours matter: some are wanted, or there are some.
    #[must_use]
    pub fn concerns_endpoints(&self) -> bool {
        self.policy.writes_endpoints() || self.local.has_marked()
    }

    /// Endpoints stand for all slices of their Service.
    pub(crate) fn hear_endpoints(
        &mut self,
        rank: Option<Rank>,
        change: Change<SourceEndpoints>,
    ) -> Touched {
        let Some(rank) = rank else {
            return Touched::new();
        };
        let said = match change.into_slices() {
            Said::OfAll(change) => return self.hear_slices(Some(rank), change),
            said => said,
        };
        // That it lives is news too.
        let mut touched = self.hear_slices(Some(rank), Change::Heard);
        match said {
            Said::OfAll(_) => {}
            Said::List(slices) => touched.extend(self.list_slices(rank, slices)),
            Said::OfOne(endpoints) => {
                let known = self.source_mut(rank).slices.known_mut();
                let services = known.map(|known| known.replace(endpoints));
                touched.extend(self.weigh_slices(rank, services.unwrap_or_default()));
            }
        }
        touched.extend(self.judge_age(rank));
        touched
    }
}
