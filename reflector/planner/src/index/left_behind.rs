//! Mirrors of predecessors whose Services are gone: they become managed objects, and go as
//! such, with all that keeps deletions safe.

use std::collections::HashSet;

use proto_types::ObjectKey;
use proto_types::label;

use super::{AffectedKeys, Index, Judging};
use crate::adopt::{ExistingObject, adoption};
use crate::mirror::{MirrorService, Observed, SourceReference};
use crate::name::MirrorKey;
use crate::policy::Rank;

/// Separators in the names of a predecessor's mirrors.
const SEPARATORS: [&str; 2] = ["-73736d-", "-6d6972726f720a-"];

impl Index {
    /// Adopts the mirrors of a source without a claim. Those of Services that the source has are
    /// adopted when they are written.
    pub(crate) fn adopt_left_behind(
        &mut self,
        rank: Option<Rank>,
        met: Vec<ExistingObject>,
    ) -> AffectedKeys {
        let mut affected = AffectedKeys::new();
        let Some(rank) = rank.filter(|it| self.source(*it).services.is_synced()) else {
            return affected;
        };
        for met in met {
            let key = met.service.key.clone();
            let local = MirrorKey::new(key.clone());
            if self.claims.has(&local) || self.local.service(&local).is_some() {
                continue;
            }
            let policy = self.policy.source(rank);
            let original = self.original_of(rank, &local);
            let adopted = original.zip(adoption(policy, &met));
            let adopted = adopted.and_then(|(original, adoption)| {
                let owner = SourceReference::new(policy.name.clone(), original);
                let observed = Observed::<MirrorService>::adopted(&met.service, owner)?;
                Some((observed, adoption))
            });
            if let Some(adopted) = adopted {
                affected.extend(self.local.adopt(key, adopted, &self.policy));
            }
        }
        if !affected.is_empty() {
            // Many at once are held, as after any list.
            self.evaluate_services(rank, &HashSet::new(), Judging::LastList);
        }
        affected
    }

    /// The Service of a source whose mirror has that name, if the source does not have it.
    fn original_of(&self, rank: Rank, local: &MirrorKey) -> Option<ObjectKey> {
        let known = self.source(rank).services.known()?;
        let name = local.object().name();
        let mut candidates = Vec::new();
        for separator in SEPARATORS {
            for (at, _) in name.match_indices(separator) {
                let (first, second) = (&name[..at], &name[at + separator.len()..]);
                // Behind its prefix, which ends at one of the dashes.
                let firsts = first.match_indices('-').map(|(at, _)| &first[at + 1..]);
                for first in firsts {
                    candidates.push(ObjectKey::new(first, second));
                    candidates.push(ObjectKey::new(second, first));
                }
            }
        }
        candidates.retain(|it| self.policy.local(rank, it) == *local);
        let is_there = candidates.iter().any(|it| known.contains_key(it));
        candidates.into_iter().next().filter(|_| !is_there)
    }
}

/// The labels by which the mirrors of a predecessor are found that have a prefix.
#[must_use]
pub fn selector_of_left_behind(prefix: &str) -> String {
    let (mirrored, source) = (label::MIRRORED, label::SOURCE);
    format!("{mirrored}=true,mirror-svc-prefix-sync={prefix},!{source}")
}
