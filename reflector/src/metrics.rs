//! Every metric of this program. Objects are never labels.

mod build;
pub(crate) mod propagation;
pub(crate) mod recent;
pub(crate) mod semaphore;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};
use reflector_planner::{SourceName, Step};
use runtime::Access;
use runtime::client::{self, RequestOutcome};

use crate::watch_target::WatchTarget;
use propagation::{History, Propagation};
use recent::Recent;
use semaphore::{Outcome, QueueId, Semaphore};

/// Reasons of the problems of a source as a whole that do not end by themselves.
pub(crate) const LASTING_REASONS: [&str; 5] = [
    "ClusterIdentityMismatch",
    "ClusterIdentityUnavailable",
    "ResponseTooLarge",
    "BudgetExceeded",
    "Panicked",
];

/// Reason for a source that is not followed.
pub(crate) const SOURCE_NOT_FOLLOWED: &str = "SourceNotFollowed";

/// The reason why the upstream of a source is disconnected.
pub(crate) const UPSTREAM_LOST: &str = "UpstreamDisconnected";

/// States of one resource of a source.
const STATES: [&str; 3] = ["synced", "stale", "unsynced"];

/// Names of labels, and their values.
pub(crate) type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// Metrics of the reflector.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Writes to the local API server.
    writes: Family<Labels<4>, Counter>,
    /// Requests to API servers.
    requests: Family<Labels<3>, Counter>,
    request_duration: Family<Labels<2>, Histogram>,
    /// States of the resources of a source.
    source_state: Family<Labels<3>, Gauge>,
    /// Number of known objects of a source.
    pub(crate) source_objects: Family<Labels<2>, Gauge>,
    /// Deletions of a source that are held.
    pub(crate) held_deletions: Family<Labels<2>, Gauge>,
    /// Usage and excess of budgets.
    pub(crate) budgets: Budgets,
    /// Time of the last contact of a source.
    pub(crate) source_last_contact: Family<Labels<2>, Gauge>,
    /// Number of failed connections to a source.
    pub(crate) source_failures: Family<Labels<3>, Counter>,
    propagation: Propagation,
    /// Number of present problems.
    pub(crate) problems: Family<Labels<2>, Gauge>,
    /// Events about problems.
    pub(crate) events: Family<Labels<1>, Counter>,
    /// 1 if the current configuration is in use, 0 while it is invalid.
    pub(crate) last_reload: Gauge,
    /// 1 if this process is the leader.
    pub(crate) leader: Gauge,
    pub(crate) local_writes_failing: Gauge,
    /// Plans made.
    pub(crate) plans: Counter,
    /// Keys that wait for their plan.
    pub(crate) queue_depth: Gauge,
    /// Time that keys waited, in seconds.
    queue_wait: Histogram,
    /// Keys that are tried again later.
    pub(crate) retrying: Gauge,
    /// Number of retries.
    pub(crate) retries: Counter,
    /// The same by the names that semaphore-service-mirror had, where they are wanted.
    pub(crate) semaphore: Option<Semaphore>,
}

/// Usage and excess of the budgets of sources.
#[derive(Debug, Clone)]
pub(crate) struct Budgets {
    /// Memory that the objects of a source take of its budget, in bytes.
    pub(crate) bytes: Family<Labels<1>, Gauge>,
    panics: Family<Labels<1>, Counter>,
}

impl Budgets {
    fn registered(all: &mut Filling<'_>) -> Self {
        Self {
            bytes: all.add(
                "source_bytes",
                "How many bytes of memory the objects of a source take of its budget",
            ),
            panics: all.add(
                "panics",
                "Panics that were contained, by the part of the program",
            ),
        }
    }
}

// Those that most programs have.
const DURATIONS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A registry that is being filled, and the names that are in it.
struct Filling<'a> {
    registry: &'a mut Registry,
    prefix: &'static str,
    names: &'a mut Vec<String>,
}

impl Filling<'_> {
    fn add<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        let total = match metric.metric_type() {
            MetricType::Counter => "_total",
            _ => "",
        };
        self.names.push(format!("{}_{name}{total}", self.prefix));
        let registry = self.registry.sub_registry_with_prefix(self.prefix);
        registry.register(name, help, metric.clone());
        metric
    }

    fn seconds<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.names.push(format!("{}_{name}_seconds", self.prefix));
        let registry = self.registry.sub_registry_with_prefix(self.prefix);
        registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        metric
    }
}

impl Metrics {
    /// The metrics, and where they are read; `semaphore` adds the names that
    /// semaphore-service-mirror had.
    pub(crate) fn registered(semaphore: bool) -> (Self, Registry) {
        Self::named(semaphore, &mut Vec::new())
    }

    /// The same, with all names.
    fn named(semaphore: bool, names: &mut Vec<String>) -> (Self, Registry) {
        let mut registry = Registry::default();
        let semaphore = semaphore.then(|| {
            Semaphore::registered(Filling {
                registry: &mut registry,
                prefix: "semaphore_service_mirror",
                names,
            })
        });
        let filling = Filling {
            registry: &mut registry,
            prefix: "heliograph_reflector",
            names,
        };
        let it = Self::of_ours(filling, semaphore);
        build::register(&mut registry, names);
        it.last_reload.set(1);
        (it, registry)
    }

    fn of_ours(mut all: Filling<'_>, semaphore: Option<Semaphore>) -> Self {
        Self {
            writes: all.add("writes", "Writes to the local API server by result"),
            requests: all.add("client_requests", "Requests to API servers, by code"),
            request_duration: all.seconds(
                "client_request_duration",
                "How long the head of an answer took",
                durations(),
            ),
            source_state: all.add(
                "source_state",
                "1 for the state of a source resource: synced, stale or unsynced; 0 for the others",
            ),
            source_objects: all.add("source_objects", "How many objects of a source are known"),
            budgets: Budgets::registered(&mut all),
            held_deletions: all.add(
                "held_deletions",
                "Number of source Services whose deletion, or whose endpoints' deletion, is held",
            ),
            source_last_contact: all.seconds(
                "source_last_contact_timestamp",
                "When a source was last heard, since 1970",
                Family::default(),
            ),
            source_failures: all.add(
                "source_failures",
                "How often a source was lost or not to be had, and was tried again",
            ),
            propagation: Propagation::registered(&mut all),
            problems: all.add("problems", "What cannot be done as asked, see /status"),
            events: all.add(
                "kubernetes_events",
                "Kubernetes Events about problems, by what came of them",
            ),
            last_reload: all.add("config_last_reload_successful", "1 if the file is valid"),
            leader: all.add("leader", "Whether this process writes"),
            local_writes_failing: all.add("local_writes_failing", "Whether all writes fail"),
            plans: all.add("reconciliations", "Reconciliations of local Services"),
            queue_depth: all.add("workqueue_depth", "Local Services that wait for their plan"),
            queue_wait: all.seconds(
                "workqueue_queue_duration",
                "How long local Services waited for their plan",
                Histogram::new(DURATIONS),
            ),
            retrying: all.add(
                "workqueue_requeued_items",
                "Local Services whose writes failed and are tried again later",
            ),
            retries: all.add(
                "workqueue_retries",
                "How often writes of a local Service were to be tried again",
            ),
            semaphore,
        }
    }

    /// The same client, whose requests to that cluster are counted.
    pub(crate) async fn counting(
        &self,
        client: kube::Client,
        cluster: String,
        access: &Access,
    ) -> kube::Client {
        let host = match self.semaphore {
            Some(_) => client::host(access).await.ok(),
            None => None,
        };
        let this = self.clone();
        client::observed(client, move |exchange: &RequestOutcome<'_>| {
            this.record_request(&cluster, host.as_deref(), exchange);
        })
    }

    /// A request was sent to the API server of a source, or to the local one.
    fn record_request(&self, cluster: &str, host: Option<&str>, exchange: &RequestOutcome<'_>) {
        let cluster: Cow<'static, str> = cluster.to_owned().into();
        let verb = ("verb", Cow::Borrowed(exchange.verb));
        let code = exchange
            .code
            .map_or("error".into(), |it| it.as_str().to_owned().into());
        let labels = [("cluster", cluster.clone()), verb.clone(), ("code", code)];
        self.requests.get_or_create(&labels).inc();
        let took = exchange.took.as_secs_f64();
        let labels = [("cluster", cluster), verb];
        self.request_duration.get_or_create(&labels).observe(took);
        if let (Some(semaphore), Some(host)) = (&self.semaphore, host) {
            semaphore.record_request(host, exchange);
        }
    }

    /// A step was done, or not.
    pub(crate) fn wrote(&self, step: &Step, result: &'static str) {
        let labels = [
            ("source", step.source.to_string().into()),
            ("verb", step.write.verb().into()),
            ("resource", step.resource.plural().into()),
            ("result", result.into()),
        ];
        self.writes.get_or_create(&labels).inc();
        if result == "ok"
            && let Some(changed) = &step.changed
        {
            let source = step.source.to_string();
            self.propagation.observe(source, changed, &step.key);
        }
    }

    /// Returns what the admin port shows: the metrics, and propagation in the last hour.
    pub(crate) fn shown(&self, registry: Registry) -> (Arc<Registry>, History) {
        (Arc::new(registry), self.propagation.history())
    }

    /// Returns the percentiles of the times of propagation of each source.
    pub(crate) fn recent(&self) -> &Recent {
        self.propagation.recent()
    }

    /// A part of the program panicked.
    pub(crate) fn panicked(&self, part: &'static str) {
        self.budgets
            .panics
            .get_or_create(&[("part", part.into())])
            .inc();
    }

    /// A key came to wait.
    pub(crate) fn added(&self, lane: &QueueId) {
        if let Some(semaphore) = &self.semaphore {
            semaphore.added(lane);
        }
    }

    /// A key waited so long.
    pub(crate) fn waited(&self, lane: &QueueId, time: Duration) {
        self.queue_wait.observe(time.as_secs_f64());
        if let Some(semaphore) = &self.semaphore {
            semaphore.waited(lane, time);
        }
    }

    /// A key was in work so long.
    pub(crate) fn worked(&self, lane: &QueueId, time: Duration, outcome: Outcome) {
        if let Some(semaphore) = &self.semaphore {
            semaphore.worked(lane, time, outcome);
        }
    }

    /// Sets the state of one resource of one source.
    pub(crate) fn set_state(&self, source: &SourceName, resource: &'static str, now: &str) {
        for state in STATES {
            let gauge = self
                .source_state
                .get_or_create(&of_state(source, resource, state));
            gauge.set(i64::from(state == now));
        }
    }

    /// A source is not followed any more, or again.
    pub(crate) fn remove(&self, source: &SourceName) {
        for feed in WatchTarget::every(source) {
            let labels = of_feed(source, feed.resource_name());
            for state in STATES {
                self.source_state
                    .remove(&of_state(source, feed.resource_name(), state));
            }
            self.source_objects.remove(&labels);
            self.source_last_contact.remove(&labels);
            self.held_deletions.remove(&labels);
        }
        self.budgets.bytes.remove(&of_source(source));
        self.propagation.recent().remove(source);
        for reason in LASTING_REASONS.into_iter().chain([UPSTREAM_LOST]) {
            self.problems.remove(&of_problem(source, reason));
        }
    }
}

/// The labels of one source.
pub(crate) fn of_source(source: &SourceName) -> Labels<1> {
    [("source", text(source))]
}

/// The labels of one resource of one source.
pub(crate) fn of_feed(source: &SourceName, resource: &'static str) -> Labels<2> {
    [("source", text(source)), ("resource", resource.into())]
}

/// The labels of a possible state of one resource of one source.
fn of_state(source: &SourceName, resource: &'static str, state: &'static str) -> Labels<3> {
    let [source, resource] = of_feed(source, resource);
    [source, resource, ("state", state.into())]
}

/// The labels of a kind of problem of one source.
pub(crate) fn of_problem(source: &SourceName, reason: &'static str) -> Labels<2> {
    [("source", text(source)), ("reason", reason.into())]
}

/// The labels of a failure of one resource of one source.
pub(crate) fn of_failure(
    source: &SourceName,
    resource: &'static str,
    reason: &'static str,
) -> Labels<3> {
    let [source, resource] = of_feed(source, resource);
    [source, resource, ("reason", reason.into())]
}

fn text(source: &SourceName) -> Cow<'static, str> {
    source.to_string().into()
}

fn durations<const N: usize>() -> Family<Labels<N>, Histogram> {
    Family::new_with_constructor(|| Histogram::new(DURATIONS))
}

#[cfg(test)]
mod tests;
