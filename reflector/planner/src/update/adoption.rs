//! Adoption of the mirrors of predecessors.

use proto_types::Resource;

use crate::adopt::{self, Met};
use crate::local::{LocalChange, Obstacle};
use crate::mirror::{MirrorEndpoints, MirrorService, Observed, Owner, Role, Seen};
use crate::name::LocalKey;
use crate::plan::global;
use crate::policy::CoreEndpoints;
use crate::world::{Touched, World};

impl World {
    /// Adopts the mirror of a predecessor. Any other Service blocks the mirror of its name.
    pub(super) fn meet(&mut self, met: &Met) -> Touched {
        let key = met.service.key.clone();
        let winner = self.claims(&LocalKey::new(key.clone())).next();
        let is_by_mode = self.policy().is_by_mode();
        let adopted = winner.and_then(|claim| {
            let policy = self.policy().source(claim.rank);
            let adoption = match is_by_mode {
                true => global::adoption(self, &LocalKey::new(key.clone()), met)?,
                false => adopt::adoption(policy, met)?,
            };
            let is_kept = policy.endpoints == CoreEndpoints::Written;
            let owner = match self.policy().role(claim.rank) {
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
            Some((_, _, Some(_))) if !self.local().knows_endpoints() => Touched::new(),
            Some((service, adoption, endpoints)) => {
                let (local, policy) = self.local_mut();
                if let Some(endpoints) = endpoints {
                    let ours = LocalChange::Applied(key.clone(), Seen::Ours(endpoints));
                    local.update_endpoints(ours, policy);
                }
                let adopted = (service, adoption);
                let concerned = local.adopt(key, adopted, policy);
                concerned.into_iter().collect()
            }
            // What was handed over is heard of as the local cluster's own soon.
            None if is_by_mode && global::is_announced(met) => Touched::new(),
            None => self.block(Resource::Services, key, Obstacle::Occupied),
        }
    }
}
