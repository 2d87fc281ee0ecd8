//! What a completed list, or silence, says of a source.

use std::collections::HashSet;

use proto_types::{ObjectKey, Resource};

use super::{Touched, World};
use crate::brake::Moment;
use crate::mirror::{Observed, Role};
use crate::name::SourceName;
use crate::policy::Rank;
use crate::source::{SourceState, UpstreamContact};
use crate::staleness::{Age, Ages};

/// What a source said of one resource, and has to say once more before it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The source.
    pub source: SourceName,
    /// What its objects are here.
    pub role: Role,
    /// The resource.
    pub resource: Resource,
}

impl World {
    /// Doubts what held deletions long enough.
    pub(super) fn doubt_what_was_held(&mut self) {
        let (now, hold) = (self.now, self.policy.hold);
        for rank in self.policy.ranks() {
            let it = self.source_mut(rank);
            let is_over = [
                (Resource::Services, it.service_brake.tick(now, hold)),
                (Resource::EndpointSlices, it.slice_brake.tick(now, hold)),
            ];
            for (resource, _) in is_over.into_iter().filter(|(_, is_over)| *is_over) {
                self.doubts.push(Doubt {
                    source: self.policy.source(rank).name.clone(),
                    role: self.policy.role(rank),
                    resource,
                });
            }
        }
    }

    /// What a source's silence means now for one of its Services.
    pub(crate) fn age(&self, rank: Rank, service: &ObjectKey) -> Age {
        let policy = self.policy.source(rank);
        self.source(rank).ages.of(policy, service)
    }

    /// Finds out which cluster a source is, which its mirrors say from then on.
    pub(super) fn identify(&mut self, rank: Option<Rank>, cluster: Box<str>) -> Touched {
        let Some(rank) = rank else {
            return Touched::new();
        };
        if self.source(rank).cluster.as_ref() == Some(&cluster) {
            return Touched::new();
        }
        self.source_mut(rank).cluster = Some(cluster);
        self.all_of(rank)
    }

    /// All that a source exports or has here.
    fn all_of(&self, rank: Rank) -> Touched {
        let services = self.source(rank).services.known();
        let services = services.into_iter().flat_map(|it| it.keys());
        let mut all: Touched = services.map(|it| self.home(rank, it)).collect();
        all.extend(self.homes_of(rank));
        all
    }

    /// Finds out what a source's silence means now. Where that changed, all that it
    /// exports or has here is concerned.
    pub(super) fn judge_age(&mut self, rank: Rank) -> Touched {
        let source = self.source(rank);
        let ages = Ages::now(self.policy.source(rank), source.contacts(), self.now);
        if ages == source.ages {
            return Touched::new();
        }
        self.source_mut(rank).ages = ages;
        self.all_of(rank)
    }

    /// Takes note of the contact that a source has with the API server behind it.
    pub(super) fn hear_upstream(&mut self, name: &SourceName, contact: UpstreamContact) -> Touched {
        let lost = match contact {
            UpstreamContact::Connected => None,
            UpstreamContact::LostFor(age) => Some(Moment(self.now.0.saturating_sub(age))),
        };
        let ranks = [Role::Mirror, Role::Member].map(|role| self.policy.rank(name, role));
        let mut touched = Touched::new();
        for rank in ranks.into_iter().flatten() {
            self.source_mut(rank).upstream_lost = lost;
            touched.extend(self.judge_age(rank));
        }
        touched
    }

    /// Compares a source's listed Services with its mirrors, or with the global
    /// Services that name it. Without a full picture of both there is nothing to judge.
    pub(super) fn judge_services(&mut self, rank: Rank) {
        let SourceState::Synced(services) = &self.source(rank).services else {
            return;
        };
        if !self.local.is_listed() {
            return;
        }
        let name = &self.policy.source(rank).name;
        let role = self.policy.role(rank);
        let is_its = |it: &Observed<_>| match role {
            Role::Mirror => it.owner.source.as_ref() == Some(name),
            Role::Member => it.names(name),
        };
        let mirrors = self.local.services();
        let mirrors = mirrors.filter(|(_, it)| it.owner.role == role && is_its(it));
        let (mut gone, mut n_mirrors) = (HashSet::new(), 0);
        for (key, observed) in mirrors {
            n_mirrors += 1;
            let original = observed.owner.service.as_ref();
            if !original.is_some_and(|original| services.contains_key(original)) {
                gone.insert(key.clone());
            }
        }
        let now = self.now;
        let brake = &mut self.source_mut(rank).service_brake;
        brake.judge(&gone, n_mirrors, now);
    }

    /// Compares a source's listed slices with those here.
    pub(super) fn judge_slices(&mut self, rank: Rank) {
        let SourceState::Synced(slices) = &self.source(rank).slices else {
            return;
        };
        if !self.local.is_listed() {
            return;
        }
        let name = &self.policy.source(rank).name;
        let role = self.policy.role(rank);
        let mirrors = self.local.slices().map(|(key, it)| (key, &it.owner));
        let mirrors = mirrors.filter(|(_, it)| it.role == role && it.source.as_ref() == Some(name));
        let (mut gone, mut n_mirrors) = (HashSet::new(), 0);
        for (key, owner) in mirrors {
            // What a replaced program wrote was never copied from a slice of that name.
            let Some(original) = &owner.slice else {
                continue;
            };
            n_mirrors += 1;
            if !slices.contains(original) {
                gone.insert(key.clone());
            }
        }
        let now = self.now;
        let brake = &mut self.source_mut(rank).slice_brake;
        brake.judge(&gone, n_mirrors, now);
    }
}
