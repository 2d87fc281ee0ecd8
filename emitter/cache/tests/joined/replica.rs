//! A replica that reads an upstream.

use std::sync::Arc;

use bytes::Bytes;

use emitter_cache::change::Placed;
use emitter_cache::event_buffer::{EncodedEvent, FrameKind};
use emitter_cache::joined::{Passed, Progress};
use emitter_cache::store::{Applied, RelistOutcome};
use emitter_cache::view_filter::{IndexedService, ServiceIndex};
use emitter_cache::{Change, Fields, Joined, Limits, Store};
use proto_types::{ObjectKey, RawObject, Resource, ResourceVersion};

use crate::upstream::Upstream;
use crate::{NOW, view};

/// An event as an event buffer carries it.
#[derive(Clone)]
pub(crate) enum Fed {
    Change(Option<Arc<Change>>, EncodedEvent),
    /// The event buffer ends: consumers list.
    Gone,
}

pub(crate) struct Replica {
    pub(crate) owners: Arc<ServiceIndex>,
    pub(crate) store: Store,
    pub(crate) joined: Joined,
    /// Number of events that were read, of each resource.
    pub(crate) read: [usize; 2],
    pub(crate) feed: Vec<Fed>,
}

impl Replica {
    pub(crate) fn new() -> Self {
        let owners = Arc::<ServiceIndex>::default();
        Self {
            store: Store::new(Resource::EndpointSlices, Fields::All, Limits::default()),
            joined: Joined::new(Arc::clone(&owners)),
            owners,
            read: [0; 2],
            feed: Vec::new(),
        }
    }

    pub(crate) fn list(&mut self, upstream: &Upstream, resource: usize) {
        let revision = ResourceVersion::new(upstream.revision);
        let objects = upstream.objects[resource].values();
        self.read[resource] = upstream.events[resource].len();
        if resource == 0 {
            let listed = objects.map(|it| {
                (
                    it.key.clone(),
                    IndexedService::read(it).unwrap(),
                    it.revision,
                )
            });
            self.owners.replace(revision, listed.collect());
        } else {
            let (replaced, _) = self
                .store
                .replace(revision, objects.cloned().collect(), NOW);
            match replaced {
                RelistOutcome::Fresh(_) => self.feed.push(Fed::Gone),
                RelistOutcome::Continued { after, .. } => self.gap(after, revision),
            }
        }
        self.advance();
    }

    pub(crate) fn read(&mut self, upstream: &Upstream, resource: usize, n: usize) {
        for _ in 0..n {
            let events = &upstream.events[resource];
            match events.get(self.read[resource]) {
                Some((revision, key, object)) => {
                    self.read[resource] += 1;
                    self.take(
                        resource,
                        ResourceVersion::new(*revision),
                        key,
                        object.clone(),
                    );
                }
                None => {
                    let revision = ResourceVersion::new(upstream.revision);
                    match resource {
                        0 => self.owners.advance(revision),
                        _ => drop(self.store.advance(revision)),
                    }
                }
            }
            self.advance();
        }
    }

    pub(crate) fn take(
        &mut self,
        resource: usize,
        revision: ResourceVersion,
        key: &ObjectKey,
        object: Option<RawObject>,
    ) {
        match (resource, object) {
            (0, Some(object)) => {
                let owner = IndexedService::read(&object).unwrap();
                self.owners.set(key, owner, revision);
                self.owners.advance(revision);
            }
            (0, None) => {
                self.owners.remove(key, revision);
                self.owners.advance(revision);
            }
            (_, Some(object)) => match self.store.set(object, NOW).unwrap() {
                Applied::Fresh => self.feed.push(Fed::Gone),
                Applied::Unchanged | Applied::Changed(_) => {}
            },
            (_, None) => drop(self.store.remove(key, revision, NOW)),
        }
    }

    pub(crate) fn gap(&mut self, after: ResourceVersion, until: ResourceVersion) {
        let frame = EncodedEvent {
            revision: after,
            kind: FrameKind::Gap { until },
            bytes: Bytes::new().into(),
        };
        self.feed.push(Fed::Change(None, frame));
    }

    pub(crate) fn advance(&mut self) {
        match self.joined.advance(&self.store) {
            Progress::Unknown => {}
            Progress::Fresh => self.feed.push(Fed::Gone),
            Progress::Passed(steps) => {
                for step in steps {
                    match step {
                        Passed::Change(change) => {
                            let kind = match change.placed {
                                Placed::At => FrameKind::Change,
                                Placed::After => FrameKind::Missed {
                                    until: self.store.end_of_gap(change.revision),
                                },
                            };
                            let frame = EncodedEvent {
                                revision: change.revision,
                                kind,
                                bytes: Bytes::new().into(),
                            };
                            self.feed.push(Fed::Change(Some(change), frame));
                        }
                        Passed::Turn(turn) if turn.concerns(&view(&self.owners).grant) => {
                            self.feed.push(Fed::Gone);
                        }
                        Passed::Turn(_) => {}
                        Passed::Blind(blind) => self.gap(blind.after, blind.until),
                    }
                }
            }
        }
    }
}
