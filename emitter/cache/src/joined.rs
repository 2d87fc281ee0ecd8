//! Objects that Services decide about, in step with the Services.
//!
//! Two resources are read by two watches, and neither is ahead of the other for good. Views by
//! labels or ports of Services show EndpointSlices and Endpoints only up to the *cut*: the last
//! resource version at which both resources are known. So what such a view shows is a function of
//! the resource version, at every replica.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use proto_types::{ObjectKey, ResourceVersion};

use crate::change::Placed;
use crate::store::{Expired, Objects, in_view};
use crate::view::Snapshot;
use crate::view_filter::{Blind, ServiceChange, ServiceIndex, Span, Turn, ViewFilter, service_of};
use crate::{Change, Entry, Store, View};

/// State of one resource at the cut.
#[derive(Debug, Default)]
pub struct Joined {
    owners: Arc<ServiceIndex>,
    cut: Option<Cut>,
    turns: VecDeque<ServiceChange>,
    /// Consumers of earlier resource versions have to list.
    floor: ResourceVersion,
}

#[derive(Debug)]
struct Cut {
    revision: ResourceVersion,
    epochs: (u64, u64),
    objects: Objects,
    /// Services, each with one of its objects.
    by_service: BTreeSet<(ObjectKey, ObjectKey)>,
    /// Position in history of the next change.
    position: u64,
}

/// One step of the cut.
#[derive(Debug)]
pub enum Passed {
    /// An object changed.
    Change(Arc<Change>),
    /// A Service changed.
    Turn(ServiceChange),
    /// Changes of Services may have been missed.
    Blind(Blind),
}

/// Effect of progress of either resource.
#[derive(Debug)]
pub enum Progress {
    /// The cut passed these, in the order of their resource versions.
    Passed(Vec<Passed>),
    /// The cut began again: watches end, and consumers list.
    Fresh,
    /// Nothing is known at one common resource version.
    Unknown,
}

/// Resource whose progress keeps the cut back, while something waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// Nothing waits.
    Nothing,
    /// Changes of objects wait for the Services.
    Services,
    /// Changes of Services wait for the objects.
    Objects,
}

/// Maximum number of changes of Services that are remembered for watches that resume.
const MAX_TURNS: usize = 1000;

impl Joined {
    /// Returns a state that follows those Services.
    #[must_use]
    pub fn new(owners: Arc<ServiceIndex>) -> Self {
        Self {
            owners,
            ..Self::default()
        }
    }

    /// Returns the last resource version at which both resources are known.
    #[must_use]
    pub fn revision(&self) -> Option<ResourceVersion> {
        self.cut.as_ref().map(|cut| cut.revision)
    }

    /// Moves the cut to where both resources are.
    pub fn advance(&mut self, store: &Store) -> Progress {
        let Some((end, span, turns)) = self.known(store) else {
            return Progress::Unknown;
        };
        let epochs = (span.epoch, store.epoch());
        let changes = self.cut.as_ref().filter(|cut| cut.epochs == epochs);
        let changes = changes.and_then(|cut| store.changes_from(cut.position));
        // What a list revealed counts as soon as the cut leaves its resource version.
        let is_passed = |change: &&Arc<Change>| {
            change.revision < end || change.revision == end && change.placed == Placed::At
        };
        let changes = changes.map(|it| it.take_while(is_passed).cloned().collect::<Vec<_>>());
        let Some(changes) = changes else {
            return self.begin(store, (span.begin, end), epochs);
        };
        let Some(cut) = &mut self.cut else {
            return Progress::Unknown;
        };
        let former = cut.revision;
        let mut turns = turns.into_iter().peekable();
        let mut passed = Vec::new();
        for change in changes {
            // A late change belongs right after its resource version.
            let place = (change.revision, change.placed == Placed::After);
            while let Some(turn) = turns.next_if(|turn| (turn.since, false) <= place) {
                passed.push(Passed::Turn(cut.rejoin(turn)));
            }
            cut.apply(&change);
            passed.push(Passed::Change(change));
        }
        passed.extend(turns.map(|turn| Passed::Turn(cut.rejoin(turn))));
        let blind = self.owners.blind_after(former);
        passed.extend(
            blind
                .into_iter()
                .filter(|it| it.after < end)
                .map(Passed::Blind),
        );
        cut.revision = cut.revision.max(end);
        for step in &passed {
            if let Passed::Turn(rejoined) = step {
                self.remember(rejoined.clone());
            }
        }
        Progress::Passed(passed)
    }

    /// Returns the last resource version at which both resources are known, the range in which
    /// Services are known, and their changes from the cut up to there. However many changes wait for
    /// the other resource, they cost nothing.
    fn known(&self, store: &Store) -> Option<(ResourceVersion, Span, Vec<Arc<Turn>>)> {
        let after = self.revision().unwrap_or_default();
        loop {
            let span = self.owners.span()?;
            let end = self.known_before(store, store.progress()?.min(span.end));
            let (now, turns) = self.owners.turns(after, end)?;
            // Services may have changed in the meantime.
            if (now.epoch, now.begin) == (span.epoch, span.begin) {
                return Some((end, span, turns));
            }
        }
    }

    /// Returns the last resource version up to another one at which both states are known exactly:
    /// within a gap neither is.
    fn known_before(&self, store: &Store, revision: ResourceVersion) -> ResourceVersion {
        let mut revision = revision;
        loop {
            let known = store.known_before(revision);
            let known = self.owners.blind(known).map_or(known, |blind| blind.after);
            if known == revision {
                return revision;
            }
            revision = known;
        }
    }

    /// Returns what keeps changes waiting.
    #[must_use]
    pub fn lag(&self, store: &Store) -> Lag {
        let Some(cut) = &self.cut else {
            let end = self.owners.span().map(|span| span.end);
            return match end < store.progress() {
                true => Lag::Services,
                false => Lag::Objects,
            };
        };
        let mut changes = store.changes_from(cut.position);
        if changes.as_mut().is_some_and(|it| it.next().is_some()) {
            return Lag::Services;
        }
        match self.owners.changed_after(cut.revision) {
            true => Lag::Objects,
            false => Lag::Nothing,
        }
    }

    fn begin(
        &mut self,
        store: &Store,
        (begin, end): (ResourceVersion, ResourceVersion),
        epochs: (u64, u64),
    ) -> Progress {
        let had_begun = self.cut.take().is_some();
        self.turns.clear();
        let state = (begin <= end).then(|| store.state_at(end).ok()).flatten();
        let Some((objects, position)) = state else {
            return match had_begun {
                true => Progress::Fresh,
                false => Progress::Unknown,
            };
        };
        let by_service = objects.iter().filter_map(|(key, entry)| {
            let service = service_of(entry)?;
            Some((service, key.clone()))
        });
        let by_service = by_service.collect();
        self.floor = end;
        self.cut = Some(Cut {
            revision: end,
            epochs,
            objects,
            by_service,
            position,
        });
        Progress::Fresh
    }

    fn remember(&mut self, rejoined: ServiceChange) {
        if rejoined.entries.is_empty() {
            return;
        }
        self.turns.push_back(rejoined);
        if MAX_TURNS < self.turns.len()
            && let Some(oldest) = self.turns.pop_front()
        {
            self.floor = self.floor.max(oldest.revision());
        }
    }

    /// Checks that a view changed after a resource version only by changes of its objects.
    pub fn check(&self, grant: &ViewFilter, revision: ResourceVersion) -> Result<(), Expired> {
        if revision < self.floor {
            return Err(Expired { oldest: self.floor });
        }
        if let Some(Blind { until, .. }) = self.owners.blind(revision) {
            return Err(Expired { oldest: until });
        }
        let mut later = self.turns.iter().rev();
        let concerning = later.find(|it| revision < it.revision() && it.concerns(grant));
        concerning.map_or(Ok(()), |it| {
            Err(Expired {
                oldest: it.revision(),
            })
        })
    }

    /// Returns the changes after a resource version that the cut has passed, oldest first.
    pub fn since<'a>(
        &self,
        store: &'a Store,
        revision: ResourceVersion,
    ) -> Result<Vec<&'a Arc<Change>>, Expired> {
        let later = store.since(revision)?;
        let ahead = self
            .cut
            .as_ref()
            .and_then(|it| store.changes_from(it.position));
        let n_ahead = ahead.map_or(usize::MAX, Iterator::count);
        let mut later: Vec<_> = later.collect();
        later.truncate(later.len().saturating_sub(n_ahead));
        Ok(later)
    }

    /// Returns what a view shows at the cut.
    #[must_use]
    pub fn snapshot(&self, view: &View) -> Snapshot {
        match &self.cut {
            Some(cut) => Snapshot {
                revision: cut.revision,
                entries: in_view(&cut.objects, view, cut.revision),
            },
            None => Snapshot {
                revision: ResourceVersion::ZERO,
                entries: Vec::new(),
            },
        }
    }
}

impl Cut {
    fn apply(&mut self, change: &Change) {
        self.position += 1;
        self.revision = self.revision.max(change.revision);
        let pair = |entry: &Entry| Some((service_of(entry)?, entry.key().clone()));
        if let Some(before) = &change.before {
            self.objects.remove(before.key());
            pair(before).map(|it| self.by_service.remove(&it));
        }
        if let Some(after) = &change.after {
            let key = after.key().clone();
            self.objects.insert(key, Arc::clone(after));
            self.by_service.extend(pair(after));
        }
    }

    fn rejoin(&self, turn: Arc<Turn>) -> ServiceChange {
        let first = (turn.service.clone(), ObjectKey::new("", ""));
        let pairs = self.by_service.range(first..);
        let pairs = pairs.take_while(|(service, _)| *service == turn.service);
        let entries = pairs.filter_map(|(_, key)| self.objects.get(key).cloned());
        ServiceChange {
            entries: entries.collect(),
            turn,
        }
    }
}
