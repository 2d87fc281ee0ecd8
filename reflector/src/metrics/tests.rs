use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;

use runtime::client::RequestOutcome;

use super::Metrics;
use super::propagation::took;

/// Names of metrics, as a scrape shows them: with the suffixes of counters.
fn exported() -> BTreeSet<String> {
    let mut names = Vec::new();
    Metrics::named(true, &mut names);
    names.into_iter().collect()
}

/// Names of metrics that the page about operating has in a table.
fn documented() -> BTreeSet<String> {
    let page = include_str!("../../../docs/operating.md");
    let rows = page.lines().filter(|it| it.starts_with("| `"));
    let cells = rows.filter_map(|it| it.split('|').nth(1));
    let names = cells.flat_map(|it| it.split('`').skip(1).step_by(2));
    let ours = |it: &&str| it.starts_with("heliograph_reflector_") || it.starts_with("semaphore_");
    names.filter(ours).map(str::to_owned).collect()
}

/// Names of this program's metrics in a text, without the suffixes of histograms.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    let ours = words.filter(|it| it.starts_with("heliograph_reflector_"));
    let names = ours.map(|it| {
        let suffixes = ["_bucket", "_sum", "_count"];
        let base = suffixes.iter().find_map(|suffix| it.strip_suffix(suffix));
        base.unwrap_or(it).to_owned()
    });
    names.collect()
}

#[test]
fn alerts_dashboards_and_pages_name_metrics_that_exist() {
    for (place, text) in [
        (
            "alerts",
            include_str!("../../../charts/heliograph/files/rules.yaml"),
        ),
        (
            "tests of alerts",
            include_str!("../../../manifests/monitoring/rules.test.yaml"),
        ),
        (
            "dashboard",
            include_str!("../../../manifests/dashboards/reflector.json"),
        ),
        (
            "fleet",
            include_str!("../../../manifests/dashboards/fleet.json"),
        ),
        ("runbooks", include_str!("../../../docs/runbooks.md")),
        ("operating", include_str!("../../../docs/operating.md")),
        (
            "troubleshooting",
            include_str!("../../../docs/troubleshooting.md"),
        ),
    ] {
        let unknown: Vec<_> = named(text).difference(&exported()).cloned().collect();
        assert!(unknown.is_empty(), "{place}: {unknown:?}");
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let shown = named(include_str!("../../../manifests/dashboards/reflector.json"));
    let ours = exported()
        .into_iter()
        .filter(|it| it.starts_with("heliograph_"));
    let missing: Vec<_> = ours.filter(|it| !shown.contains(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn documented_metrics_are_exported_and_no_others() {
    assert_eq!(documented(), exported());
}

#[test]
fn a_scrape_has_the_names_that_are_counted_by() {
    let (metrics, registry) = Metrics::registered(true);
    metrics.record_request(
        "local",
        Some("10.0.0.1:6443"),
        &RequestOutcome {
            verb: "list",
            method: &Method::GET,
            code: Some(StatusCode::OK),
            took: Duration::from_millis(3),
        },
    );
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        r#"heliograph_reflector_client_requests_total{cluster="local",verb="list",code="200"} 1"#,
        r#"heliograph_reflector_client_request_duration_seconds_count{cluster="local",verb="list"} 1"#,
        r#"semaphore_service_mirror_kube_http_request_total{host="10.0.0.1:6443",code="200",method="GET"} 1"#,
        r#"semaphore_service_mirror_kube_http_request_duration_seconds_count{host="10.0.0.1:6443",method="GET"} 1"#,
        "heliograph_reflector_leader 0",
        "heliograph_reflector_config_last_reload_successful 1",
    ] {
        assert!(text.lines().any(|it| it == line), "no {line} in {text}");
    }
}

#[test]
fn semaphores_names_are_there_where_they_are_wanted_alone() {
    let mut text = String::new();
    encode(&mut text, &Metrics::registered(false).1).unwrap();
    assert!(!text.contains("semaphore"), "{text}");
}

#[test]
fn a_change_took_as_long_as_two_clocks_say_and_never_less_than_nothing() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let changed = |second: i64| at(second).to_string();
    for (changed, seconds) in [
        (changed(100), Some(10)),
        (changed(110), Some(0)),
        // The clock of the source is ahead.
        (changed(500), Some(0)),
        // Before this process began.
        (changed(99), None),
        ("yesterday".to_owned(), None),
    ] {
        let found = took(&changed, at(100), at(110));
        assert_eq!(found, seconds.map(Duration::from_secs), "{changed}");
    }
}

#[test]
fn a_slow_change_is_the_exemplar_of_its_bucket() {
    let (metrics, registry) = Metrics::registered(false);
    let key = |name: &str| proto_types::ObjectKey::new("mirrors", name);
    let long = "x".repeat(200);
    for (name, seconds) in [("fast", 0), ("slow", 1), (&long, 4)] {
        let changed = Timestamp::now() - Duration::from_secs(seconds);
        let propagation = metrics.propagation.since(changed - Duration::from_secs(1));
        propagation.observe("east".to_owned(), &changed.to_string(), &key(name));
    }
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let line = |le: &str| {
        let bucket = format!("propagation_seconds_bucket{{le=\"{le}\"");
        text.lines()
            .find(|it| it.contains(&bucket))
            .unwrap()
            .to_owned()
    };
    assert!(!line("0.1").contains('#'), "{}", line("0.1"));
    assert!(
        line("2.5").contains("# {object=\"mirrors/slow\"} 1."),
        "{}",
        line("2.5")
    );
    let longest = line("5.0");
    let (_, exemplar) = longest.split_once("# {object=\"").unwrap();
    assert_eq!(exemplar.split('"').next().unwrap().len(), 120);
}
