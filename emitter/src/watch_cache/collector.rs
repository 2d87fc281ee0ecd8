//! Metrics of caches.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::WatchCache;
use crate::metrics::Labels;

/// Collector of the metrics that are read from caches at each scrape.
#[derive(Debug)]
pub struct Collected(pub Vec<Arc<WatchCache>>);

impl Collected {
    /// Encodes one metric of each cache.
    fn encode_each<M: EncodeMetric + TypedMetric>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        metric: impl Fn(&WatchCache) -> M,
    ) -> Result<(), std::fmt::Error> {
        let mut family = encoder.encode_descriptor(name, help, None, M::TYPE)?;
        for cache in &self.0 {
            metric(cache).encode(family.encode_family(&Labels::from(cache.names()))?)?;
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
            |cache| gauge(cache.objects()),
        )?;
        self.encode_each(
            encoder,
            (
                "heliograph_emitter_views",
                "Distinct views that are watched",
            ),
            |cache| gauge(cache.feeds()),
        )?;
        self.encode_each(
            encoder,
            (
                "heliograph_emitter_resource_version",
                "Resource version up to which everything is known",
            ),
            |cache| gauge(cache.progress().borrow().unwrap_or_default().number()),
        )?;
        self.encode_each(
            encoder,
            (
                "heliograph_emitter_list_cache_hits",
                "Lists that were ready when they were asked for",
            ),
            |cache| ConstCounter::new(cache.list_hits()),
        )?;
        self.encode_each(
            encoder,
            (
                "heliograph_emitter_watch_events_encoded",
                "Watch frames encoded, however many watchers got them",
            ),
            |cache| ConstCounter::new(cache.encoder().encoded()),
        )
    }
}

fn gauge(value: impl TryInto<i64>) -> ConstGauge {
    ConstGauge::new(value.try_into().unwrap_or(i64::MAX))
}
