//! Objects that another resource shows or hides, without an event of their own.

use std::sync::Arc;

use jiff::Timestamp;
use proto_types::object::ParseError;
use proto_types::{ObjectKey, RawObject};

use super::{Entry, Store};
use crate::Change;
use crate::change::{Placed, Step};

impl Store {
    /// Takes in an object that is shown from now on: consumers receive it right after the last
    /// resource version, with the resource version that it has. Returns `None` before the first
    /// list.
    ///
    /// Another replica may have shown it at another resource version. So for a limited time only
    /// those resume that listed here: others may hold a state without it.
    pub fn show(
        &mut self,
        object: RawObject,
        now: Timestamp,
    ) -> Result<Option<Arc<Change>>, ParseError> {
        if self.progress.is_none() {
            return Ok(None);
        }
        let after = Arc::new(Entry::new(self.form, &self.fields, object)?);
        self.note_misfit(&after);
        let key = after.key().clone();
        let before = self.objects.insert(key, Arc::clone(&after));
        Ok(self.turn(before, Some(after), now))
    }

    /// Takes in that an object is not shown any more. Returns `None` if it was not.
    pub fn hide(&mut self, key: &ObjectKey, now: Timestamp) -> Option<Arc<Change>> {
        let before = self.objects.remove(key)?;
        self.turn(Some(before), None, now)
    }

    fn turn(
        &mut self,
        before: Option<Arc<Entry>>,
        after: Option<Arc<Entry>>,
        now: Timestamp,
    ) -> Option<Arc<Change>> {
        let revision = self.progress?;
        self.distrust_all(now);
        let step = Step {
            revision,
            placed: Placed::After,
            before,
            after,
        };
        Some(self.record(step, now))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto_types::{Resource, ResourceVersion};

    use super::*;
    use crate::store::Limits;
    use crate::{Encoding, Fields, Scope, View, ViewFilter};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn object(name: &str, revision: u64) -> RawObject {
        let json = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"demo","uid":"{name}","resourceVersion":"{revision}"}},"spec":{{}}}}"#
        );
        RawObject::parse(Resource::Services, &Bytes::from(json)).unwrap()
    }

    fn store() -> Store {
        let mut store = Store::new(Resource::Services, Fields::All, Limits::default());
        store.replace(ResourceVersion::new(10), vec![object("a", 5)], NOW);
        store
    }

    fn view() -> View {
        View {
            scope: Scope::Cluster,
            labels: "".parse().unwrap(),
            fields: "".parse().unwrap(),
            encoding: Encoding::Object,
            grant: ViewFilter::default(),
        }
    }

    fn names(store: &Store) -> Vec<String> {
        let entries = store.snapshot(&view()).entries;
        entries
            .iter()
            .map(|it| it.key().name().to_owned())
            .collect()
    }

    #[test]
    fn an_old_object_is_shown_without_a_new_history() {
        let mut store = store();
        let epoch = store.epoch();
        let change = store.show(object("b", 3), NOW).unwrap().unwrap();
        assert_eq!(
            (change.revision, change.placed),
            (ResourceVersion::new(10), Placed::After)
        );
        assert_eq!(store.epoch(), epoch, "watches go on");
        assert_eq!(names(&store), ["a", "b"]);
        // Whoever has everything up to the last resource version receives it.
        assert_eq!(store.since(ResourceVersion::new(10)).unwrap().count(), 1);
        assert!(store.hide(&ObjectKey::new("demo", "b"), NOW).is_some());
        assert!(store.hide(&ObjectKey::new("demo", "b"), NOW).is_none());
        assert_eq!(names(&store), ["a"]);
        assert_eq!(store.since(ResourceVersion::new(10)).unwrap().count(), 2);
        let events = store.set(object("c", 12), NOW).unwrap();
        assert!(matches!(events, crate::store::Applied::Changed(_)));
        // A client that listed after that resumes: nothing is missing between the two.
        assert_eq!(store.since(ResourceVersion::new(11)).unwrap().count(), 1);
        assert_eq!(store.since(ResourceVersion::new(12)).unwrap().count(), 0);
    }

    #[test]
    fn a_revision_is_doubtful_for_consumers_of_other_replicas() {
        let mut store = store();
        assert!(!store.is_doubtful(ResourceVersion::new(10)));
        store.show(object("b", 3), NOW).unwrap();
        assert!(store.is_doubtful(ResourceVersion::new(10)));
        assert!(
            store.is_doubtful(ResourceVersion::new(99)),
            "a replica may be ahead"
        );
        store.set(object("c", 12), NOW).unwrap();
        store.settle_doubts(Timestamp::from_second(1000).unwrap());
        assert!(!store.is_doubtful(ResourceVersion::new(13)));
    }

    #[test]
    fn nothing_is_shown_before_the_first_list() {
        let mut store = Store::new(Resource::Services, Fields::All, Limits::default());
        assert!(store.show(object("b", 3), NOW).unwrap().is_none());
        assert!(names(&store).is_empty());
    }
}
