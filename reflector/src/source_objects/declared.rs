//! Evidence that a Source was deleted.
//!
//! A user who deletes the CustomResourceDefinition deletes all Sources with it, and means none of
//! them. A Source is deleted only if the CRD under which it was seen is still the one that the API
//! server serves: the same UID, and no deletion of it has begun. Kubernetes cannot take such a
//! deletion back, so the CRD was whole in between.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

/// Time for which a deleted Source still counts.
pub(super) const DELETED_AFTER: Duration = Duration::from_secs(10);

/// UID of a CRD that could not be read. It is no evidence.
const UNREAD: &str = "";

/// Sources that were declared, and were not deleted as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Declared {
    /// UID of the CRD under which each was seen last.
    crds: BTreeMap<Box<str>, Box<str>>,
    /// Sources that are missing, and the time at which this is judged.
    due: HashMap<Box<str>, Instant>,
    /// Sources that are missing since another CRD was served.
    held: BTreeSet<Box<str>>,
}

impl Declared {
    /// Notes that a Source exists under that CRD.
    pub(super) fn seen(&mut self, name: &str, crd: Option<&str>) {
        self.due.remove(name);
        self.held.remove(name);
        let crd = crd.unwrap_or(UNREAD).into();
        self.crds.insert(name.into(), crd);
    }

    /// Notes that a Source is missing.
    pub(super) fn missing(&mut self, name: &str, now: Instant) {
        if self.crds.contains_key(name) && !self.held.contains(name) {
            let until = now + DELETED_AFTER;
            self.due.entry(name.into()).or_insert(until);
        }
    }

    /// Takes over what was recorded before a restart. What was seen since is newer.
    pub(super) fn recall(&mut self, recorded: &str) {
        for (name, crd) in parse(recorded) {
            self.crds.entry(name).or_insert(crd);
        }
    }

    /// Returns what is to be recorded: the names by the UID of the CRD.
    pub(super) fn record(&self) -> String {
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, crd) in &self.crds {
            names.entry(crd).or_default().push(name);
        }
        serde_json::to_string(&names).unwrap_or_default()
    }

    /// Returns the time of the next judgment.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Defers judgments for which the CRD could not be read.
    pub(super) fn postpone(&mut self, now: Instant) {
        let later = now + DELETED_AFTER;
        for due in self.due.values_mut() {
            *due = later.max(*due);
        }
    }

    /// Judges the Sources whose time is over, with the UID of a CRD that is whole. Returns those
    /// that were deleted, and those that are held.
    pub(super) fn evaluate(&mut self, crd: &str, now: Instant) -> (Vec<Box<str>>, Vec<Box<str>>) {
        let over = self.due.iter().filter(|(_, due)| **due <= now);
        let over: Vec<_> = over.map(|(name, _)| name.clone()).collect();
        let of = |name: &str| self.crds.get(name).map(|it| &**it);
        let (deleted, held): (Vec<_>, Vec<_>) =
            over.into_iter().partition(|it| of(it) == Some(crd));
        for name in &deleted {
            self.due.remove(name);
            self.crds.remove(name);
        }
        for name in &held {
            self.due.remove(name);
            self.held.insert(name.clone());
        }
        (deleted, held)
    }

    /// Returns whether a Source is missing.
    pub(super) fn is_missing(&self, name: &str) -> bool {
        self.due.contains_key(name) || self.held.contains(name)
    }

    /// Returns the Sources that are declared or held.
    pub(super) fn names(&self) -> impl Iterator<Item = &Box<str>> {
        self.crds.keys()
    }

    /// Returns the Sources that are held.
    pub(super) const fn held(&self) -> &BTreeSet<Box<str>> {
        &self.held
    }
}

/// Sources of a record, each with its CRD. Text that is no record is ignored.
fn parse(recorded: &str) -> Vec<(Box<str>, Box<str>)> {
    let crds = serde_json::from_str::<BTreeMap<Box<str>, Vec<Box<str>>>>(recorded);
    let crds = crds.unwrap_or_default().into_iter();
    let sources = crds.flat_map(|(crd, names)| names.into_iter().map(move |it| (it, crd.clone())));
    sources.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|it| (*it).into()).collect()
    }

    /// Sources `a` and `b` that were seen under a CRD, of which `b` is missing, and the time of
    /// its judgment.
    fn missing(crd: Option<&str>) -> (Declared, Instant) {
        let mut declared = Declared::default();
        declared.seen("a", crd);
        declared.seen("b", crd);
        let now = Instant::now();
        declared.missing("b", now);
        (declared, now + DELETED_AFTER)
    }

    #[tokio::test]
    async fn a_source_that_is_missing_under_the_same_crd_is_deleted_after_some_time() {
        let (mut declared, due) = missing(Some("one"));
        assert_eq!(declared.due(), Some(due));
        let early = due.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(declared.evaluate("one", early), (names(&[]), names(&[])));
        assert!(declared.is_missing("b"));
        assert_eq!(declared.evaluate("one", due), (names(&["b"]), names(&[])));
        assert_eq!(declared.names().collect::<Vec<_>>(), [&"a".into()]);
        assert_eq!(declared.due(), None);
    }

    #[tokio::test]
    async fn a_source_that_is_missing_under_another_crd_is_held_until_it_is_seen_and_deleted() {
        let (mut declared, due) = missing(Some("one"));
        assert_eq!(declared.evaluate("two", due), (names(&[]), names(&["b"])));
        assert_eq!(declared.held().len(), 1);
        // Another list that lacks it is no evidence either.
        declared.missing("b", due);
        assert_eq!(declared.due(), None);
        declared.seen("b", Some("two"));
        assert!(declared.held().is_empty());
        declared.missing("b", due);
        let due = due + DELETED_AFTER;
        assert_eq!(declared.evaluate("two", due), (names(&["b"]), names(&[])));
    }

    #[tokio::test]
    async fn without_a_crd_that_could_be_read_nothing_is_deleted() {
        let (mut declared, due) = missing(None);
        declared.postpone(due);
        assert_eq!(declared.due(), Some(due + DELETED_AFTER));
        let due = due + DELETED_AFTER;
        assert_eq!(declared.evaluate("one", due), (names(&[]), names(&["b"])));
    }

    #[tokio::test]
    async fn a_record_keeps_the_evidence_over_a_restart() {
        let (before, due) = missing(Some("one"));
        assert_eq!(before.names().count(), 2);
        let record = before.record();
        assert_eq!(record, r#"{"one":["a","b"]}"#);
        for (crd, deleted, held) in [
            ("one", names(&["b"]), names(&[])),
            ("two", names(&[]), names(&["b"])),
        ] {
            let mut declared = Declared::default();
            // The first list comes before the record.
            declared.seen("a", Some(crd));
            declared.recall(&record);
            declared.missing("b", due);
            let due = due + DELETED_AFTER;
            assert_eq!(declared.evaluate(crd, due), (deleted, held));
        }
        let mut declared = Declared::default();
        declared.recall("no record");
        assert_eq!(declared, Declared::default());
    }

    #[tokio::test]
    async fn a_source_that_is_held_is_held_after_a_restart_too() {
        let (mut declared, due) = missing(Some("one"));
        declared.evaluate("two", due);
        declared.seen("a", Some("two"));
        let mut again = Declared::default();
        again.recall(&declared.record());
        again.seen("a", Some("two"));
        again.missing("b", due);
        let due = due + DELETED_AFTER;
        assert_eq!(again.evaluate("two", due), (names(&[]), names(&["b"])));
    }
}
