//! The laws of consumers that move between replicas, for random histories.
//!
//! Two replicas follow one upstream of Services and EndpointSlices. Each reads either
//! resource in its own time, misses changes, and lists again. A consumer is cut off at any
//! event and goes on at either replica with the resource version that it has. In the end it
//! has exactly what its view shows, or it was told to list.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic too")]

use std::collections::BTreeMap;
use std::sync::Arc;

use emitter_cache::event_buffer::Treatment;
use emitter_cache::view_filter::{Rules, ServiceIndex};
use emitter_cache::{Change, Encoding, Scope, View, ViewEvent, ViewFilter};
use jiff::Timestamp;
use proptest::prelude::*;
use proto_types::{FieldSelector, ObjectKey, RawObject, ResourceVersion};

mod replica;
mod upstream;
mod waiting;

use replica::{Fed, Replica};
use upstream::Upstream;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

#[derive(Debug, Clone)]
enum Step {
    Service {
        name: u8,
        team: u8,
    },
    NoService {
        name: u8,
    },
    Slice {
        name: u8,
        service: u8,
    },
    NoSlice {
        name: u8,
    },
    /// A replica reads further, of one resource.
    Read {
        replica: usize,
        resource: usize,
        n: u8,
    },
    /// A replica loses its place and lists.
    List {
        replica: usize,
        resource: usize,
    },
    /// The consumer is cut off and goes on at a replica.
    Move {
        replica: usize,
    },
    /// The consumer reads so many events.
    Take {
        n: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (replica, resource) = (0..2usize, 0..2usize);
    prop_oneof![
        3 => (0..3u8, 0..2u8).prop_map(|(name, team)| Step::Service { name, team }),
        1 => (0..3u8).prop_map(|name| Step::NoService { name }),
        4 => (0..6u8, 0..3u8).prop_map(|(name, service)| Step::Slice { name, service }),
        2 => (0..6u8).prop_map(|name| Step::NoSlice { name }),
        6 => (replica.clone(), resource.clone(), 1..5u8)
            .prop_map(|(replica, resource, n)| Step::Read { replica, resource, n }),
        1 => (replica.clone(), resource)
            .prop_map(|(replica, resource)| Step::List { replica, resource }),
        2 => replica.prop_map(|replica| Step::Move { replica }),
        5 => (0..5u8).prop_map(|n| Step::Take { n }),
    ]
}

fn view(owners: &Arc<ServiceIndex>) -> View {
    let rules = Rules {
        labels: "team=1".parse().unwrap(),
        ..Rules::default()
    };
    View {
        scope: Scope::Cluster,
        labels: "".parse().unwrap(),
        fields: FieldSelector::default(),
        encoding: Encoding::Object,
        grant: ViewFilter::new(rules, Arc::clone(owners)),
    }
}

type World = BTreeMap<ObjectKey, ResourceVersion>;

/// A consumer with the resource version that it has, and its place in an event buffer.
#[derive(Default)]
struct Consumer {
    world: World,
    revision: Option<ResourceVersion>,
    replica: usize,
    known: ResourceVersion,
    cursor: usize,
    backlog: Vec<Arc<Change>>,
    n_resumed: usize,
}

impl Consumer {
    fn list(&mut self, replicas: &[Replica]) {
        let replica = &replicas[self.replica];
        self.backlog.clear();
        self.cursor = replica.feed.len();
        let Some(revision) = replica.joined.revision() else {
            self.revision = None;
            return;
        };
        let entries = replica.joined.snapshot(&view(&replica.owners)).entries;
        let entries = entries.iter().map(|it| (it.key().clone(), it.revision()));
        self.world = entries.collect();
        self.revision = Some(revision);
        self.known = revision;
    }

    fn resume(&mut self, replicas: &[Replica]) {
        let replica = &replicas[self.replica];
        let Some((revision, cut)) = self.revision.zip(replica.joined.revision()) else {
            return self.list(replicas);
        };
        let view = view(&replica.owners);
        let checked = replica.joined.check(&view.grant, revision);
        let is_doubtful = replica.store.is_doubtful(revision);
        let missed = checked.and_then(|()| replica.joined.since(&replica.store, revision));
        match missed {
            Ok(missed) if !is_doubtful => {
                self.backlog = missed.into_iter().cloned().collect();
                self.backlog.reverse();
                self.cursor = replica.feed.len();
                self.known = revision.max(cut);
                self.n_resumed += 1;
            }
            Ok(_) | Err(_) => self.list(replicas),
        }
    }

    /// Takes one event.
    fn take(&mut self, replicas: &[Replica]) {
        let replica = &replicas[self.replica];
        if self.revision.is_none() {
            return self.list(replicas);
        }
        if let Some(change) = self.backlog.pop() {
            return self.apply(&change, &replica.owners);
        }
        let Some(fed) = replica.feed.get(self.cursor).cloned() else {
            return;
        };
        self.cursor += 1;
        match fed {
            Fed::Gone => self.list(replicas),
            Fed::Change(change, frame) => match frame.treatment(self.known) {
                Treatment::Deliver => self.apply(&change.unwrap(), &replica.owners),
                Treatment::Skip => {}
                Treatment::Expire => self.list(replicas),
            },
        }
    }

    fn apply(&mut self, change: &Change, owners: &Arc<ServiceIndex>) {
        match change.seen_through(&view(owners)) {
            Some(ViewEvent::Added(entry) | ViewEvent::Modified(entry)) => {
                self.world.insert(entry.key().clone(), entry.revision());
            }
            Some(ViewEvent::Deleted(entry)) => drop(self.world.remove(entry.key())),
            None => return,
        }
        assert!(
            self.revision <= Some(change.revision),
            "revisions never go back"
        );
        self.revision = Some(change.revision);
    }
}

fn truth(upstream: &Upstream) -> World {
    let is_seen = |slice: &&RawObject| {
        let name = slice.labels.get("kubernetes.io/service-name").unwrap();
        let service = upstream.objects[0].get(&ObjectKey::new("a", name));
        service.is_some_and(|it| it.labels.get("team") == Some("1"))
    };
    let slices = upstream.objects[1].values().filter(is_seen);
    slices.map(|it| (it.key.clone(), it.revision)).collect()
}

fn run(steps: &[Step]) -> usize {
    let mut upstream = Upstream {
        revision: 10,
        ..Upstream::default()
    };
    let mut replicas = [Replica::new(), Replica::new()];
    for replica in &mut replicas {
        replica.list(&upstream, 0);
        replica.list(&upstream, 1);
    }
    let mut consumer = Consumer::default();
    for step in steps {
        upstream.play(step);
        match step {
            Step::Read {
                replica,
                resource,
                n,
            } => {
                replicas[*replica].read(&upstream, *resource, usize::from(*n));
            }
            Step::List { replica, resource } => replicas[*replica].list(&upstream, *resource),
            Step::Move { replica } => {
                consumer.replica = *replica;
                consumer.resume(&replicas);
            }
            Step::Take { n } => (0..*n).for_each(|_| consumer.take(&replicas)),
            Step::Service { .. }
            | Step::NoService { .. }
            | Step::Slice { .. }
            | Step::NoSlice { .. } => {}
        }
    }
    for replica in &mut replicas {
        for resource in [0, 1, 0, 1] {
            replica.read(&upstream, resource, steps.len() + 1);
        }
    }
    (0..4 * steps.len() + 40).for_each(|_| consumer.take(&replicas));
    assert_eq!(consumer.world, truth(&upstream));
    consumer.n_resumed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_consumer_that_moves_between_replicas_has_what_its_view_shows(
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        run(&steps);
    }
}

#[test]
fn a_relabelled_service_is_noticed_at_another_replica() {
    let steps = [
        Step::Service { name: 1, team: 1 },
        Step::Slice {
            name: 1,
            service: 1,
        },
        Step::Read {
            replica: 0,
            resource: 0,
            n: 2,
        },
        Step::Read {
            replica: 0,
            resource: 1,
            n: 2,
        },
        Step::Move { replica: 0 },
        Step::Service { name: 1, team: 0 },
        Step::Read {
            replica: 1,
            resource: 0,
            n: 4,
        },
        Step::Read {
            replica: 1,
            resource: 1,
            n: 4,
        },
        Step::Move { replica: 1 },
    ];
    run(&steps);
}

#[test]
fn a_replica_resumes_consumers_of_another_where_nothing_was_missed() {
    let steps = [
        Step::Service { name: 1, team: 1 },
        Step::Slice {
            name: 1,
            service: 1,
        },
        Step::Read {
            replica: 0,
            resource: 0,
            n: 2,
        },
        Step::Read {
            replica: 0,
            resource: 1,
            n: 2,
        },
        Step::Read {
            replica: 1,
            resource: 0,
            n: 2,
        },
        Step::Read {
            replica: 1,
            resource: 1,
            n: 2,
        },
        Step::Take { n: 1 },
        Step::Slice {
            name: 1,
            service: 1,
        },
        Step::Read {
            replica: 1,
            resource: 1,
            n: 4,
        },
        Step::Read {
            replica: 1,
            resource: 0,
            n: 4,
        },
        Step::Move { replica: 1 },
    ];
    assert_eq!(run(&steps), 1);
}
