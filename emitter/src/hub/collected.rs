//! Metrics of hubs.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Hub;
use crate::metrics::Labels;

/// Collector of the metrics that are read from hubs at each scrape.
#[derive(Debug)]
pub struct Collected(pub Vec<Arc<Hub>>);

impl Collected {
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

impl Collected {
    fn counter(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&Hub) -> u64,
    ) -> Result<(), std::fmt::Error> {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for hub in &self.0 {
            let counter = ConstCounter::new(value(hub));
            counter.encode(family.encode_family(&Labels::from(hub.names()))?)?;
        }
        Ok(())
    }
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let size = |size| u64::try_from(size).unwrap_or(u64::MAX);
        let encoder = &mut encoder;
        self.gauge(
            encoder,
            "heliograph_emitter_objects",
            "Objects that are exported",
            |hub| size(hub.objects()),
        )?;
        self.gauge(
            encoder,
            "heliograph_emitter_views",
            "Distinct views that are watched",
            |hub| size(hub.feeds()),
        )?;
        self.gauge(
            encoder,
            "heliograph_emitter_resource_version",
            "Resource version up to which everything is known",
            |hub| hub.progress().borrow().unwrap_or_default().number(),
        )?;
        self.counter(
            encoder,
            "heliograph_emitter_list_cache_hits",
            "Lists that were ready when they were asked for",
            |hub| hub.list_hits(),
        )?;
        self.counter(
            encoder,
            "heliograph_emitter_watch_events_encoded",
            "Watch frames encoded, however many watchers got them",
            |hub| hub.encoder().encoded(),
        )?;
        Ok(())
    }
}
