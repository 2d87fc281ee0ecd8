//! Endpoints, of sources and here, and what replaced programs left.

use super::{Touched, World};
use crate::adopt::{self, Met};
use crate::endpoints::{Said, SourceEndpoints};
use crate::global;
use crate::local::{LocalChange, Obstacle};
use crate::mirror::{MirrorEndpoints, MirrorService, Observed, Owner, Role, Seen};
use crate::name::LocalKey;
use crate::policy::{CoreEndpoints, Rank};
use crate::source::Change;

use proto_types::Resource;

impl World {
    /// Whether Endpoints of ours matter: some are wanted, or there are some.
    #[must_use]
    pub fn concerns_endpoints(&self) -> bool {
        self.policy.writes_endpoints() || self.local.has_marked()
    }

    /// Endpoints stand for all slices of their Service.
    pub(super) fn hear_endpoints(
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

    /// The mirror of a program that this one replaces becomes ours; anything else
    /// stands in the way.
    pub(super) fn meet(&mut self, met: &Met) -> Touched {
        let key = met.service.key.clone();
        let winner = self.claims(&LocalKey::new(key.clone())).next();
        let is_by_mode = self.policy.is_by_mode();
        let adopted = winner.and_then(|claim| {
            let policy = self.policy.source(claim.rank);
            let adoption = match is_by_mode {
                true => global::adoption(self, &LocalKey::new(key.clone()), met)?,
                false => adopt::adoption(policy, met)?,
            };
            let is_kept = policy.endpoints == CoreEndpoints::Written;
            let owner = match self.policy.role(claim.rank) {
                Role::Mirror => Owner::new(policy.name.clone(), claim.service.clone()),
                Role::Member => Owner::global(claim.service.clone()),
            };
            let endpoints = adoption.endpoints.as_ref().and(met.endpoints.as_ref());
            let endpoints = endpoints.filter(|_| is_kept);
            let endpoints =
                endpoints.and_then(|it| Observed::<MirrorEndpoints>::adopted(it, owner.clone()));
            Some((
                Observed::<MirrorService>::adopted(&met.service, owner)?,
                adoption,
                endpoints,
            ))
        });
        match adopted {
            // They become ours together, when it is known which are.
            Some((_, _, Some(_))) if !self.local.knows_endpoints() => Touched::new(),
            Some((service, adoption, endpoints)) => {
                if let Some(endpoints) = endpoints {
                    let ours = LocalChange::Applied(key.clone(), Seen::Ours(endpoints));
                    self.local.update_endpoints(ours, &self.policy);
                }
                let adopted = (service, adoption);
                let concerned = self.local.adopt(key, adopted, &self.policy);
                concerned.into_iter().collect()
            }
            // What was handed over is heard of as the local cluster's own soon.
            None if is_by_mode && global::is_announced(met) => Touched::new(),
            None => self.block(Resource::Services, key, Obstacle::Occupied),
        }
    }

    /// Before they are known, nothing is decided about them.
    pub(super) fn hear_local_endpoints(&mut self, change: LocalChange<MirrorEndpoints>) -> Touched {
        if !self.local.knows_endpoints() {
            self.local.update_endpoints(change, &self.policy);
            return self.keys();
        }
        let subject = self.local.subject_of_endpoints(&change, &self.policy);
        self.update_ours(subject, |local, policy| {
            local.update_endpoints(change, policy)
        })
    }
}
