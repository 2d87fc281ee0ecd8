//! Evidence of a completed list, and of a disconnected source.

use std::time::Duration;

use proto_types::{ObjectKey, Resource};

use super::{AffectedKeys, Index};
use crate::hold::MonotonicTime;
use crate::mirror::Role;
use crate::name::SourceName;
use crate::policy::Rank;
use crate::source::UpstreamContact;
use crate::staleness::{Age, Ages};

/// Request to list a resource of a source again, because its last list is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelistRequest {
    /// The source.
    pub source: SourceName,
    /// Role of its objects.
    pub role: Role,
    /// The resource.
    pub resource: Resource,
}

/// Time within which the first list of a source is expected. Later it counts as if it had no
/// endpoints.
const FIRST_LIST: Duration = Duration::from_secs(30);

impl Index {
    /// Doubts what held deletions long enough.
    pub(super) fn request_relists_of_held(&mut self) {
        let (now, hold) = (self.now, self.policy.hold);
        for rank in self.policy.ranks() {
            let it = self.source_mut(rank);
            let is_over = [
                (Resource::Services, it.service_hold.tick(now, hold)),
                (Resource::EndpointSlices, it.slice_hold.tick(now, hold)),
            ];
            for (resource, _) in is_over.into_iter().filter(|(_, is_over)| *is_over) {
                self.doubts.push(RelistRequest {
                    source: self.policy.source(rank).name.clone(),
                    role: self.policy.role(rank),
                    resource,
                });
            }
        }
    }

    /// Returns whether the first list of a source's slices is still expected soon.
    pub(crate) fn awaits_slices(&self, rank: Rank) -> bool {
        let source = self.source(rank);
        let is_unknown = source.slices.known().is_none();
        is_unknown && self.now.0.saturating_sub(source.slices_heard.0) < FIRST_LIST
    }

    /// Returns the global Services of members whose first list of slices is not awaited any
    /// more.
    pub(super) fn end_awaiting(&mut self, before: MonotonicTime) -> AffectedKeys {
        let members: Vec<_> = self.policy.member_ranks().collect();
        let mut affected = AffectedKeys::new();
        for rank in members {
            let source = self.source(rank);
            let is_unknown = source.slices.known().is_none();
            let over = source.slices_heard.0 + FIRST_LIST;
            if is_unknown && before.0 < over && over <= self.now.0 {
                affected.extend(self.all_of(rank));
            }
        }
        affected
    }

    /// Returns the staleness of the endpoints of a source Service.
    pub(crate) fn age(&self, rank: Rank, service: &ObjectKey) -> Age {
        let rules = self.policy.source(rank).staleness_rules();
        self.source(rank).ages.of(rules, service)
    }

    /// Finds out which cluster a source is, which its mirrors record from then on.
    pub(crate) fn identify(&mut self, rank: Option<Rank>, cluster: &str) -> AffectedKeys {
        let Some(rank) = rank else {
            return AffectedKeys::new();
        };
        if self.source(rank).cluster.as_deref() == Some(cluster) {
            return AffectedKeys::new();
        }
        self.source_mut(rank).cluster = Some(cluster.into());
        self.all_of(rank)
    }

    /// All that a source exports or has in the local cluster.
    fn all_of(&self, rank: Rank) -> AffectedKeys {
        let services = self.source(rank).services.known();
        let services = services.into_iter().flat_map(|it| it.keys());
        let mut all: AffectedKeys = services.map(|it| self.key_of(rank, it)).collect();
        all.extend(self.keys_of(rank));
        all
    }

    /// Evaluates the staleness of a source. Where that changed, all that it exports or has in the
    /// local cluster is concerned.
    pub(super) fn evaluate_staleness(&mut self, rank: Rank) -> AffectedKeys {
        let source = self.source(rank);
        let rules = self.policy.source(rank).staleness_rules();
        let ages = Ages::now(rules, source.contacts(), self.now);
        if ages == source.ages {
            return AffectedKeys::new();
        }
        self.source_mut(rank).ages = ages;
        self.all_of(rank)
    }

    /// Takes note of the contact that a source has with the API server behind it.
    pub(crate) fn apply_upstream(
        &mut self,
        name: &SourceName,
        contact: UpstreamContact,
    ) -> AffectedKeys {
        let lost = match contact {
            UpstreamContact::Connected => None,
            UpstreamContact::LostFor(age) => Some(MonotonicTime(self.now.0.saturating_sub(age))),
        };
        let ranks = [Role::Mirror, Role::Member].map(|role| self.policy.rank(name, role));
        let mut affected = AffectedKeys::new();
        for rank in ranks.into_iter().flatten() {
            self.source_mut(rank).upstream_lost = lost;
            affected.extend(self.evaluate_staleness(rank));
        }
        affected
    }
}
