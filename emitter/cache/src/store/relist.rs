//! Replacement of the objects by a list, as the fewest changes.

use std::sync::Arc;

use jiff::Timestamp;
use proto_types::object::ParseError;
use proto_types::{ObjectKey, RawObject, ResourceVersion};

use super::{Entry, OrdMap, Store};
use crate::Change;
use crate::change::{Placed, Step};

/// Effect of a list on a store.
#[derive(Debug)]
pub enum RelistOutcome {
    /// History starts again, and every consumer must list.
    Fresh(Beginning),
    /// The list continues the history. These changes were missed.
    Continued {
        /// In the order in which consumers receive them.
        changes: Vec<Arc<Change>>,
        /// Former progress: between it and the list, resource versions cannot be resumed.
        after: ResourceVersion,
    },
}

/// Reason why a list starts a new history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// The list is the first.
    First,
    /// The list is older than what was known.
    Rewound,
    /// The list differs at a resource version that was already complete.
    Contradicted,
    /// The list shows an object whose labels changed. A view that showed it may show it no more,
    /// since a resource version that is not known: no event has a place for that.
    Relabelled,
    /// The list lacks much of what was known. Consumers have to decide by a list of their own, and
    /// by its evidence, whether they accept that.
    Lost {
        /// Number of objects that the list lacks.
        n_lost: usize,
        /// Number of objects that were known.
        n_known: usize,
    },
}

/// Meaning of what a list lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absences {
    /// It does not exist.
    Count,
    /// It is not known.
    Ignored,
}

/// Least number of missing objects that begins a new history. Fewer are reported as deletions,
/// unless nothing is left.
const MIN_LOST: usize = 3;

/// Number of known objects for each one that a list may lack.
const KNOWN_PER_LOST: usize = 4;

impl Store {
    /// Takes a completed list as the whole truth at its resource version. Returns objects that
    /// cannot be read; a former version of such an object stays.
    ///
    /// If the history continues, consumers receive the missed changes: first the deletions, whose
    /// resource versions the list does not show, at the last resource version before the list, then
    /// new and changed objects at their own resource versions. So each event promises no more than
    /// its receiver has. The last deletion comes at the resource version of the list where nothing
    /// follows it.
    pub fn replace(
        &mut self,
        revision: ResourceVersion,
        objects: Vec<RawObject>,
        now: Timestamp,
    ) -> (RelistOutcome, Vec<ParseError>) {
        self.take(revision, objects, now, Absences::Count)
    }

    /// Takes a list as true in what it has, and as unknown in what it lacks.
    pub fn add(
        &mut self,
        revision: ResourceVersion,
        objects: Vec<RawObject>,
        now: Timestamp,
    ) -> (RelistOutcome, Vec<ParseError>) {
        self.take(revision, objects, now, Absences::Ignored)
    }

    fn take(
        &mut self,
        revision: ResourceVersion,
        objects: Vec<RawObject>,
        now: Timestamp,
        absences: Absences,
    ) -> (RelistOutcome, Vec<ParseError>) {
        let mut unreadable = Vec::new();
        let entries = objects.into_iter().filter_map(|object| {
            let key = object.key.clone();
            match Entry::new(self.form, &self.fields, object) {
                Ok(entry) => Some((key, Arc::new(entry))),
                Err(why) => {
                    unreadable.push(why);
                    let former = self.objects.get(&key).cloned();
                    former.map(|former| (key, former))
                }
            }
        });
        let mut listed: OrdMap<_, Arc<Entry>> = entries.collect();
        if absences == Absences::Ignored {
            listed = listed.union(self.objects.clone());
        }
        listed.values().for_each(|entry| self.note_misfit(entry));
        let replaced = match self.beginning(revision, &listed) {
            Some(beginning) => {
                self.begin_anew(revision);
                match beginning {
                    Beginning::Rewound | Beginning::Contradicted => self.distrust_all(now),
                    Beginning::First | Beginning::Relabelled | Beginning::Lost { .. } => {}
                }
                self.objects = listed;
                RelistOutcome::Fresh(beginning)
            }
            None => self.catch_up(revision, &listed, now),
        };
        self.progress = Some(revision);
        (replaced, unreadable)
    }

    /// Returns why a list cannot continue the history; `None` if it can.
    fn beginning(
        &self,
        revision: ResourceVersion,
        listed: &OrdMap<ObjectKey, Arc<Entry>>,
    ) -> Option<Beginning> {
        let Some(progress) = self.progress else {
            return Some(Beginning::First);
        };
        if revision < progress {
            return Some(Beginning::Rewound);
        }
        let n_known = self.objects.len();
        let is_lost = |key: &&ObjectKey| !listed.contains_key(*key);
        let n_lost = self.objects.keys().filter(is_lost).count();
        // A change that should have been seen, and was not, has no place in history.
        let contradicts = |(key, entry): (&ObjectKey, &Arc<Entry>)| {
            entry.revision() <= progress && self.objects.get(key).is_none_or(|it| it != entry)
        };
        if revision == progress && 0 < n_lost || listed.iter().any(contradicts) {
            return Some(Beginning::Contradicted);
        }
        let is_relabelled = |(key, entry): (&ObjectKey, &Arc<Entry>)| {
            let known = self.objects.get(key);
            known.is_some_and(|it| !it.is_selected_like(entry))
        };
        if listed.iter().any(is_relabelled) {
            return Some(Beginning::Relabelled);
        }
        let is_much = MIN_LOST <= n_lost && n_known < KNOWN_PER_LOST * n_lost;
        let is_all = 0 < n_known && n_lost == n_known;
        (is_much || is_all).then_some(Beginning::Lost { n_lost, n_known })
    }

    fn catch_up(
        &mut self,
        revision: ResourceVersion,
        listed: &OrdMap<ObjectKey, Arc<Entry>>,
        now: Timestamp,
    ) -> RelistOutcome {
        let mut newer: Vec<&Arc<Entry>> = listed
            .iter()
            .filter(|(key, entry)| self.objects.get(*key) != Some(*entry))
            .map(|(_, entry)| entry)
            .collect();
        newer.sort_by_key(|entry| entry.revision());
        let gone: Vec<Arc<Entry>> = self
            .objects
            .iter()
            .filter(|(key, _)| !listed.contains_key(*key))
            .map(|(_, entry)| Arc::clone(entry))
            .collect();
        let progress = self.progress.unwrap_or_default();
        let n_placed = gone.len() - usize::from(newer.is_empty() && !gone.is_empty());

        let mut changes = Vec::with_capacity(newer.len() + gone.len());
        for (i, entry) in gone.into_iter().enumerate() {
            self.objects.remove(entry.key());
            let (revision, placed) = match i < n_placed {
                true => (progress, Placed::After),
                false => (revision, Placed::At),
            };
            let before = Some(entry);
            let step = Step {
                revision,
                placed,
                before,
                after: None,
            };
            changes.push(self.record(step, now));
        }
        for entry in newer {
            let before = self.objects.insert(entry.key().clone(), Arc::clone(entry));
            let step = Step {
                revision: entry.revision(),
                placed: Placed::At,
                before,
                after: Some(Arc::clone(entry)),
            };
            changes.push(self.record(step, now));
        }
        // Changes between the two are unknown.
        self.gaps.push(progress, revision);
        RelistOutcome::Continued {
            changes,
            after: progress,
        }
    }
}
