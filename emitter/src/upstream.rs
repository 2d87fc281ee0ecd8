//! The cluster whose objects are exported: what follows it, and its documents.

use std::sync::Arc;

use jiff::Timestamp;
use proto_types::resource::ApiResource;
use proto_types::{LabelSelector, Labels, RawObject, ResourceVersion, label};
use runtime::watcher::{Event, FailureCause, IdentityCheck, Limits, Listing, Scope, Watcher};
use runtime::{Budget, Flag, Restarts, contain};
use tracing::{error, info, warn};

pub(crate) use self::exports::Exports;
use self::startup_history::Phase;
use crate::exposure::{Exposure, Sieve, Turned, exports_as_served, is_the_api_server};
use crate::health::UpstreamHealth;
use crate::metrics::Metrics;
use crate::namespaces::Namespaces;
use crate::probe;
use crate::watch_cache::WatchCache;

mod exports;
mod startup_history;

/// Returns the scope of the export: the selected objects without mirrors. The API server evaluates
/// both, so an object leaves the export at the moment in which it is marked as a mirror.
#[must_use]
pub fn exported(
    resource: impl Into<&'static ApiResource>,
    selector: &LabelSelector,
    namespace: Option<&str>,
) -> Scope {
    let never_mirrored: LabelSelector = label::exclude_mirrors_selector()
        .parse()
        .expect("our own selector parses");
    Scope {
        resource: resource.into(),
        namespace: namespace.map(str::to_owned),
        selector: selector.clone().and(never_mirrored),
    }
}

/// Keeps one cache as its upstream is.
pub struct UpstreamWatcher {
    /// The cache.
    pub cache: Arc<WatchCache>,
    /// Counts failures.
    pub metrics: Arc<Metrics>,
    /// Connection state of the upstream.
    pub health: Arc<UpstreamHealth>,
    /// The namespaces of what is followed, where they are served.
    pub namespaces: Option<Namespaces>,
    /// Memory limit of all exported objects.
    pub budget: Arc<Budget>,
    /// Raised by the first list.
    pub ready: Flag,
    /// Treatment of the events of the upstream.
    pub passage: Passage,
}

/// Treatment of the events of the upstream before they are served.
pub enum Passage {
    /// All of it is served.
    Whole,
    /// Objects that fit the selector or belong to an exported Service are served.
    Sieved(Box<Sieve>),
    /// These are ServiceExports, which decide about others.
    Exports(Arc<Exposure>),
}

impl UpstreamWatcher {
    /// Follows indefinitely, ServiceExports as long as they are served. After a panic on what the
    /// upstream sent, the cache serves what it has, and the upstream is listed again after a delay.
    pub async fn run(&mut self, client: kube::Client, scope: Scope, guard: IdentityCheck) {
        let mut restarts = Restarts::default();
        let mut past = match &mut self.passage {
            Passage::Whole => startup_history::oldest(&client, &scope).await,
            Passage::Sieved(sieve) => {
                sieve.opened().await;
                None
            }
            Passage::Exports(_) => None,
        };
        loop {
            let follow = self.follow(client.clone(), scope.clone(), guard.clone(), past.take());
            let Err(why) = contain(follow).await else {
                return;
            };
            let delay = restarts.delay();
            let resource = scope.resource;
            error!(%resource, panic = why, restart_in = ?delay, "follower panicked");
            self.metrics.upstream_failed(resource);
            let outline = format!("cannot list {resource}: the reader panicked");
            self.health.mark_disconnected(resource.plural, outline);
            tokio::time::sleep(delay).await;
        }
    }

    async fn follow(
        &mut self,
        client: kube::Client,
        scope: Scope,
        guard: IdentityCheck,
        oldest: Option<ResourceVersion>,
    ) {
        let resource = scope.resource;
        let prober = probe::Prober::new(client.clone(), scope.clone(), Arc::clone(&guard));
        let caught_up = probe::catch_up(Arc::clone(&self.cache), prober);
        let mut caught_up = std::pin::pin!(caught_up);
        let reader = Watcher::new(client, scope, Limits::default());
        let mut reader = reader.within(Arc::clone(&self.budget)).guarded(guard);
        let mut phase = Phase::Present;
        if let Some(oldest) = oldest {
            phase = Phase::Before(oldest);
            reader = reader.beginning_at(oldest);
            self.caches().for_each(|cache| cache.begin_in_the_past());
        }
        let mut is_lost = false;
        loop {
            let event = tokio::select! {
                event = reader.next() => event,
                () = &mut caught_up, if phase == Phase::CatchingUp => {
                    phase = self.arrive();
                    continue;
                }
                turned = self.passage.turned() => {
                    self.turn(turned);
                    continue;
                }
            };
            if self.is_not_served(&event) {
                self.note_connection(&event, resource, is_lost);
                return;
            }
            if let Event::Listed(listing) = &event
                && !self.is_served(listing)
            {
                continue;
            }
            self.handle(&event, resource);
            is_lost = self.note_connection(&event, resource, is_lost);
            let listed = match &event {
                Event::Listed(listing) => Some(listing.revision),
                _ => None,
            };
            self.take_in(without_the_api_server(event));
            phase = match (listed, phase) {
                (None, phase) => phase,
                (Some(revision), Phase::Before(past)) if revision == past => Phase::CatchingUp,
                // What was between the past and this list is not known.
                (Some(_), Phase::Before(_) | Phase::CatchingUp) => {
                    self.caches().for_each(|cache| cache.compact());
                    self.arrive()
                }
                (Some(_), Phase::Present) => self.arrive(),
            };
        }
    }

    /// Reports that the API server is disconnected, or connected again. Returns whether it
    /// is disconnected.
    fn note_connection(
        &self,
        event: &Event,
        resource: &'static ApiResource,
        is_lost: bool,
    ) -> bool {
        match event {
            Event::Failed(failure) => {
                self.metrics.upstream_failed(resource);
                // Clients may not be allowed to read the upstream's own words.
                self.health
                    .mark_disconnected(resource.plural, failure.outline());
                warn!(%resource, reason = failure.reason(), "lost the API server: {}", failure.with_remedy());
                true
            }
            Event::Connected if is_lost => {
                info!(%resource, "the API server is back");
                false
            }
            Event::Connected
            | Event::Listed(_)
            | Event::Applied(_)
            | Event::Deleted(_)
            | Event::Progress(_) => is_lost,
        }
    }

    /// Returns whether a list replaces what is served. One whose absences do not count
    /// would: a store has no objects but those of one moment. It is served only where
    /// there is nothing else, by an emitter that says that it is disconnected.
    fn is_served(&self, listing: &Listing) -> bool {
        listing.ruling.absences_count() || self.cache.ingested().borrow().is_none()
    }

    fn handle(&self, event: &Event, resource: &'static ApiResource) {
        let is_contact = match event {
            Event::Failed(_) => false,
            Event::Listed(listing) => listing.ruling.absences_count(),
            Event::Applied(_) | Event::Deleted(_) | Event::Progress(_) | Event::Connected => true,
        };
        if is_contact {
            let now = Timestamp::now();
            self.metrics.upstream_heard(resource, now);
            self.health.mark_connected(resource.plural);
        }
    }

    fn take_in(&mut self, event: Event) {
        let now = Timestamp::now();
        let event = match &mut self.passage {
            Passage::Whole => event,
            Passage::Sieved(sieve) => {
                self.cache.apply_services(&event);
                let event = sieve.pass(event);
                self.tell_namespaces(&event, now);
                self.cache.serve(event, now);
                return;
            }
            Passage::Exports(exposure) => {
                let event = exports_as_served(event);
                exposure.apply(&event);
                event
            }
        };
        self.tell_namespaces(&event, now);
        self.cache.ingest(event, now);
    }

    fn tell_namespaces(&mut self, event: &Event, now: Timestamp) {
        if let Some(namespaces) = &mut self.namespaces {
            namespaces.apply(event, now);
        }
    }

    /// Shows and hides what ServiceExports decide.
    fn turn(&mut self, turned: Vec<Turned>) {
        let now = Timestamp::now();
        let progress = self.cache.ingested().borrow().unwrap_or_default();
        for turned in turned {
            let event = match &turned {
                Turned::Shown(object) => Event::Applied(RawObject {
                    revision: progress,
                    ..object.clone()
                }),
                Turned::Hidden(key) => Event::Deleted(RawObject {
                    key: key.clone(),
                    revision: progress,
                    uid: "".into(),
                    labels: Labels::new(),
                    json: Default::default(),
                }),
            };
            self.tell_namespaces(&event, now);
            self.cache.turn(turned, now);
        }
    }

    /// Returns whether ServiceExports are not served any more under this version.
    fn is_not_served(&self, event: &Event) -> bool {
        let is_exports = matches!(self.passage, Passage::Exports(_));
        is_exports
            && matches!(event, Event::Failed(it) if matches!(it.cause, FailureCause::NotServed(_)))
    }

    fn caches(&self) -> impl Iterator<Item = &WatchCache> {
        let namespaces = self.namespaces.as_ref().map(|it| &it.cache);
        std::iter::once(&self.cache)
            .chain(namespaces)
            .map(AsRef::as_ref)
    }

    /// Everything is known from now on.
    fn arrive(&self) -> Phase {
        self.caches().for_each(|cache| cache.settle());
        self.ready.raise();
        Phase::Present
    }
}

impl Passage {
    /// Returns when objects turn without an event of their own.
    async fn turned(&mut self) -> Vec<Turned> {
        match self {
            Self::Sieved(sieve) => sieve.turned().await,
            Self::Whole | Self::Exports(_) => std::future::pending().await,
        }
    }
}

/// `default/kubernetes` is each cluster's own API server: exporting it would
/// lead consumers that mirror it to the wrong one.
fn without_the_api_server(event: Event) -> Event {
    let revision = |object: &RawObject| Event::Progress(object.revision);
    match event {
        Event::Listed(mut listing) => {
            listing
                .objects
                .retain(|object| !is_the_api_server(&object.key, &object.labels));
            Event::Listed(listing)
        }
        Event::Applied(object) | Event::Deleted(object)
            if is_the_api_server(&object.key, &object.labels) =>
        {
            revision(&object)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use proto_types::Resource;

    use super::{RawObject, exported, is_the_api_server};

    fn object(json: &str) -> RawObject {
        RawObject::parse(Resource::EndpointSlices, &Bytes::from(json.to_owned())).unwrap()
    }

    #[test]
    fn the_api_servers_own_service_is_never_exported() {
        let check = |namespace: &str, name: &str, service: &str| {
            let object = object(&format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","resourceVersion":"1","labels":{{"kubernetes.io/service-name":"{service}"}}}}}}"#
            ));
            is_the_api_server(&object.key, &object.labels)
        };
        assert!(check("default", "kubernetes", ""));
        assert!(check("default", "x", "kubernetes"));
        assert!(!check("default", "x", "web"));
        assert!(!check("demo", "kubernetes", "kubernetes"));
    }

    #[test]
    fn mirrors_are_excluded_by_the_api_server_itself() {
        let scope = exported(Resource::Services, &"export=yes".parse().unwrap(), None);
        assert_eq!(
            scope.selector.to_string(),
            "export=yes,!heliograph.dev/source"
        );
    }
}
