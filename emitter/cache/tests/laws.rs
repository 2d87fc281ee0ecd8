//! The laws of the store, for random histories.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic too")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use emitter_cache::encode::Encoder;
use emitter_cache::store::{Applied, Beginning, RelistOutcome};
use emitter_cache::{Change, Encoding, Fields, Limits, Scope, Store, View, ViewEvent};
use jiff::Timestamp;
use proptest::prelude::*;
use proto_types::{FieldSelector, ObjectKey, RawObject, Resource, ResourceVersion};

/// One thing that happens upstream.
#[derive(Debug, Clone)]
enum Step {
    Set {
        name: u8,
        tier: u8,
    },
    Remove {
        name: u8,
    },
    /// The watch breaks; what happened in the meantime comes as a list.
    Miss(Vec<Self>),
}

type World = BTreeMap<ObjectKey, (ResourceVersion, u8)>;

fn object(key: &ObjectKey, revision: ResourceVersion, tier: u8) -> RawObject {
    let json = format!(
        r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"{}","namespace":"{}","uid":"u","resourceVersion":"{revision}","labels":{{"tier":"{tier}"}}}},"spec":{{}}}}"#,
        key.name(),
        key.namespace()
    );
    RawObject::parse(Resource::Services, &Bytes::from(json)).unwrap()
}

fn key(name: u8) -> ObjectKey {
    ObjectKey::new(
        ["a", "a-b", "b"][usize::from(name % 3)],
        &format!("s{name}"),
    )
}

fn step() -> impl Strategy<Value = Step> {
    let leaf = prop_oneof![
        3 => (0..8u8, 0..3u8).prop_map(|(name, tier)| Step::Set { name, tier }),
        1 => (0..8u8).prop_map(|name| Step::Remove { name }),
    ];
    leaf.prop_recursive(1, 8, 6, |step| {
        proptest::collection::vec(step, 0..6).prop_map(Step::Miss)
    })
}

/// An upstream and the store that follows it.
struct Lab {
    upstream: World,
    revision: u64,
    store: Store,
}

impl Lab {
    fn new(limits: Limits) -> Self {
        let mut store = Store::new(Resource::Services, Fields::All, limits);
        store.replace(ResourceVersion::new(10), Vec::new(), Timestamp::UNIX_EPOCH);
        Self {
            upstream: World::new(),
            revision: 10,
            store,
        }
    }

    fn upstream(&mut self, step: &Step) -> Option<ObjectKey> {
        self.revision += 3;
        let revision = ResourceVersion::new(self.revision);
        match step {
            Step::Set { name, tier } => {
                self.upstream.insert(key(*name), (revision, *tier));
                Some(key(*name))
            }
            Step::Remove { name } => self.upstream.remove(&key(*name)).map(|_| key(*name)),
            Step::Miss(steps) => {
                for step in steps {
                    self.upstream(step);
                }
                None
            }
        }
    }

    fn play(&mut self, step: &Step) {
        let now = Timestamp::UNIX_EPOCH;
        let changed = self.upstream(step);
        let revision = ResourceVersion::new(self.revision);
        match (step, changed) {
            (Step::Miss(_), _) => {
                let all = self.upstream.iter();
                let objects = all
                    .map(|(key, (at, tier))| object(key, *at, *tier))
                    .collect();
                self.store.replace(revision, objects, now);
            }
            (_, Some(key)) => match self.upstream.get(&key) {
                Some((at, tier)) => {
                    self.store.set(object(&key, *at, *tier), now).unwrap();
                }
                None => {
                    self.store.remove(&key, revision, now);
                }
            },
            (_, None) => {}
        }
    }
}

fn view(selector: &str, namespace: Option<&str>) -> View {
    View {
        scope: namespace.map_or(Scope::Cluster, |it| Scope::Namespace(it.to_owned())),
        labels: selector.parse().unwrap(),
        fields: FieldSelector::default(),
        encoding: Encoding::Object,
        grant: emitter_cache::ViewFilter::default(),
    }
}

fn seen(store: &Store, view: &View) -> World {
    let entries = store.snapshot(view).entries;
    let tier =
        |entry: &emitter_cache::Entry| entry.object().labels.get("tier").unwrap().parse().unwrap();
    entries
        .iter()
        .map(|entry| (entry.key().clone(), (entry.revision(), tier(entry))))
        .collect()
}

fn replay(mut world: World, changes: &[Arc<Change>], view: &View) -> World {
    for change in changes {
        match change.seen_through(view) {
            Some(ViewEvent::Added(entry)) => {
                let tier = entry.object().labels.get("tier").unwrap().parse().unwrap();
                let old = world.insert(entry.key().clone(), (entry.revision(), tier));
                assert!(old.is_none(), "added twice: {}", entry.key());
            }
            Some(ViewEvent::Modified(entry)) => {
                let tier = entry.object().labels.get("tier").unwrap().parse().unwrap();
                let old = world.insert(entry.key().clone(), (entry.revision(), tier));
                assert!(old.is_some(), "modified before added: {}", entry.key());
            }
            Some(ViewEvent::Deleted(entry)) => {
                assert!(world.remove(entry.key()).is_some(), "deleted twice");
            }
            None => {}
        }
    }
    world
}

proptest! {
    /// List at R, then replay from R, equals the present: for every view and for
    /// every R that was ever handed out and is still within history.
    #[test]
    fn a_list_and_what_followed_make_the_present(
        steps in proptest::collection::vec(step(), 0..40),
        kept in 1..60usize,
        selector in prop_oneof![Just(""), Just("tier=1"), Just("tier!=1"), Just("tier in (0,2)")],
        namespace in prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))],
    ) {
        let view = view(selector, namespace);
        let mut lab = Lab::new(Limits { changes: kept, ..Limits::default() });
        let mut lists = vec![(lab.store.progress().unwrap(), World::new())];
        for step in &steps {
            lab.play(step);
            lists.push((lab.store.progress().unwrap(), seen(&lab.store, &view)));
        }
        let all = View { labels: "".parse().unwrap(), scope: Scope::Cluster, ..view.clone() };
        prop_assert_eq!(&seen(&lab.store, &all), &lab.upstream);

        let present = seen(&lab.store, &view);
        let mut resumable = 0;
        for (revision, list) in lists {
            let Ok(changes) = lab.store.since(revision) else { continue };
            resumable += 1;
            let changes: Vec<_> = changes.cloned().collect();
            prop_assert!(changes.is_sorted_by_key(|change| change.revision));
            prop_assert_eq!(&replay(list.clone(), &changes, &view), &present);
            let then = lab.store.snapshot_at(&view, revision).unwrap();
            let then: Vec<_> = then.entries.iter().map(|it| it.key().clone()).collect();
            prop_assert_eq!(then, list.into_keys().collect::<Vec<_>>());
        }
        prop_assert!(0 < resumable, "the latest revision can always be resumed");
    }

    /// However many views and watchers look at a change, it is encoded once for
    /// each event type.
    #[test]
    fn a_change_is_encoded_once(watchers in 1..50usize) {
        let encoder = Encoder::new(Resource::Services);
        let mut lab = Lab::new(Limits::default());
        let now = Timestamp::UNIX_EPOCH;
        let Applied::Changed(change) = lab.store.set(object(&key(1), ResourceVersion::new(20), 1), now).unwrap() else {
            unreachable!("the object is new");
        };
        let views = ["", "tier=1", "tier!=9"].map(|selector| view(selector, None));
        let frames: Vec<Bytes> = (0..watchers)
            .flat_map(|_| views.iter().filter_map(|view| change.frame(view, &encoder)))
            .map(|frame| frame.bytes().clone())
            .collect();
        prop_assert_eq!(frames.len(), 3 * watchers);
        prop_assert_eq!(encoder.encoded(), 1);
        prop_assert!(frames.iter().all(|frame| frame.as_ptr() == frames[0].as_ptr()));
    }
}

#[test]
fn a_list_from_before_starts_a_new_history() {
    let mut lab = Lab::new(Limits::default());
    lab.play(&Step::Set { name: 1, tier: 1 });
    let (replaced, _) =
        lab.store
            .replace(ResourceVersion::new(5), Vec::new(), Timestamp::UNIX_EPOCH);
    assert!(matches!(replaced, RelistOutcome::Fresh(Beginning::Rewound)));
    assert_eq!(lab.store.progress(), Some(ResourceVersion::new(5)));
    assert!(lab.store.since(ResourceVersion::new(4)).is_err());
}

/// A consumer of one tier cannot be told since when the object is of another one.
#[test]
fn a_list_that_shows_other_labels_starts_a_new_history() {
    for (tier, is_fresh) in [(1, false), (2, true)] {
        let mut lab = Lab::new(Limits::default());
        let first = object(&key(1), ResourceVersion::new(20), 1);
        lab.store.set(first, Timestamp::UNIX_EPOCH).unwrap();
        let second = object(&key(1), ResourceVersion::new(25), tier);
        let (replaced, _) = lab.store.replace(
            ResourceVersion::new(30),
            vec![second],
            Timestamp::UNIX_EPOCH,
        );
        let has_begun = matches!(replaced, RelistOutcome::Fresh(Beginning::Relabelled));
        assert_eq!(has_begun, is_fresh, "{replaced:?}");
    }
}

#[test]
fn history_is_forgotten_by_age() {
    let mut lab = Lab::new(Limits::default());
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut set = |revision, second| {
        let object = object(&key(1), ResourceVersion::new(revision), 1);
        lab.store.set(object, at(second)).unwrap();
    };
    set(20, 0);
    set(30, 301);
    assert!(lab.store.since(ResourceVersion::new(19)).is_err());
    assert!(lab.store.since(ResourceVersion::new(20)).is_ok());
}

#[test]
fn history_is_forgotten_by_the_bytes_of_versions_and_frames() {
    let encoder = Encoder::new(Resource::Services);
    let limits = Limits {
        bytes: 1 << 20,
        ..Limits::default()
    };
    let mut lab = Lab::new(limits);
    let encodings = [
        Encoding::Object,
        Encoding::Metadata,
        Encoding::Protobuf(emitter_cache::Part::Whole),
    ];
    let views = encodings.map(|encoding| View {
        encoding,
        ..view("", None)
    });
    let mut large = Vec::new();
    for revision in 20..220 {
        let name = "x".repeat(100);
        let json = format!(
            r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"a","namespace":"a","uid":"u","resourceVersion":"{revision}","annotations":{{"{name}":"{}"}}}},"spec":{{}}}}"#,
            "y".repeat(20_000)
        );
        let object = RawObject::parse(Resource::Services, &Bytes::from(json)).unwrap();
        let applied = lab.store.set(object, Timestamp::UNIX_EPOCH).unwrap();
        let Applied::Changed(change) = applied else {
            unreachable!("each revision is new");
        };
        for view in &views {
            let _ = change.frame(view, &encoder);
        }
        large.push(lab.store.n_bytes());
    }
    let one_change = 100 << 10;
    assert!(
        large
            .iter()
            .all(|n_bytes| *n_bytes < (1 << 20) + one_change),
        "{large:?}"
    );
    let n_kept = lab
        .store
        .since(ResourceVersion::new(210))
        .map(Iterator::count);
    assert!(n_kept.is_ok_and(|n_kept| n_kept == 9));
    assert!(lab.store.since(ResourceVersion::new(100)).is_err());
}
