//! Changes of the Services and slices of sources.

use std::collections::HashSet;

use proto_types::ObjectKey;

use super::{By, Judging, Touched, World};
use crate::policy::Rank;
use crate::source::{Change, Exported, Services, Slices, SourceService, SourceSlice, SourceState};

impl World {
    pub(crate) fn hear_services(
        &mut self,
        rank: Option<Rank>,
        change: Change<SourceService>,
    ) -> Touched {
        let Some(rank) = rank else {
            return Touched::new();
        };
        if change.is_contact() {
            self.source_mut(rank).services_heard = self.now;
        }
        let mut touched = self.update_services(rank, change);
        touched.extend(self.judge_age(rank));
        touched
    }

    pub(crate) fn hear_slices(
        &mut self,
        rank: Option<Rank>,
        change: Change<SourceSlice>,
    ) -> Touched {
        let Some(rank) = rank else {
            return Touched::new();
        };
        if change.is_contact() {
            self.source_mut(rank).slices_heard = self.now;
        }
        let mut touched = self.update_slices(rank, change);
        touched.extend(self.judge_age(rank));
        touched
    }

    fn update_services(&mut self, rank: Rank, change: Change<SourceService>) -> Touched {
        match change {
            Change::Listed(services) => self.list_services(rank, services),
            Change::ListedInPart(services) => self.add_services(rank, services),
            Change::Applied(service) => match service.object {
                Some(spec) => {
                    let known = self.source_mut(rank).services.known_mut();
                    let Some(known) = known else {
                        return Touched::new();
                    };
                    let is_new = known.insert(service.key.clone(), spec).is_none();
                    let touched = self.claim(rank, service.key.clone(), By::Event);
                    if is_new {
                        self.await_slices(rank, &service.key);
                    }
                    touched
                }
                None => self.delete_service(rank, service.key),
            },
            Change::Deleted(key) => self.delete_service(rank, key),
            Change::Connected => {
                let source = self.source(rank);
                if source.services.is_synced() || source.services_in_part {
                    return Touched::new();
                }
                self.source_mut(rank).services.resume();
                self.homes_of(rank)
            }
            Change::Heard => Touched::new(),
            Change::Ended | Change::Lost => {
                self.source_mut(rank).services.lose();
                Touched::new()
            }
        }
    }

    fn list_services(&mut self, rank: Rank, services: Vec<Exported<SourceService>>) -> Touched {
        let services: Services = services
            .into_iter()
            .filter_map(|service| Some((service.key, service.object?)))
            .collect();
        let keys: Vec<_> = services.keys().cloned().collect();
        self.source_mut(rank).services_in_part = false;
        let state = &mut self.source_mut(rank).services;
        let before = std::mem::replace(state, SourceState::Synced(services));
        let mut touched = self.homes_of(rank);
        let mut admitted = HashSet::new();
        for key in before.known().into_iter().flat_map(|it| it.keys()) {
            if self.is_admitted(rank, key) {
                admitted.insert(key.clone());
            }
            touched.extend(self.unclaim(rank, key.clone(), By::List));
        }
        let was_known = before.known();
        for key in keys {
            touched.extend(self.claim(rank, key.clone(), By::List));
            if was_known.is_none_or(|it| !it.contains_key(&key)) {
                self.await_slices(rank, &key);
            }
        }
        // What the source changed to something that is refused, it took away.
        admitted.retain(|it| !self.is_admitted(rank, it));
        self.judge_services(rank, &admitted, Judging::NewList);
        self.judge_slices(rank, Judging::LastList);
        touched
    }

    /// Adds and changes what a list contains. What it lacks may exist.
    fn add_services(&mut self, rank: Rank, services: Vec<Exported<SourceService>>) -> Touched {
        self.source_mut(rank).services_in_part = true;
        self.source_mut(rank).services.lost_mut();
        let mut touched = self.homes_of(rank);
        let added = services
            .into_iter()
            .filter(|service| service.object.is_some());
        for service in added {
            touched.extend(self.update_services(rank, Change::Applied(service)));
        }
        touched
    }

    fn delete_service(&mut self, rank: Rank, key: ObjectKey) -> Touched {
        if let Some(known) = self.source_mut(rank).services.known_mut() {
            known.remove(&key);
        }
        self.unclaim(rank, key, By::Event)
    }

    fn update_slices(&mut self, rank: Rank, change: Change<SourceSlice>) -> Touched {
        let source = self.source_mut(rank);
        source.slices_in_part |= matches!(change, Change::ListedInPart(_));
        let is_in_part = source.slices_in_part;
        let slices = &mut source.slices;
        let services = match change {
            Change::Listed(listed) => return self.list_slices(rank, Slices::new(listed)),
            Change::ListedInPart(listed) => {
                let known = slices.lost_mut();
                Some(listed.into_iter().flat_map(|it| known.set(it)).collect())
            }
            Change::Applied(slice) => slices.known_mut().map(|known| known.set(slice)),
            Change::Deleted(key) => slices.known_mut().map(|known| known.remove(&key)),
            Change::Connected if slices.is_synced() || is_in_part => None,
            Change::Connected => {
                slices.resume();
                return self.homes_of(rank);
            }
            Change::Heard => None,
            Change::Ended | Change::Lost => {
                slices.lose();
                None
            }
        };
        self.weigh_slices(rank, services.unwrap_or_default())
    }

    pub(super) fn list_slices(&mut self, rank: Rank, listed: Slices) -> Touched {
        self.source_mut(rank).slices_in_part = false;
        let slices = &mut self.source_mut(rank).slices;
        let before = std::mem::replace(slices, SourceState::Synced(listed));
        self.judge_slices(rank, Judging::NewList);
        let slices = &self.source(rank).slices;
        let known = [before.known(), slices.known()].into_iter().flatten();
        let services: Vec<_> = known.flat_map(Slices::services).cloned().collect();
        let mut touched = self.homes_of(rank);
        touched.extend(self.claimed(rank, &services));
        touched
    }
}
