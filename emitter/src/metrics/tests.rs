//! Names are stable, and what stands on them stands on names that there are.

use std::collections::BTreeSet;

use crate::connections::Connections;
use crate::consumers::Consumers;
use crate::debug::DebugState;
use crate::limits::{ConnectionLimits, RequestLimits};
use crate::tls::{Certificate, Certificates, Expirations, Sources, Suites};
use crate::watch_cache::tests::cache_and_view;

use super::{Arc, Eviction, Limit, Metrics, Registry};

const DASHBOARD: &str = include_str!("../../../manifests/dashboards/emitter.json");
const OPERATING: &str = include_str!("../../../docs/operating.md");

/// Other texts with names of metrics.
fn texts() -> [(&'static str, &'static str); 4] {
    [
        (
            "alerts",
            include_str!("../../../charts/heliograph/files/rules.yaml"),
        ),
        (
            "tests of alerts",
            include_str!("../../../manifests/monitoring/rules.test.yaml"),
        ),
        (
            "fleet",
            include_str!("../../../manifests/dashboards/fleet.json"),
        ),
        ("runbooks", include_str!("../../../docs/runbooks.md")),
    ]
}

/// Every name, as it is in queries.
fn names() -> BTreeSet<String> {
    let mut registry = Registry::default();
    let (cache, _) = cache_and_view();
    let metrics = Metrics::register(&mut registry);
    registry.register_collector(Box::new(crate::watch_cache::Collected(vec![Arc::new(
        cache,
    )])));
    touch(&metrics);
    let present = DebugState {
        connections: Connections::new(ConnectionLimits::standard(), Arc::clone(&metrics)),
        consumers: Consumers::new(RequestLimits::standard(), metrics),
    };
    registry.register_collector(Box::new(present));
    registry.register_collector(Box::new(Expirations(self_signed())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names = types.filter_map(|line| match line.split_once(' ')? {
        (name, "counter") => Some(format!("{name}_total")),
        (name, _) => Some(name.to_owned()),
    });
    names.collect()
}

fn self_signed() -> Arc<Certificates> {
    runtime::client::install_crypto();
    let sources = Sources {
        certificate: Certificate::SelfSigned,
        named: Vec::new(),
        suites: Suites::default(),
        client_ca: None,
    };
    Certificates::load(sources).unwrap()
}

/// What has never been counted is not there.
fn touch(metrics: &Metrics) {
    let names = proto_types::Resource::Services.names();
    metrics.listed(names);
    metrics.watch_opened(names).sent(1);
    metrics.watch_evicted(names, Eviction::Slow);
    metrics.upstream_failed(names);
    metrics.upstream_heard(names, jiff::Timestamp::UNIX_EPOCH);
    metrics.refused(Limit::Watches);
    metrics.reloaded("tokens", true);
    metrics.authenticated("token");
    metrics.authorized(true);
    metrics.count_request("all", true);
}

/// The names of ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    let ours = words.filter(|word| word.starts_with("heliograph_emitter_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    assert_eq!(named(DASHBOARD), names());
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    assert!(
        dashboard["panels"]
            .as_array()
            .is_some_and(|it| !it.is_empty())
    );
}

#[test]
fn alerts_dashboards_and_pages_name_metrics_that_exist() {
    for (place, text) in texts() {
        let unknown: Vec<_> = named(text).difference(&names()).cloned().collect();
        assert!(unknown.is_empty(), "{place}: {unknown:?}");
    }
}

#[test]
fn every_metric_is_documented() {
    let documented = named(OPERATING);
    assert_eq!(documented, names());
}
