//! Metrics of hubs.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Hub;
use crate::metrics::Labels;

/// Collector of the metrics that are read from hubs at each scrape.
#[derive(Debug)]
pub struct Collected(pub Vec<Arc<Hub>>);

impl Collected {
    /// Encodes one metric of each hub.
    fn encode_each<M: EncodeMetric + TypedMetric>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        metric: impl Fn(&Hub) -> M,
    ) -> Result<(), std::fmt::Error> {
        let mut family = encoder.encode_descriptor(name, help, None, M::TYPE)?;
        for hub in &self.0 {
            metric(hub).encode(family.encode_family(&Labels::from(hub.names()))?)?;
        }
        Ok(())
    }
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let encoder = &mut encoder;
        self.encode_each(
            encoder,
            ("heliograph_emitter_objects", "Objects that are exported"),
            |hub| gauge(hub.objects()),
        )?;
        self.encode_each(
            encoder,
            (
                "heliograph_emitter_views",
                "Distinct views that are watched",
            ),
            |hub| gauge(hub.feeds()),
        )?;
        self.encode_each(
            encoder,
            (
                "heliograph_emitter_resource_version",
                "Resource version up to which everything is known",
            ),
            |hub| gauge(hub.progress().borrow().unwrap_or_default().number()),
        )?;
        self.encode_each(
            encoder,
            (
                "heliograph_emitter_list_cache_hits",
                "Lists that were ready when they were asked for",
            ),
            |hub| ConstCounter::new(hub.list_hits()),
        )?;
        self.encode_each(
            encoder,
            (
                "heliograph_emitter_watch_events_encoded",
                "Watch frames encoded, however many watchers got them",
            ),
            |hub| ConstCounter::new(hub.encoder().encoded()),
        )
    }
}

fn gauge(value: impl TryInto<i64>) -> ConstGauge {
    ConstGauge::new(value.try_into().unwrap_or(i64::MAX))
}
