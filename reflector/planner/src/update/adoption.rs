//! Adoption of the mirrors of predecessors.

use proto_types::Resource;

use crate::adopt::{self, ExistingObject};
use crate::index::{AffectedKeys, Index};
use crate::local::{LocalChange, WriteFailure};
use crate::mirror::{LocalObject, MirrorEndpoints, MirrorService, Observed, Role, SourceReference};
use crate::name::MirrorKey;
use crate::plan::global;
use crate::policy::CoreEndpoints;

impl Index {
    /// Adopts the mirror of a predecessor. Any other Service blocks the mirror of its name.
    pub(super) fn adopt(&mut self, met: &ExistingObject) -> AffectedKeys {
        let key = met.service.key.clone();
        let winner = self.claims(&MirrorKey::new(key.clone())).next();
        let is_by_mode = self.policy().is_by_mode();
        let adopted = winner.and_then(|claim| {
            let policy = self.policy().source(claim.rank);
            let adoption = match is_by_mode {
                true => global::adoption(self, &MirrorKey::new(key.clone()), met)?,
                false => adopt::adoption(policy, met)?,
            };
            let is_kept = policy.endpoints == CoreEndpoints::Written;
            let owner = match self.policy().role(claim.rank) {
                Role::Mirror => SourceReference::new(policy.name.clone(), claim.service.clone()),
                Role::Member => SourceReference::global(claim.service.clone()),
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
            // They are adopted together, when it is known which are.
            Some((_, _, Some(_))) if !self.local().knows_endpoints() => AffectedKeys::new(),
            Some((service, adoption, endpoints)) => {
                let (local, policy) = self.local_mut();
                if let Some(endpoints) = endpoints {
                    let ours = LocalChange::Applied(key.clone(), LocalObject::Managed(endpoints));
                    local.update_endpoints(ours, policy);
                }
                let adopted = (service, adoption);
                let concerned = local.adopt(key, adopted, policy);
                concerned.into_iter().collect()
            }
            // An event of the local cluster soon shows the adopted object.
            None if is_by_mode && global::is_announced(met) => AffectedKeys::new(),
            None => self.block(Resource::Services, key, WriteFailure::Occupied),
        }
    }
}
