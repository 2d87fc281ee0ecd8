//! Metrics. Names are stable: dashboards and alerts depend on them.

mod build;
mod reason;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use proto_types::resource::ApiResource;

pub use self::reason::{Eviction, Limit};

/// Labels of a metric of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    resource: &'static str,
}

impl From<&'static ApiResource> for Labels {
    fn from(resource: &'static ApiResource) -> Self {
        Self {
            resource: resource.plural,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvictionLabels {
    resource: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    file: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuthenticationLabels {
    method: &'static str,
    result: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuthorizationLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViewLabels {
    view: String,
    verb: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabels {
    file: &'static str,
}

/// The emitter's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    lists: Family<Labels, Counter>,
    watches: Family<Labels, Gauge>,
    events_sent: Family<Labels, Counter>,
    bytes_sent: Family<Labels, Counter<u64, AtomicU64>>,
    evictions: Family<EvictionLabels, Counter>,
    upstream_failures: Family<Labels, Counter>,
    last_contact: Family<Labels, Gauge>,
    sent: Counter<u64, AtomicU64>,
    refusals: Family<LimitLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    last_reload: Family<FileLabels, Gauge>,
    authentications: Family<AuthenticationLabels, Counter>,
    authorizations: Family<AuthorizationLabels, Counter>,
    view_requests: Family<ViewLabels, Counter>,
}

struct Registering<'a>(&'a mut Registry);

impl Registering<'_> {
    fn add(&mut self, name: &str, help: &str, metric: &(impl Metric + Clone)) {
        self.0.register(name, help, metric.clone());
    }
}

/// Counts one open watch for as long as it lives, and what it is sent.
pub struct Watched {
    open: Gauge,
    events: Counter,
    bytes: Counter,
}

impl Watched {
    /// An event went out to it.
    pub fn sent(&self, n_bytes: usize) {
        self.events.inc();
        self.bytes
            .inc_by(u64::try_from(n_bytes).unwrap_or(u64::MAX));
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Metrics {
    /// Creates the metrics and adds them to a registry.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let metrics = Self::default();
        build::register(registry);
        metrics.register_all(registry);
        Arc::new(metrics)
    }

    pub(crate) fn register_all(&self, registry: &mut Registry) {
        let Self {
            lists,
            watches,
            events_sent,
            bytes_sent,
            evictions,
            upstream_failures,
            last_contact,
            ..
        } = self;
        let mut at = Registering(registry);
        at.add("heliograph_emitter_list_requests", "LIST requests", lists);
        at.add(
            "heliograph_emitter_watches",
            "Watches that are open",
            watches,
        );
        at.add(
            "heliograph_emitter_watch_events",
            "Events sent to watchers",
            events_sent,
        );
        at.add(
            "heliograph_emitter_watch_event_bytes",
            "Bytes of events sent to watchers",
            bytes_sent,
        );
        at.add(
            "heliograph_emitter_watches_evicted",
            "Watches ended against their consumers, by reason",
            evictions,
        );
        at.add(
            "heliograph_emitter_upstream_failures",
            "Times the upstream API server was lost",
            upstream_failures,
        );
        at.add(
            "heliograph_emitter_upstream_last_contact_timestamp_seconds",
            "When the upstream API server was last heard",
            last_contact,
        );
        self.register_serving(registry);
    }

    fn register_serving(&self, registry: &mut Registry) {
        let Self {
            sent,
            refusals,
            reloads,
            last_reload,
            authentications,
            authorizations,
            view_requests,
            ..
        } = self;
        let mut at = Registering(registry);
        at.add(
            "heliograph_emitter_network_sent_bytes",
            "Bytes that sockets of consumers took, with what TLS and HTTP add",
            sent,
        );
        at.add(
            "heliograph_emitter_rejections",
            "Connections and requests refused or cut off, by limit",
            refusals,
        );
        at.add(
            "heliograph_emitter_config_reloads",
            "Times a changed file was read again, by result",
            reloads,
        );
        at.add(
            "heliograph_emitter_config_last_reload_successful",
            "1 if the files in use are the current ones, 0 while a changed file is invalid",
            last_reload,
        );
        at.add(
            "heliograph_emitter_authentication_attempts",
            "Credentials by the method that checked them; a failure is a 401 and has a reason",
            authentications,
        );
        at.add(
            "heliograph_emitter_authorization_attempts",
            "Requests of known consumers that were allowed, or refused with 403",
            authorizations,
        );
        at.add(
            "heliograph_emitter_view_requests",
            "Requests for objects, by the consumer's view",
            view_requests,
        );
    }

    /// A consumer's socket took bytes.
    pub fn sent(&self, n_bytes: u64) {
        self.sent.inc_by(n_bytes);
    }

    /// Counts a rejected request or a closed connection.
    pub fn refused(&self, limit: Limit) {
        let limit = limit.name();
        self.refusals.get_or_create(&LimitLabels { limit }).inc();
    }

    /// Credentials were accepted by that method.
    pub fn authenticated(&self, method: &'static str) {
        self.authentication(method, "success", "");
    }

    /// Credentials were not accepted by that method, for that reason.
    pub fn unauthenticated(&self, method: &'static str, reason: &'static str) {
        self.authentication(method, "failure", reason);
    }

    fn authentication(&self, method: &'static str, result: &'static str, reason: &'static str) {
        let labels = AuthenticationLabels {
            method,
            result,
            reason,
        };
        self.authentications.get_or_create(&labels).inc();
    }

    /// Counts an authorization.
    pub fn authorized(&self, is_allowed: bool) {
        let result = if is_allowed { "allowed" } else { "denied" };
        let labels = AuthorizationLabels { result };
        self.authorizations.get_or_create(&labels).inc();
    }

    /// Counts a request for objects by that view.
    pub fn count_request(&self, view: &str, is_watch: bool) {
        let labels = ViewLabels {
            view: view.to_owned(),
            verb: if is_watch { "watch" } else { "read" },
        };
        self.view_requests.get_or_create(&labels).inc();
    }

    /// A changed file was read again.
    pub fn reloaded(&self, file: &'static str, is_usable: bool) {
        let result = if is_usable { "success" } else { "failure" };
        self.reloads
            .get_or_create(&ReloadLabels { file, result })
            .inc();
        self.valid(file, is_usable);
    }

    /// Sets whether the current content of a file is in use.
    pub fn valid(&self, file: &'static str, is_valid: bool) {
        let gauge = self.last_reload.get_or_create(&FileLabels { file });
        gauge.set(i64::from(is_valid));
    }

    /// A client requested a list.
    pub fn listed(&self, resource: &'static ApiResource) {
        self.lists.get_or_create(&resource.into()).inc();
    }

    /// A watch was opened; it counts until the guard is dropped.
    pub fn watch_opened(&self, resource: &'static ApiResource) -> Watched {
        let resource = resource.into();
        let watched = Watched {
            open: self.watches.get_or_create_owned(&resource),
            events: self.events_sent.get_or_create_owned(&resource),
            bytes: self.bytes_sent.get_or_create_owned(&resource),
        };
        watched.open.inc();
        watched
    }

    /// A watch was ended that its consumer would have gone on with.
    pub fn watch_evicted(&self, resource: &'static ApiResource, why: Eviction) {
        let labels = EvictionLabels {
            resource: resource.plural,
            reason: why.name(),
        };
        self.evictions.get_or_create(&labels).inc();
    }

    /// The upstream sent an item.
    pub fn upstream_heard(&self, resource: &'static ApiResource, now: Timestamp) {
        let gauge = self.last_contact.get_or_create(&resource.into());
        gauge.set(now.as_second());
    }

    /// The upstream was lost.
    pub fn upstream_failed(&self, resource: &'static ApiResource) {
        self.upstream_failures.get_or_create(&resource.into()).inc();
    }
}

#[cfg(test)]
mod tests;
