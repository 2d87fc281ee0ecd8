//! Readers of a source: one of Services, and one of EndpointSlices.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use embedded_cluster::{EmbeddedCluster, Kind};
use parking_lot::Mutex;
use proto_types::resource::ApiResource;
use proto_types::{ObjectKey, RawObject, Resource, ResourceVersion};
use runtime::watcher::{Event, Limits, Scope, Watcher};
use tokio::time::Instant;

use crate::truth::is_exported;

/// Label of a slice: the number of its last change.
pub(super) const NUMBER: &str = "number";

/// Versions of all objects of a source.
pub(super) type Versions = BTreeMap<(&'static str, ObjectKey), ResourceVersion>;

/// State of a source in one cluster.
#[derive(Debug, Default)]
pub(super) struct State(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    versions: Versions,
    n_lists: u64,
    /// Times of changes that have not arrived.
    expected: HashMap<usize, Instant>,
    delays: Vec<Duration>,
    /// Last failure of a request.
    failure: Option<String>,
}

/// Reader of one resource.
pub(super) struct Reader {
    resource: &'static ApiResource,
    watcher: Watcher,
    state: Arc<State>,
}

impl State {
    /// Notes a change that the cluster has to receive.
    pub(super) fn expect(&self, number: usize, now: Instant) {
        self.0.lock().expected.insert(number, now);
    }

    /// Returns whether it is exactly this.
    pub(super) fn holds(&self, versions: &Versions) -> bool {
        self.0.lock().versions == *versions
    }

    /// Returns a version that is not the same.
    pub(super) fn difference(&self, versions: &Versions) -> Option<String> {
        let state = self.0.lock();
        let Inner {
            versions: own,
            failure,
            ..
        } = &*state;
        let mut keys = own.keys().chain(versions.keys());
        let key = keys.find(|it| own.get(*it) != versions.get(*it))?;
        let (has, should) = (own.get(key), versions.get(key));
        Some(format!(
            "{key:?} is at {has:?}, not at {should:?}; {failure:?}"
        ))
    }

    /// Number of lists so far.
    pub(super) fn n_lists(&self) -> u64 {
        self.0.lock().n_lists
    }

    /// Times until changes arrived.
    pub(super) fn delays(&self) -> Vec<Duration> {
        self.0.lock().delays.clone()
    }
}

impl Inner {
    fn apply(&mut self, resource: &'static ApiResource, object: &RawObject) {
        let key = (resource.plural, object.key.clone());
        self.versions.insert(key, object.revision);
        let number = object.labels.get(NUMBER).and_then(|it| it.parse().ok());
        if let Some(at) = number.and_then(|it: usize| self.expected.remove(&it)) {
            self.delays.push(at.elapsed());
        }
    }
}

impl Reader {
    /// Creates the readers of a source.
    pub(super) fn of(client: &kube::Client, state: &Arc<State>) -> impl Iterator<Item = Self> {
        let resources = [Resource::Services, Resource::EndpointSlices];
        resources.into_iter().map(|resource| {
            let resource: &'static ApiResource = resource.into();
            let scope = Scope {
                resource,
                namespace: None,
                selector: Default::default(),
            };
            Self {
                resource,
                watcher: Watcher::new(client.clone(), scope, Limits::default()),
                state: Arc::clone(state),
            }
        })
    }

    /// Reads indefinitely.
    pub(super) async fn run(mut self) {
        loop {
            let event = self.watcher.next().await;
            let mut state = self.state.0.lock();
            match event {
                Event::Listed(listing) => {
                    let plural = self.resource.plural;
                    state
                        .versions
                        .retain(|(resource, _), _| *resource != plural);
                    for object in &listing.objects {
                        state.apply(self.resource, object);
                    }
                    state.n_lists += u64::from(!listing.is_comparison);
                }
                Event::Applied(object) => state.apply(self.resource, &object),
                Event::Deleted(object) => {
                    let key = (self.resource.plural, object.key);
                    state.versions.remove(&key);
                }
                Event::Failed(failure) => state.failure = Some(failure.reason().to_owned()),
                Event::Progress(_) | Event::Connected => {}
            }
        }
    }
}

/// Returns the versions of all objects that a source exports.
pub(super) fn truth(cluster: &EmbeddedCluster) -> Versions {
    let kinds = [
        (Kind::Services, Resource::Services),
        (Kind::EndpointSlices, Resource::EndpointSlices),
    ];
    let objects = kinds.into_iter().flat_map(|(kind, resource)| {
        let resource: &'static ApiResource = resource.into();
        let objects = cluster.list(kind).into_iter();
        objects.filter(is_exported).filter_map(move |it| {
            let json = it.to_string().into();
            let object = RawObject::parse(resource, &json).ok()?;
            Some(((resource.plural, object.key), object.revision))
        })
    });
    objects.collect()
}
