//! Debug page of connections and watches, with their age and lag, on the admin port.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use proto_types::escape;
use serde_json::{Value, json};

use crate::connections::Connections;
use crate::consumers::{Consumers, Watch};

/// Present connections and consumers.
#[derive(Debug, Clone)]
pub struct DebugState {
    /// Their connections.
    pub connections: Arc<Connections>,
    /// Their watches.
    pub consumers: Arc<Consumers>,
}

/// `/debug/consumers`.
pub fn router(present: DebugState) -> Router {
    Router::new()
        .route("/debug/consumers", get(consumers))
        .with_state(present)
}

async fn consumers(State(present): State<DebugState>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let mut described = present.describe();
    escape::value(&mut described);
    (json, format!("{described:#}\n")).into_response()
}

impl DebugState {
    fn describe(&self) -> Value {
        let mut connections = self.connections.all();
        connections.sort_by_key(|it| it.id);
        let connections = connections.iter().map(|it| {
            json!({
                "id": it.id,
                "address": it.address.to_string(),
                "since": it.since.to_string(),
                "bytesWritten": it.bytes_written.load(Ordering::Relaxed),
            })
        });
        let mut watches = self.consumers.watches();
        watches.sort_by_key(|it| it.id);
        json!({
            "connections": connections.collect::<Vec<_>>(),
            "watches": watches.iter().map(|it| watch(it)).collect::<Vec<_>>(),
        })
    }
}

fn watch(watch: &Watch) -> Value {
    let view = watch.view();
    json!({
        "consumer": &*watch.caller.name,
        "view": watch.caller.view(),
        "connection": watch.caller.connection.as_ref().map(|it| it.id),
        "resource": watch.resource.plural,
        "namespace": view.scope.namespace(),
        "labelSelector": view.labels.to_string(),
        "encoding": format!("{:?}", view.encoding),
        "since": watch.since.to_string(),
        "eventsBehind": watch.behind(),
        "eventsSent": watch.n_events.load(Ordering::Relaxed),
        "bytesSent": watch.n_bytes.load(Ordering::Relaxed),
    })
}

impl Collector for DebugState {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let number = |n: u64| ConstGauge::new(i64::try_from(n).unwrap_or(i64::MAX));
        let n_connections = u64::try_from(self.connections.len()).unwrap_or(u64::MAX);
        let connections = encoder.encode_descriptor(
            "heliograph_emitter_connections",
            "Connections that are open",
            None,
            MetricType::Gauge,
        )?;
        number(n_connections).encode(connections)?;
        let mut by_view: BTreeMap<String, u64> = BTreeMap::new();
        let mut behind: BTreeMap<&str, u64> = BTreeMap::new();
        for watch in self.consumers.watches() {
            *by_view.entry(watch.caller.view().to_owned()).or_default() += 1;
            let most = behind.entry(watch.resource.plural).or_default();
            *most = watch.behind().max(*most);
        }
        let mut family = encoder.encode_descriptor(
            "heliograph_emitter_view_watches",
            "Watches that are open, by the consumer's view",
            None,
            MetricType::Gauge,
        )?;
        for (view, n_watches) in by_view {
            number(n_watches).encode(family.encode_family(&[("view", view)])?)?;
        }
        let mut family = encoder.encode_descriptor(
            "heliograph_emitter_watch_lag_events",
            "Events that the slowest watch has not been sent yet",
            None,
            MetricType::Gauge,
        )?;
        for (resource, most) in behind {
            number(most).encode(family.encode_family(&[("resource", resource)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::AcceptDecision;
    use crate::consumers::Caller;
    use crate::limits::{ConnectionLimits, RequestLimits};
    use crate::metrics::Metrics;
    use crate::watch_cache::{Start, tests::cache_and_view};

    #[test]
    fn connected_clients_are_shown_with_their_watches() {
        let metrics = Arc::new(Metrics::default());
        let present = DebugState {
            connections: Connections::new(ConnectionLimits::standard(), Arc::clone(&metrics)),
            consumers: Consumers::new(RequestLimits::standard(), metrics),
        };
        let AcceptDecision::Serve(place) = present.connections.admit("10.0.0.1:9".parse().unwrap())
        else {
            unreachable!("there is room");
        };
        let (cache, view) = cache_and_view();
        let subscription = cache.subscribe(&view, Start::Now).ok().unwrap();
        let caller = Caller {
            name: "west".into(),
            grant: emitter_cache::ViewFilter::default(),
            right: None,
            connection: Some(Arc::clone(&place.connection)),
            consumers: Arc::clone(&present.consumers),
            place: None,
        };
        let session = caller.watch(cache.names(), &subscription.feed, subscription.cursor);
        let session = session.unwrap();
        session.given(7);
        let told = present.describe();
        assert_eq!(told["connections"][0]["address"], "10.0.0.1:9");
        let watch = &told["watches"][0];
        assert_eq!(watch["consumer"], "west");
        assert_eq!(
            (&watch["resource"], &watch["bytesSent"]),
            (&json!("services"), &json!(7))
        );
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(present.clone()));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("heliograph_emitter_connections 1"), "{text}");
        assert!(
            text.contains(r#"heliograph_emitter_view_watches{view="all"} 1"#),
            "{text}"
        );
        drop(session);
        assert_eq!(present.describe()["watches"], json!([]));
    }
}
