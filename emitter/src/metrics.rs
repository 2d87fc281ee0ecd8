//! What is counted. Names are stable: dashboards and alerts stand on them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use proto_types::resource::Names;

use crate::hub::Hub;

/// The resource that a number is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    resource: &'static str,
}

impl From<&'static Names> for Labels {
    fn from(resource: &'static Names) -> Self {
        Self {
            resource: resource.plural,
        }
    }
}

/// The emitter's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    lists: Family<Labels, Counter>,
    watches: Family<Labels, Gauge>,
    events_sent: Family<Labels, Counter>,
    bytes_sent: Family<Labels, Counter<u64, AtomicU64>>,
    evictions: Family<Labels, Counter>,
    upstream_failures: Family<Labels, Counter>,
}

/// Counts one open watch for as long as it lives.
pub struct Gauged(Gauge);

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Counters in that registry, and what the hubs know of themselves.
    pub fn register(registry: &mut Registry, hubs: &[Arc<Hub>]) -> Arc<Self> {
        let metrics = Self::default();
        let Self {
            lists,
            watches,
            events_sent,
            bytes_sent,
            evictions,
            upstream_failures,
        } = &metrics;
        registry.register("emitter_lists", "LIST requests", lists.clone());
        registry.register("emitter_watches", "Watches that are open", watches.clone());
        registry.register(
            "emitter_events_sent",
            "Events sent to watchers",
            events_sent.clone(),
        );
        registry.register(
            "emitter_event_bytes_sent",
            "Bytes of events sent to watchers",
            bytes_sent.clone(),
        );
        registry.register(
            "emitter_watches_evicted",
            "Watches ended because their reader was too slow",
            evictions.clone(),
        );
        registry.register(
            "emitter_upstream_failures",
            "Times the upstream API server was lost",
            upstream_failures.clone(),
        );
        registry.register_collector(Box::new(Hubs(hubs.to_vec())));
        Arc::new(metrics)
    }

    /// Someone asked for a list.
    pub fn listed(&self, resource: &'static Names) {
        self.lists.get_or_create(&resource.into()).inc();
    }

    /// A watch was opened; it counts until the guard is dropped.
    pub fn watch_opened(&self, resource: &'static Names) -> Gauged {
        let gauge = self.watches.get_or_create_owned(&resource.into());
        gauge.inc();
        Gauged(gauge)
    }

    /// An event went out to a watcher.
    pub fn event_sent(&self, resource: &'static Names, bytes: usize) {
        self.events_sent.get_or_create(&resource.into()).inc();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes_sent
            .get_or_create(&resource.into())
            .inc_by(bytes);
    }

    /// A watch was ended because its reader was too slow.
    pub fn watch_evicted(&self, resource: &'static Names) {
        self.evictions.get_or_create(&resource.into()).inc();
    }

    /// The upstream was lost.
    pub fn upstream_failed(&self, resource: &'static Names) {
        self.upstream_failures.get_or_create(&resource.into()).inc();
    }
}

/// Numbers that the hubs know at any time.
#[derive(Debug)]
struct Hubs(Vec<Arc<Hub>>);

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub({})", self.names())
    }
}

impl Hubs {
    fn gauge(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&Hub) -> u64,
    ) -> Result<(), std::fmt::Error> {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for hub in &self.0 {
            let gauge = ConstGauge::new(i64::try_from(value(hub)).unwrap_or(i64::MAX));
            gauge.encode(family.encode_family(&Labels::from(hub.names()))?)?;
        }
        Ok(())
    }
}

impl Collector for Hubs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let size = |size| u64::try_from(size).unwrap_or(u64::MAX);
        let encoder = &mut encoder;
        self.gauge(
            encoder,
            "emitter_objects",
            "Objects that are exported",
            |hub| size(hub.objects()),
        )?;
        self.gauge(
            encoder,
            "emitter_views",
            "Distinct views that are watched",
            |hub| size(hub.feeds()),
        )?;
        self.gauge(
            encoder,
            "emitter_revision",
            "Resource version up to which everything is known",
            |hub| hub.progress().borrow().unwrap_or_default().number(),
        )?;
        let mut family = encoder.encode_descriptor(
            "emitter_frames_encoded",
            "Watch frames encoded, however many watchers got them",
            None,
            MetricType::Counter,
        )?;
        for hub in &self.0 {
            let counter = ConstCounter::new(hub.encoder().encoded());
            counter.encode(family.encode_family(&Labels::from(hub.names()))?)?;
        }
        Ok(())
    }
}
