//! Services as they were at each resource version of the recent past.
//!
//! Visibility is a function of the resource version: an object at a resource version is judged by
//! its Service at the same resource version. So all replicas show the same at one resource version,
//! however far each of them has read either resource.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::RwLock;
use proto_types::{ObjectKey, ResourceVersion};

use super::{IndexedService, indexed_service};
use crate::Entry;

/// All exported Services, with their recent changes.
#[derive(Debug, Default)]
pub struct ServiceIndex(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    versions: HashMap<ObjectKey, Vec<Version>>,
    turns: VecDeque<Arc<Turn>>,
    span: Option<Span>,
    /// Ranges in which changes were not seen, oldest first.
    blind: VecDeque<Blind>,
}

/// Range of resource versions in which changes of Services were not seen; both ends are outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blind {
    /// Last resource version before the range.
    pub after: ResourceVersion,
    /// First resource version after the range.
    pub until: ResourceVersion,
}

/// Resource versions of one history at which Services are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Number of the history.
    pub epoch: u64,
    /// First resource version.
    pub begin: ResourceVersion,
    /// Last resource version.
    pub end: ResourceVersion,
}

#[derive(Debug)]
struct Version {
    since: ResourceVersion,
    owner: Option<Arc<IndexedService>>,
}

/// Change of the properties of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Service.
    pub service: ObjectKey,
    /// First resource version that is judged by the new properties.
    pub since: ResourceVersion,
    /// First resource version at which the change is certain to have happened; later than `since`
    /// where a list revealed it.
    pub revision: ResourceVersion,
    /// Former properties; absent if there was no such Service.
    pub before: Option<Arc<IndexedService>>,
    /// New properties; absent if the Service is gone.
    pub after: Option<Arc<IndexedService>>,
}

/// Maximum number of ranges that are kept.
const MAX_BLIND: usize = 100;

/// Maximum number of changes that are kept.
const MAX_TURNS: usize = 10_000;

impl ServiceIndex {
    /// Takes in a version of a Service.
    pub fn set(&self, key: &ObjectKey, owner: IndexedService, revision: ResourceVersion) {
        self.0.write().turn(key, Some(owner), revision, revision);
    }

    /// Takes in the deletion of a Service.
    pub fn remove(&self, key: &ObjectKey, revision: ResourceVersion) {
        self.0.write().turn(key, None, revision, revision);
    }

    /// Takes in all Services at a resource version. A list that is older than what was known begins
    /// a new history.
    pub fn replace(
        &self,
        revision: ResourceVersion,
        listed: Vec<(ObjectKey, IndexedService, ResourceVersion)>,
    ) {
        let mut known = self.0.write();
        let end = known.span.map(|span| span.end);
        let Some(end) = end.filter(|end| *end <= revision) else {
            known.begin(revision, listed);
            return;
        };
        let mut listed: HashMap<_, _> = listed
            .into_iter()
            .map(|(key, owner, at)| (key, (owner, at)))
            .collect();
        let gone: Vec<ObjectKey> = known
            .living()
            .filter(|key| !listed.contains_key(*key))
            .cloned()
            .collect();
        let after_end = ResourceVersion::new(end.number() + 1);
        for key in gone {
            known.turn(&key, None, after_end, revision);
        }
        let mut changed: Vec<_> = listed.drain().collect();
        changed.sort_by_key(|(_, (_, at))| *at);
        for (key, (owner, at)) in changed {
            // What became of the Service before that change is not known: objects within the
            // range are judged by what is known now.
            known.turn(&key, Some(owner), after_end, at.max(after_end));
        }
        known.reach(revision);
        known.blind.push_back(Blind {
            after: end,
            until: revision,
        });
        if MAX_BLIND < known.blind.len()
            && let Some(oldest) = known.blind.pop_front()
            && let Some(span) = &mut known.span
        {
            span.begin = span.begin.max(oldest.until);
        }
    }

    /// Returns the range that a resource version is in, in which changes were not seen.
    #[must_use]
    pub fn blind(&self, revision: ResourceVersion) -> Option<Blind> {
        let known = self.0.read();
        let mut blind = known.blind.iter();
        blind
            .find(|it| it.after < revision && revision < it.until)
            .copied()
    }

    /// Returns the ranges that begin after a resource version, or at it.
    #[must_use]
    pub fn blind_after(&self, revision: ResourceVersion) -> Vec<Blind> {
        let known = self.0.read();
        let blind = known.blind.iter();
        blind.filter(|it| revision <= it.after).copied().collect()
    }

    /// Takes in Services of a list whose absences do not count.
    pub fn add(
        &self,
        revision: ResourceVersion,
        listed: Vec<(ObjectKey, IndexedService, ResourceVersion)>,
    ) {
        let mut known = self.0.write();
        if known.span.is_none() {
            known.begin(revision, listed);
            return;
        }
        for (key, owner, at) in listed {
            known.turn(&key, Some(owner), at, at);
        }
    }

    /// Takes in that nothing else happened up to a resource version.
    pub fn advance(&self, revision: ResourceVersion) {
        self.0.write().reach(revision);
    }

    /// Returns the resource versions at which Services are known.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.0.read().span
    }

    /// Returns whether objects are judged again after a resource version.
    #[must_use]
    pub fn changed_after(&self, revision: ResourceVersion) -> bool {
        let known = self.0.read();
        known.turns.back().is_some_and(|it| revision < it.since)
    }

    /// Returns the resource versions at which Services are known, and the changes of Services that
    /// are judged again after a resource version and up to another, in order.
    #[must_use]
    pub fn turns(
        &self,
        after: ResourceVersion,
        until: ResourceVersion,
    ) -> Option<(Span, Vec<Arc<Turn>>)> {
        let known = self.0.read();
        let span = known.span?;
        let first = known.turns.partition_point(|turn| turn.since <= after);
        let later = known.turns.range(first..);
        let until = later.take_while(|turn| turn.since <= until);
        Some((span, until.cloned().collect()))
    }

    /// Returns the Service that decides about an object at a resource version. A Service decides
    /// about itself, by each of its versions.
    pub(super) fn of(&self, entry: &Entry, at: ResourceVersion) -> Option<Arc<IndexedService>> {
        if entry.form().names.plural == "services" {
            return IndexedService::read(entry.object()).ok().map(Arc::new);
        }
        let key = indexed_service::service_of(entry)?;
        let known = self.0.read();
        let versions = known.versions.get(&key)?;
        let version = versions.iter().rev().find(|version| version.since <= at);
        version.and_then(|version| version.owner.clone())
    }
}

impl Known {
    fn living(&self) -> impl Iterator<Item = &ObjectKey> {
        let living = |versions: &Vec<Version>| versions.last().is_some_and(|it| it.owner.is_some());
        let all = self.versions.iter();
        all.filter(move |(_, versions)| living(versions))
            .map(|(key, _)| key)
    }

    fn reach(&mut self, revision: ResourceVersion) {
        if let Some(span) = &mut self.span {
            span.end = span.end.max(revision);
        }
    }

    fn begin(
        &mut self,
        revision: ResourceVersion,
        listed: Vec<(ObjectKey, IndexedService, ResourceVersion)>,
    ) {
        let epoch = self.span.map_or(1, |span| span.epoch + 1);
        self.span = Some(Span {
            epoch,
            begin: revision,
            end: revision,
        });
        self.turns.clear();
        self.blind.clear();
        let versions = listed.into_iter().map(|(key, owner, _)| {
            let first = Version {
                since: ResourceVersion::ZERO,
                owner: Some(Arc::new(owner)),
            };
            (key, vec![first])
        });
        self.versions = versions.collect();
    }

    fn turn(
        &mut self,
        key: &ObjectKey,
        owner: Option<IndexedService>,
        since: ResourceVersion,
        revision: ResourceVersion,
    ) {
        let versions = self.versions.entry(key.clone()).or_default();
        let before = versions.last().and_then(|it| it.owner.clone());
        if before.as_deref() == owner.as_ref() {
            self.reach(revision);
            return;
        }
        // Judged in order: a change that arrives late counts from the end of what is known.
        let end = self.span.map_or(since, |span| span.end);
        let since = match end < since {
            true => since,
            false => ResourceVersion::new(end.number() + 1),
        };
        let after = owner.map(Arc::new);
        versions.push(Version {
            since,
            owner: after.clone(),
        });
        self.turns.push_back(Arc::new(Turn {
            service: key.clone(),
            since,
            revision: revision.max(since),
            before,
            after,
        }));
        if since == revision {
            self.reach(revision);
        }
        self.drop_oldest();
    }

    /// Drops the oldest change beyond the limit: what was before it is not known any more.
    fn drop_oldest(&mut self) {
        if self.turns.len() <= MAX_TURNS {
            return;
        }
        let Some(oldest) = self.turns.pop_front() else {
            return;
        };
        if let Some(span) = &mut self.span {
            span.begin = span.begin.max(oldest.since);
        }
        if let Some(versions) = self.versions.get_mut(&oldest.service) {
            let n_former = versions.partition_point(|it| it.since < oldest.since);
            versions.drain(..n_former);
            if matches!(versions.as_slice(), [only] if only.owner.is_none()) {
                self.versions.remove(&oldest.service);
            }
        }
    }
}
