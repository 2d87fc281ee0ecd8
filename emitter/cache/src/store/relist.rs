//! A list replaces what was known, as the fewest changes.

use std::sync::Arc;

use jiff::Timestamp;
use proto_types::object::ParseError;
use proto_types::{ObjectKey, RawObject, Revision};

use super::{Entry, OrdMap, Store};
use crate::Change;

/// What a list did to a store.
#[derive(Debug)]
pub enum Replaced {
    /// It was the first, or it follows another history: what was known before says
    /// nothing about it, and who watched must list again.
    Fresh,
    /// It continues the history: these changes were missed.
    Continued(Vec<Arc<Change>>),
}

impl Store {
    /// Takes a completed list for the whole truth at its revision. Objects that
    /// cannot be read are returned, and are as if they were not there.
    ///
    /// Where the history continues, watchers need not notice: they get what was
    /// missed in the order of its revisions, and deletions, whose revisions the
    /// upstream no longer tells, at the list's.
    pub fn replace(
        &mut self,
        revision: Revision,
        objects: Vec<RawObject>,
        now: Timestamp,
    ) -> (Replaced, Vec<ParseError>) {
        let mut unreadable = Vec::new();
        let entries = objects
            .into_iter()
            .filter_map(|object| {
                Entry::new(self.form, &self.fields, object)
                    .map_err(|why| unreadable.push(why))
                    .ok()
            })
            .map(|entry| (entry.key().clone(), Arc::new(entry)));
        let listed: OrdMap<_, Arc<Entry>> = entries.collect();
        listed.values().for_each(|entry| self.note_misfit(entry));
        let replaced = match self.progress {
            Some(progress) if progress <= revision && self.continues(&listed, progress) => {
                self.catch_up(revision, &listed, now)
            }
            _ => {
                self.forget_history(revision);
                self.objects = listed;
                Replaced::Fresh
            }
        };
        self.progress = Some(revision);
        (replaced, unreadable)
    }

    /// Whether all that differs happened after what was known: a change that we
    /// should have seen, and did not, cannot be told in its place any more.
    fn continues(&self, listed: &OrdMap<ObjectKey, Arc<Entry>>, progress: Revision) -> bool {
        listed.iter().all(|(key, entry)| {
            progress < entry.revision() || self.objects.get(key).is_some_and(|it| it == entry)
        })
    }

    fn catch_up(
        &mut self,
        revision: Revision,
        listed: &OrdMap<ObjectKey, Arc<Entry>>,
        now: Timestamp,
    ) -> Replaced {
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

        let mut changes = Vec::with_capacity(newer.len() + gone.len());
        for entry in newer {
            let before = self.objects.insert(entry.key().clone(), Arc::clone(entry));
            let at = entry.revision();
            changes.push(self.record(at, now, before, Some(Arc::clone(entry))));
        }
        for entry in gone {
            self.objects.remove(entry.key());
            changes.push(self.record(revision, now, Some(entry), None));
        }
        Replaced::Continued(changes)
    }
}
