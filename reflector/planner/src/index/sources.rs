//! Changes of the Services and slices of sources.

use std::collections::HashSet;

use proto_types::ObjectKey;

use super::{AffectedKeys, By, Index, Judging};
use crate::policy::Rank;
use crate::source::{Change, Exported, Services, Slices, SourceService, SourceSlice, SourceState};

impl Index {
    pub(crate) fn apply_services(
        &mut self,
        rank: Option<Rank>,
        change: Change<SourceService>,
    ) -> AffectedKeys {
        let Some(rank) = rank else {
            return AffectedKeys::new();
        };
        if change.is_contact() {
            self.source_mut(rank).services_heard = self.now;
        }
        let mut affected = self.update_services(rank, change);
        affected.extend(self.evaluate_staleness(rank));
        affected
    }

    pub(crate) fn apply_slices(
        &mut self,
        rank: Option<Rank>,
        change: Change<SourceSlice>,
    ) -> AffectedKeys {
        let Some(rank) = rank else {
            return AffectedKeys::new();
        };
        if change.is_contact() {
            self.source_mut(rank).slices_heard = self.now;
        }
        let mut affected = self.update_slices(rank, change);
        affected.extend(self.evaluate_staleness(rank));
        affected
    }

    fn update_services(&mut self, rank: Rank, change: Change<SourceService>) -> AffectedKeys {
        match change {
            Change::Listed(services) => self.list_services(rank, services),
            Change::ListedInPart(services) => self.add_services(rank, services),
            Change::Applied(service) => match service.object {
                Some(spec) => {
                    let known = self.source_mut(rank).services.known_mut();
                    let Some(known) = known else {
                        return AffectedKeys::new();
                    };
                    let is_new = known.insert(service.key.clone(), spec).is_none();
                    let affected = self.claim(rank, service.key.clone(), By::Event);
                    if is_new {
                        self.await_slices(rank, &service.key);
                    }
                    affected
                }
                None => self.delete_service(rank, service.key),
            },
            Change::Deleted(key) => self.delete_service(rank, key),
            Change::Connected => {
                let source = self.source(rank);
                if source.services.is_synced() || source.services_in_part {
                    return AffectedKeys::new();
                }
                self.source_mut(rank).services.resume();
                self.keys_of(rank)
            }
            Change::Heard => AffectedKeys::new(),
            Change::Ended | Change::Lost => {
                self.source_mut(rank).services.mark_stale();
                AffectedKeys::new()
            }
        }
    }

    fn list_services(
        &mut self,
        rank: Rank,
        services: Vec<Exported<SourceService>>,
    ) -> AffectedKeys {
        let services: Services = services
            .into_iter()
            .filter_map(|service| Some((service.key, service.object?)))
            .collect();
        let keys: Vec<_> = services.keys().cloned().collect();
        self.source_mut(rank).services_in_part = false;
        let state = &mut self.source_mut(rank).services;
        let before = std::mem::replace(state, SourceState::Synced(services));
        let mut affected = self.keys_of(rank);
        let mut admitted = HashSet::new();
        for key in before.known().into_iter().flat_map(|it| it.keys()) {
            if self.is_admitted(rank, key) {
                admitted.insert(key.clone());
            }
            affected.extend(self.unclaim(rank, key.clone(), By::List));
        }
        let was_known = before.known();
        for key in keys {
            affected.extend(self.claim(rank, key.clone(), By::List));
            if was_known.is_none_or(|it| !it.contains_key(&key)) {
                self.await_slices(rank, &key);
            }
        }
        // What the source changed to something that is refused, it took away.
        admitted.retain(|it| !self.is_admitted(rank, it));
        self.evaluate_services(rank, &admitted, Judging::NewList);
        self.evaluate_slices(rank, Judging::LastList);
        affected
    }

    /// Adds and changes what a list contains. What it lacks may exist.
    fn add_services(&mut self, rank: Rank, services: Vec<Exported<SourceService>>) -> AffectedKeys {
        self.source_mut(rank).services_in_part = true;
        self.source_mut(rank).services.stale_mut();
        let mut affected = self.keys_of(rank);
        let added = services
            .into_iter()
            .filter(|service| service.object.is_some());
        for service in added {
            affected.extend(self.update_services(rank, Change::Applied(service)));
        }
        affected
    }

    fn delete_service(&mut self, rank: Rank, key: ObjectKey) -> AffectedKeys {
        if let Some(known) = self.source_mut(rank).services.known_mut() {
            known.remove(&key);
        }
        self.unclaim(rank, key, By::Event)
    }

    fn update_slices(&mut self, rank: Rank, change: Change<SourceSlice>) -> AffectedKeys {
        let source = self.source_mut(rank);
        source.slices_in_part |= matches!(change, Change::ListedInPart(_));
        let is_in_part = source.slices_in_part;
        let slices = &mut source.slices;
        let services = match change {
            Change::Listed(listed) => return self.list_slices(rank, Slices::new(listed)),
            Change::ListedInPart(listed) => {
                let known = slices.stale_mut();
                Some(listed.into_iter().flat_map(|it| known.set(it)).collect())
            }
            Change::Applied(slice) => slices.known_mut().map(|known| known.set(slice)),
            Change::Deleted(key) => slices.known_mut().map(|known| known.remove(&key)),
            Change::Connected if slices.is_synced() || is_in_part => None,
            Change::Connected => {
                slices.resume();
                return self.keys_of(rank);
            }
            Change::Heard => None,
            Change::Ended | Change::Lost => {
                slices.mark_stale();
                None
            }
        };
        self.weigh_slices(rank, services.unwrap_or_default())
    }

    pub(super) fn list_slices(&mut self, rank: Rank, listed: Slices) -> AffectedKeys {
        self.source_mut(rank).slices_in_part = false;
        let slices = &mut self.source_mut(rank).slices;
        let before = std::mem::replace(slices, SourceState::Synced(listed));
        self.evaluate_slices(rank, Judging::NewList);
        let slices = &self.source(rank).slices;
        let known = [before.known(), slices.known()].into_iter().flatten();
        let services: Vec<_> = known.flat_map(Slices::services).cloned().collect();
        let mut affected = self.keys_of(rank);
        affected.extend(self.claimed(rank, &services));
        affected
    }
}
