//! Deletions that a source causes, handed to its deletion holds.

use std::collections::HashSet;

use proto_types::ObjectKey;

use super::{AffectedKeys, Index};
use crate::hold::{Judged, Left, Mirrored};
use crate::local::LocalState;
use crate::mirror::{MirrorService, Observed, Role, SourceReference};
use crate::name::{MirrorKey, SourceName};
use crate::policy::{Policy, Rank, RemovedSources};
use crate::source::{Slices, SourceState};

/// Cause of a change of claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A list of the source, which is judged as a whole.
    List,
    /// A watch event of the source.
    Event,
    /// The configuration: what it takes away goes at once.
    Configuration,
}

/// List that is compared with what is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judging {
    /// One that the source sent just now.
    NewList,
    /// The last one, after something else changed: it confirms no deletion that is held.
    LastList,
}

/// A source in its role, to find what is its own in the local cluster.
#[derive(Clone, Copy)]
struct Its<'a> {
    name: &'a SourceName,
    role: Role,
}

impl<'a> Its<'a> {
    fn of(policy: &'a Policy, rank: Rank) -> Self {
        Self {
            name: &policy.source(rank).name,
            role: policy.role(rank),
        }
    }

    /// Returns whether a local Service is the mirror of a Service, or one with it as a
    /// member.
    fn has_service(self, local: &LocalState, service: &ObjectKey, key: &MirrorKey) -> bool {
        let observed = local.service(key);
        observed.is_some_and(|it| self.is_service(it) && it.owner.service.as_ref() == Some(service))
    }

    fn is_service(self, observed: &Observed<MirrorService>) -> bool {
        let owner = &observed.owner;
        owner.role == self.role
            && match self.role {
                Role::Mirror => owner.source.as_ref() == Some(self.name),
                Role::Member => observed.names(self.name),
            }
    }

    /// Returns whether there are mirrors of slices of a Service.
    fn has_slices(self, local: &LocalState, service: &ObjectKey, key: &MirrorKey) -> bool {
        let mut slices = local.slices_of(key);
        slices.any(|(_, it)| self.slice_of(&it.owner) == Some(service))
    }

    /// Service of which a local slice is a part in the source. What a predecessor wrote was
    /// never copied from a slice of that name.
    fn slice_of(self, owner: &SourceReference) -> Option<&ObjectKey> {
        let is_its = owner.role == self.role && owner.source.as_ref() == Some(self.name);
        owner.slice.as_ref().filter(|_| is_its)?;
        owner.service.as_ref()
    }
}

impl Index {
    /// Tells the hold of a source what became of one of its Services, whose mirror is under
    /// that key. Returns the mirrors that are held from now on.
    pub(super) fn weigh(
        &mut self,
        rank: Rank,
        (service, key): (ObjectKey, MirrorKey),
        by: By,
    ) -> AffectedKeys {
        match by {
            By::Event => {}
            By::List | By::Configuration => return AffectedKeys::new(),
        }
        if self.is_admitted(rank, &service) {
            self.source_mut(rank).service_hold.has(&service);
            // It may be back without its endpoints.
            return self.weigh_slices(rank, vec![service]);
        }
        let its = Its::of(&self.policy, rank);
        let local = &self.local;
        if !its.has_service(local, &service, &key) {
            return AffectedKeys::new();
        }
        let left = Left {
            n: self.claims.n_admitted(rank),
            exists: |service: &ObjectKey, key: &MirrorKey| its.has_service(local, service, key),
            confirms: self.policy.confirm_deletions,
        };
        let lost = Mirrored {
            service,
            local: key,
        };
        let hold = &mut self.sources[rank.index()].service_hold;
        hold.event(lost, &left, self.now).into_iter().collect()
    }

    /// Tells the hold of a source what became of the slices of some of its Services. Returns
    /// the keys to plan again.
    pub(super) fn weigh_slices(&mut self, rank: Rank, services: Vec<ObjectKey>) -> AffectedKeys {
        let mut affected = self.claimed(rank, &services);
        for service in services {
            affected.extend(self.weigh_endpoints(rank, service));
        }
        affected
    }

    fn weigh_endpoints(&mut self, rank: Rank, service: ObjectKey) -> Vec<MirrorKey> {
        let Some(slices) = self.source(rank).slices.known() else {
            return Vec::new();
        };
        if slices.states(&service) {
            self.source_mut(rank).slice_hold.has(&service);
            return Vec::new();
        }
        let n = slices.n_services();
        let its = Its::of(&self.policy, rank);
        let (local, key) = (&self.local, self.key_of(rank, &service));
        // The slices of a Service that is deleted go with it.
        let stays = self.is_admitted(rank, &service)
            || self.source(rank).service_hold.holds(&service).is_some();
        if !stays || !its.has_slices(local, &service, &key) {
            return Vec::new();
        }
        let left = Left {
            n,
            exists: |service: &ObjectKey, key: &MirrorKey| its.has_slices(local, service, key),
            confirms: self.policy.confirm_deletions,
        };
        let lost = Mirrored {
            service,
            local: key,
        };
        let hold = &mut self.sources[rank.index()].slice_hold;
        hold.event(lost, &left, self.now)
    }

    /// Compares a source's listed Services with its mirrors, or with the global Services that
    /// name it. `refused` are those that the list changed to something that is refused.
    /// Without a full picture of both there is nothing to judge.
    pub(super) fn evaluate_services(
        &mut self,
        rank: Rank,
        refused: &HashSet<ObjectKey>,
        judging: Judging,
    ) {
        let SourceState::Synced(services) = &self.source(rank).services else {
            return;
        };
        if !self.local.is_listed() {
            return;
        }
        let its = Its::of(&self.policy, rank);
        // What was refused and is held, is refused still.
        let held = &self.source(rank).service_hold;
        let held = held.held_services();
        let held = held.filter(|it| services.contains_key(*it) && !self.is_admitted(rank, it));
        let refused: HashSet<_> = refused.iter().chain(held).cloned().collect();
        let mirrors = self.local.services();
        let mirrors =
            mirrors.filter(|(_, it)| its.is_service(it) || self.is_inherited(rank, &it.owner));
        let (mut gone, mut n_left) = (HashSet::new(), 0);
        for (key, observed) in mirrors {
            let original = observed.owner.service.as_ref();
            match original.filter(|it| !services.contains_key(it) || refused.contains(it)) {
                None => n_left += 1,
                Some(service) => {
                    gone.insert(Mirrored {
                        service: service.clone(),
                        local: MirrorKey::new(key.clone()),
                    });
                }
            }
        }
        let now = self.now;
        let source = &mut self.sources[rank.index()];
        let services = source.services.known();
        let has = |it: &ObjectKey| services.is_some_and(|all| all.contains_key(it));
        let hold = &mut source.service_hold;
        hold.clear(|it| has(it) && !refused.contains(it));
        let list = Judged {
            gone: &gone,
            n_left,
            confirms: self.policy.confirm_deletions,
            is_new: judging == Judging::NewList,
        };
        hold.list(&list, now);
    }

    /// Returns whether a mirror is of the same cluster under a name that is not configured any
    /// more.
    fn is_inherited(&self, rank: Rank, owner: &SourceReference) -> bool {
        let source = self.source(rank);
        self.policy.removed_sources == RemovedSources::Delete
            && self.policy.role(rank) == owner.role
            && source.cluster.is_some()
            && source.cluster == owner.cluster
            && owner.source.is_some()
            && self.policy.rank_of(owner).is_none()
    }

    /// Compares a source's listed slices with those in the local cluster: a Service that has none
    /// any more has lost its endpoints. Slices that were replaced by others are no loss.
    pub(super) fn evaluate_slices(&mut self, rank: Rank, judging: Judging) {
        let SourceState::Synced(slices) = &self.source(rank).slices else {
            return;
        };
        if !self.local.is_listed() {
            return;
        }
        let its = Its::of(&self.policy, rank);
        let (mut gone, mut left) = (HashSet::new(), HashSet::new());
        for (_, observed) in self.local.slices() {
            let Some(service) = its.slice_of(&observed.owner) else {
                continue;
            };
            if slices.states(service) {
                left.insert(service.clone());
            } else if let Some(local) = &observed.owner.attached_to {
                gone.insert(Mirrored {
                    service: service.clone(),
                    local: local.clone(),
                });
            }
        }
        let now = self.now;
        let source = &mut self.sources[rank.index()];
        let slices = source.slices.known();
        let hold = &mut source.slice_hold;
        hold.clear(|it| slices.is_some_and(|all: &Slices| all.states(it)));
        let list = Judged {
            gone: &gone,
            n_left: left.len(),
            confirms: self.policy.confirm_deletions,
            is_new: judging == Judging::NewList,
        };
        hold.list(&list, now);
    }
}
