//! The names that semaphore-service-mirror exported, with its labels, for dashboards and
//! alerts that know them. What it had two watchers for is one list here, and a Service
//! and its endpoints are one entry of one queue.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use proto_types::{ObjectKey, Resource};
use reflector_planner::{
    Change, Exported, Index, LocalChange, LocalObject, Mirror, MirrorKey, Observed, Role,
    SourceName, Update,
};
use runtime::client::RequestOutcome;

use super::{Filling, Labels, durations};

/// Source whose change put a key into the queue; `None` for a change of the local cluster.
pub(crate) type QueueId = Option<SourceName>;

type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Its metrics.
#[derive(Debug, Clone)]
pub(crate) struct Semaphore {
    requests: Family<Labels<3>, Counter>,
    request_duration: Family<Labels<2>, Histogram>,
    objects: Family<Labels<3>, Gauge>,
    events: Family<Labels<4>, Counter>,
    depth: Family<Labels<1>, Gauge>,
    adds: Family<Labels<1>, Counter>,
    latency: Family<Labels<1>, Histogram>,
    work: Family<Labels<1>, Histogram>,
    unfinished: Family<Labels<1>, Seconds>,
    longest: Family<Labels<1>, Seconds>,
    retries: Family<Labels<1>, Counter>,
    requeued: Family<Labels<1>, Gauge>,
}

/// Watcher of semaphore-service-mirror that would have received an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Watcher {
    source: SourceName,
    role: Role,
    resource: Resource,
    is_local: bool,
}

/// Result of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that there was to do.
    Done,
    /// It is to be tried again.
    Again,
}

/// State of a queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// Keys that wait.
    pub(crate) depth: i64,
    /// Keys that are tried again later.
    pub(crate) requeued: i64,
    /// Time in work of all keys together.
    pub(crate) unfinished: Duration,
    /// Longest time in work of one key.
    pub(crate) longest: Duration,
}

impl Semaphore {
    pub(super) fn registered(mut all: Filling<'_>) -> Self {
        Self {
            requests: all.add("kube_http_request", "Requests by host, code and method"),
            request_duration: all.seconds(
                "kube_http_request_duration",
                "How long requests took by host and method",
                durations(),
            ),
            objects: all.add("kube_watcher_objects", "Objects by watcher and kind"),
            events: all.add("kube_watcher_events", "Events by watcher, kind and type"),
            depth: all.add("queue_depth", "Entries that wait, by queue"),
            adds: all.add("queue_adds", "Entries that came, by queue"),
            latency: all.seconds(
                "queue_latency_duration",
                "How long entries waited, by queue",
                durations(),
            ),
            work: all.seconds(
                "queue_work_duration",
                "How long entries were in work, by queue",
                durations(),
            ),
            unfinished: all.seconds(
                "queue_unfinished_work",
                "How long entries have been in work, all together, by queue",
                Family::default(),
            ),
            longest: all.seconds(
                "queue_longest_running_processor",
                "How long one entry has been in work, by queue",
                Family::default(),
            ),
            retries: all.add("queue_retries", "Entries to be tried again, by queue"),
            requeued: all.add("queue_requeued_items", "Entries that wait for another try"),
        }
    }

    pub(super) fn record_request(&self, host: &str, exchange: &RequestOutcome<'_>) {
        // As client-go writes what got no answer.
        let code = exchange
            .code
            .map_or("<error>".into(), |it| it.as_str().to_owned().into());
        let host = ("host", host.to_owned().into());
        let method = ("method", exchange.method.as_str().to_owned().into());
        let labels = [host.clone(), ("code", code), method.clone()];
        self.requests.get_or_create(&labels).inc();
        let duration = self.request_duration.get_or_create(&[host, method]);
        duration.observe(exchange.took.as_secs_f64());
    }

    /// Something came to wait.
    pub(crate) fn added(&self, lane: &QueueId) {
        self.adds.get_or_create(&queue(lane)).inc();
    }

    /// Something waited so long.
    pub(crate) fn waited(&self, lane: &QueueId, time: Duration) {
        let latency = self.latency.get_or_create(&queue(lane));
        latency.observe(time.as_secs_f64());
    }

    /// Something was in work so long, and this came of it.
    pub(crate) fn worked(&self, lane: &QueueId, time: Duration, outcome: Outcome) {
        let work = self.work.get_or_create(&queue(lane));
        work.observe(time.as_secs_f64());
        if outcome == Outcome::Again {
            self.retries.get_or_create(&queue(lane)).inc();
        }
    }

    /// Sets the state of the queues.
    pub(crate) fn loaded(&self, loads: BTreeMap<QueueId, Load>) {
        // A queue that is gone is an empty one.
        self.depth.clear();
        self.requeued.clear();
        self.unfinished.clear();
        self.longest.clear();
        for (lane, load) in loads {
            let labels = queue(&lane);
            // All are there from the first scrape on.
            drop(self.adds.get_or_create(&labels));
            drop(self.retries.get_or_create(&labels));
            drop(self.latency.get_or_create(&labels));
            drop(self.work.get_or_create(&labels));
            self.depth.get_or_create(&labels).set(load.depth);
            self.requeued.get_or_create(&labels).set(load.requeued);
            let seconds = load.unfinished.as_secs_f64();
            self.unfinished.get_or_create(&labels).set(seconds);
            let seconds = load.longest.as_secs_f64();
            self.longest.get_or_create(&labels).set(seconds);
        }
    }

    /// Counts what is known now of each source, in the source and in the local cluster.
    pub(crate) fn count(&self, index: &Index) {
        let mut counts: BTreeMap<Watcher, i64> = BTreeMap::new();
        for rank in index.policy().ranks() {
            let it = index.source(rank);
            let services = it.services.known().map_or(0, |it| it.len());
            let role = index.policy().role(rank);
            let slices = it.slices.known().map_or(0, |it| match role {
                Role::Mirror => it.services().count(),
                Role::Member => it.len(),
            });
            for (resource, n) in [
                (Resource::Services, services),
                (Resource::EndpointSlices, slices),
            ] {
                let source = index.policy().source(rank).name.clone();
                let there = Watcher {
                    source,
                    role,
                    resource,
                    is_local: false,
                };
                let here = Watcher {
                    is_local: true,
                    ..there.clone()
                };
                counts.insert(there, i64::try_from(n).unwrap_or(i64::MAX));
                counts.entry(here).or_default();
            }
        }
        for (_, it) in index.local().services() {
            if let Some(here) = Watcher::here(it) {
                *counts.entry(here).or_default() += 1;
            }
        }
        let mut endpoints = BTreeSet::new();
        for (_, it) in index.local().slices() {
            let is_new = match it.owner.role {
                Role::Mirror => endpoints.insert(&it.owner.attached_to),
                Role::Member => true,
            };
            if let Some(here) = Watcher::here(it).filter(|_| is_new) {
                *counts.entry(here).or_default() += 1;
            }
        }
        self.objects.clear();
        for (watcher, n) in counts {
            self.objects.get_or_create(&watcher.labels()).set(n);
        }
    }

    /// Counts the objects of an update that the index does not have yet.
    pub(crate) fn record_event(&self, index: &Index, update: &Update) {
        match update {
            Update::Services(source, change) | Update::MemberServices(source, change) => {
                let role = match update {
                    Update::MemberServices(..) => Role::Member,
                    _ => Role::Mirror,
                };
                let rank = index.policy().rank(source, role);
                let known = rank.and_then(|it| index.source(it).services.known());
                let knows = |key: &ObjectKey| known.is_some_and(|it| it.contains_key(key));
                let n_known = known.map_or(0, |it| it.len());
                let watcher = Watcher::there(source, role, Resource::Services);
                self.changed(&watcher, change, n_known, knows);
            }
            Update::Slices(source, change) | Update::MemberSlices(source, change) => {
                let role = match update {
                    Update::MemberSlices(..) => Role::Member,
                    _ => Role::Mirror,
                };
                let rank = index.policy().rank(source, role);
                let known = rank.and_then(|it| index.source(it).slices.known());
                let knows = |key: &ObjectKey| known.is_some_and(|it| it.contains(key));
                let n_known = known.map_or(0, |it| it.len());
                let watcher = Watcher::there(source, role, Resource::EndpointSlices);
                self.changed(&watcher, change, n_known, knows);
            }
            Update::LocalServices(change) => self.changed_here(change, |key| {
                index.local().service(&MirrorKey::new(key.clone()))
            }),
            Update::LocalSlices(change) => {
                self.changed_here(change, |key| index.local().slice(key));
            }
            Update::Endpoints(source, change) | Update::MemberEndpoints(source, change) => {
                let role = match update {
                    Update::MemberEndpoints(..) => Role::Member,
                    _ => Role::Mirror,
                };
                let rank = index.policy().rank(source, role);
                let known = rank.and_then(|it| index.source(it).slices.known());
                let knows = |key: &ObjectKey| known.is_some_and(|it| it.of(key).next().is_some());
                let n_known = known.map_or(0, |it| it.services().count());
                let watcher = Watcher::there(source, role, Resource::EndpointSlices);
                self.changed(&watcher, change, n_known, knows);
            }
            // Ours are beside slices, which are counted.
            Update::LocalEndpoints(_)
            | Update::Upstream(..)
            | Update::Identified(..)
            | Update::OptedOut(..)
            | Update::Blocked(..)
            | Update::FieldRejected(..)
            | Update::LeftBehind(..)
            | Update::LocalRanges(_)
            | Update::Met(_)
            | Update::Tick(_) => {}
        }
    }

    fn changed<T>(
        &self,
        watcher: &Watcher,
        change: &Change<T>,
        n_known: usize,
        knows: impl Fn(&ObjectKey) -> bool,
    ) {
        match change {
            Change::Listed(listed) => {
                let exported = listed.iter().filter(|it| it.object.is_some());
                let (same, new): (Vec<_>, Vec<_>) = exported.partition(|it| knows(&it.key));
                self.saw(watcher, "ADDED", new.len());
                self.saw(watcher, "MODIFIED", same.len());
                self.saw(watcher, "DELETED", n_known.saturating_sub(same.len()));
            }
            Change::ListedInPart(listed) => {
                let exported = listed.iter().filter(|it| it.object.is_some());
                let (same, new): (Vec<_>, Vec<_>) = exported.partition(|it| knows(&it.key));
                self.saw(watcher, "ADDED", new.len());
                self.saw(watcher, "MODIFIED", same.len());
            }
            Change::Applied(Exported { key, .. }) if knows(key) => self.saw(watcher, "MODIFIED", 1),
            Change::Applied(_) => self.saw(watcher, "ADDED", 1),
            Change::Deleted(_) => self.saw(watcher, "DELETED", 1),
            Change::Heard | Change::Connected | Change::Ended | Change::Lost => {}
        }
    }

    /// Writes of this process are known by their answers, before their events come.
    fn changed_here<'a, T: Mirror + 'a>(
        &self,
        change: &LocalChange<T>,
        known: impl Fn(&ObjectKey) -> Option<&'a Observed<T>>,
    ) {
        let applied = |key: &ObjectKey, seen: &LocalObject<T>| {
            let LocalObject::Managed(now) = seen else {
                return;
            };
            let event = match known(key) {
                None => "ADDED",
                Some(before) if before.revision < now.revision => "MODIFIED",
                Some(_) => return,
            };
            if let Some(watcher) = Watcher::here(now) {
                self.saw(&watcher, event, 1);
            }
        };
        match change {
            LocalChange::Listed(list) => {
                for (key, seen) in &list.objects {
                    applied(key, seen);
                }
            }
            LocalChange::Applied(key, seen) => applied(key, seen),
            LocalChange::Deleted(key, _) | LocalChange::Gone(key, _) => {
                if let Some(watcher) = known(key).and_then(Watcher::here) {
                    self.saw(&watcher, "DELETED", 1);
                }
            }
        }
    }

    fn saw(&self, watcher: &Watcher, event: &'static str, n: usize) {
        let [name, kind, runner] = watcher.labels();
        let labels = [name, kind, ("event_type", event.into()), runner];
        let n = u64::try_from(n).unwrap_or(u64::MAX);
        self.events.get_or_create(&labels).inc_by(n);
    }
}

impl Watcher {
    fn there(source: &SourceName, role: Role, resource: Resource) -> Self {
        Self {
            source: source.clone(),
            role,
            resource,
            is_local: false,
        }
    }

    fn here<T: Mirror>(observed: &Observed<T>) -> Option<Self> {
        Some(Self {
            source: observed.owner.source.clone()?,
            role: observed.owner.role,
            resource: T::RESOURCE,
            is_local: true,
        })
    }

    fn labels(&self) -> Labels<3> {
        let (what, kind) = match (self.role, self.resource, self.is_local) {
            (_, Resource::Services, false) => ("serviceWatcher", "service"),
            (_, Resource::Services, true) => ("mirrorServiceWatcher", "service"),
            (Role::Mirror, _, false) => ("endpointsWatcher", "endpoints"),
            (Role::Mirror, _, true) => ("mirrorEndpointsWatcher", "endpoints"),
            (Role::Member, _, false) => ("endpointSliceWatcher", "endpointslice"),
            (Role::Member, _, true) => ("mirrorEndpointSliceWatcher", "endpointslice"),
        };
        let runner = match self.role {
            Role::Mirror => "mirror",
            Role::Member => "global",
        };
        let source = &self.source;
        [
            ("watcher", format!("{source}-{what}").into()),
            ("kind", kind.into()),
            ("runner", format!("{runner}-{source}").into()),
        ]
    }
}

/// There is one queue for each source, and one for changes of the local cluster.
fn queue(lane: &QueueId) -> Labels<1> {
    let source = lane.as_ref().map_or("local", SourceName::as_str);
    [("name", format!("{source}-service").into())]
}
