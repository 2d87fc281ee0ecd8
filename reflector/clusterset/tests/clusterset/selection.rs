//! Cluster selectors and the failover order decide which clusters serve an import.

use reflector_clusterset::{ClusterSettings, Settings, Update, actions, explain, plan, problems};
use reflector_planner::{Import, RemovedSources};
use serde_json::{Value, json};

use crate::lab::{Lab, NOW, VERSION, exported, id, service, slice, web};

const OLD: &str = "2025-01-01T00:00:00Z";

/// The own cluster first, then those of its region.
const LOCALITY: &str = "
- propertySelector:
    matchExpressions:
    - {key: cluster.clusterset.k8s.io, operator: In, values: ['@SameAsImporter@']}
- propertySelector:
    matchProperties: {region: '@SameAsImporter@'}
";

/// Settings of a cluster whose cluster selectors count.
pub(crate) fn decides() -> ClusterSettings {
    ClusterSettings {
        decides_selection: true,
        ..ClusterSettings::default()
    }
}

fn selecting(text: &str) -> Value {
    let mut export = exported(OLD);
    export["metadata"]["annotations"] = json!({"heliograph.dev/cluster-selectors": text});
    export
}

fn region(lab: &mut Lab, cluster: &str, region: &str) {
    let properties = [("region".into(), region.into())].into();
    lab.set.update(Update::Properties(id(cluster), properties));
}

/// Three clusters that export `demo/web`; east and north are in one region.
fn lab(selectors: Option<&str>) -> Lab {
    let mut lab = Lab::new();
    for (cluster, address) in [
        ("east", "10.1.0.1"),
        ("west", "10.2.0.1"),
        ("north", "10.3.0.1"),
    ] {
        lab.exports(cluster, OLD, address);
        if let Some(text) = selectors {
            lab.export(cluster, &selecting(text));
        }
        region(
            &mut lab,
            cluster,
            if cluster == "west" { "us" } else { "eu" },
        );
    }
    lab.settle();
    lab
}

fn ready(lab: &mut Lab, cluster: &str, address: &str, is_ready: bool) {
    let mut changed = slice("web-1", address);
    changed["endpoints"][0]["conditions"] = json!({"ready": is_ready, "serving": is_ready});
    lab.slice(cluster, &changed);
    lab.settle();
}

/// The clusters whose EndpointSlices kube-proxy takes, in their order, and the number of all.
fn serving(lab: &Lab) -> (Vec<String>, usize) {
    let slices = lab
        .objects
        .iter()
        .filter(|((it, _), _)| *it == "endpointslices");
    let (mut clusters, mut n) = (Vec::new(), 0);
    for (_, slice) in slices {
        n += 1;
        let labels = &slice["metadata"]["labels"];
        let cluster = labels["multicluster.kubernetes.io/source-cluster"]
            .as_str()
            .unwrap();
        if !labels["kubernetes.io/service-name"].is_null() {
            clusters.push(cluster.to_owned());
        }
    }
    clusters.sort();
    (clusters, n)
}

fn explained(lab: &Lab) -> String {
    let plan = plan(&lab.set, &web()).unwrap();
    let due = actions(&lab.set, &web(), &plan, VERSION, NOW);
    explain(&lab.set, &web(), &plan, &due).to_string()
}

#[test]
fn the_first_set_with_a_ready_endpoint_serves() {
    let mut lab = lab(Some(LOCALITY));
    let all = 3;
    assert_eq!(serving(&lab), (vec!["east".to_owned()], all));
    assert!(
        explained(&lab).contains("set 1 of 2 serves"),
        "{}",
        explained(&lab)
    );
    let import = lab.import().unwrap();
    assert_eq!(
        import["status"]["clusterSelectorResults"],
        json!([{"clusters": ["east"]}, {"clusters": ["east", "north"]}])
    );
    assert_eq!(
        import["spec"]["clusterSelectors"].as_array().unwrap().len(),
        2
    );
    ready(&mut lab, "east", "10.1.0.1", false);
    assert_eq!(serving(&lab).0, ["east", "north"]);
    ready(&mut lab, "north", "10.3.0.1", false);
    // No set has one: all clusters serve.
    assert_eq!(serving(&lab).0, ["east", "north", "west"]);
    assert!(explained(&lab).contains("all clusters serve"));
    ready(&mut lab, "east", "10.1.0.1", true);
    assert_eq!(serving(&lab), (vec!["east".to_owned()], all));
    // Results do not follow readiness.
    assert_eq!(
        lab.import().unwrap()["status"]["clusterSelectorResults"][1],
        json!({"clusters": ["east", "north"]})
    );
}

#[test]
fn without_selectors_all_serve_or_the_configured_order_does() {
    let mut lab = lab(None);
    assert_eq!(serving(&lab).0, ["east", "north", "west"]);
    let settings = Settings {
        failover: vec![id("north"), id("east")],
        ..lab.set.settings().clone()
    };
    lab.set.reconfigure(settings, &[].into());
    lab.settle();
    assert_eq!(serving(&lab).0, ["north"]);
    ready(&mut lab, "north", "10.3.0.1", false);
    assert_eq!(serving(&lab).0, ["east"]);
    // Selectors of an export go before it.
    lab.export(
        "west",
        &selecting("[{propertySelector: {matchProperties: {region: us}}}]"),
    );
    lab.export(
        "north",
        &selecting("[{propertySelector: {matchProperties: {region: us}}}]"),
    );
    lab.export(
        "east",
        &selecting("[{propertySelector: {matchProperties: {region: us}}}]"),
    );
    lab.settle();
    assert_eq!(serving(&lab).0, ["west"]);
}

#[test]
fn unknown_endpoints_and_properties_are_no_reason_for_a_failover() {
    for unlisted in ["slices", "all"] {
        let before = lab(Some(LOCALITY));
        let mut fresh = Lab::unlisted(RemovedSources::Keep);
        fresh.objects = before.objects;
        fresh.list_local();
        for (cluster, address) in [("west", "10.2.0.1"), ("north", "10.3.0.1")] {
            fresh.list(cluster);
            fresh.exports(cluster, OLD, address);
            fresh.export(cluster, &selecting(LOCALITY));
        }
        if unlisted == "slices" {
            let exports = Update::Exports(id("east"), reflector_clusterset::Change::Listed(vec![]));
            fresh.set.update(exports);
            let services = reflector_clusterset::Change::Listed(vec![]);
            fresh.set.update(Update::Services(id("east"), services));
            fresh.service("east", &crate::lab::http());
            fresh.export("east", &selecting(LOCALITY));
        }
        fresh.settle();
        assert_eq!(serving(&fresh).0, ["east"], "{unlisted}");
        // Nor are properties that were not read.
        fresh.list("east");
        fresh.exports("east", OLD, "10.1.0.1");
        fresh.export("east", &selecting(LOCALITY));
        ready(&mut fresh, "east", "10.1.0.1", false);
        assert_eq!(serving(&fresh).0, ["east"], "{unlisted}");
        for cluster in ["east", "north"] {
            region(&mut fresh, cluster, "eu");
        }
        region(&mut fresh, "west", "us");
        fresh.settle();
        assert_eq!(serving(&fresh).0, ["east", "north"]);
    }
}

#[test]
fn a_cluster_that_is_silent_too_long_does_not_serve_first() {
    let mut lab = lab(Some(
        "[{propertySelector: {matchProperties: {region: us}}}]",
    ));
    let mut settings = lab.set.settings().clone();
    let west = ClusterSettings {
        staleness: reflector_planner::Staleness {
            not_ready_after: Some(std::time::Duration::from_secs(10)),
            drop_after: None,
        },
        ..decides()
    };
    settings.clusters.insert(id("west"), west);
    lab.set.reconfigure(settings, &[].into());
    assert_eq!(serving(&lab).0, ["west"]);
    let silent = Update::Slices(id("west"), reflector_clusterset::Change::Disconnected);
    lab.set.update(silent);
    lab.tick(5);
    lab.settle();
    assert_eq!(serving(&lab).0, ["west"]);
    lab.tick(20);
    lab.settle();
    assert_eq!(serving(&lab).0, ["east", "north", "west"]);
}

#[test]
fn selectors_of_a_source_count_only_with_the_right() {
    let mut lab = Lab::new();
    let mut settings = lab.set.settings().clone();
    let west = ClusterSettings {
        import: Some(Import::default()),
        ..ClusterSettings::default()
    };
    settings.clusters.insert(id("west"), west);
    lab.set.reconfigure(settings, &[].into());
    lab.exports("west", OLD, "10.2.0.1");
    lab.exports("east", "2026-01-01T00:00:00Z", "10.1.0.1");
    let all = "[{propertySelector: {matchExpressions: [{key: cluster.clusterset.k8s.io, operator: In, values: [west]}]}}]";
    lab.export("west", &selecting(all));
    lab.settle();
    assert_eq!(serving(&lab).0, ["east", "west"]);
    let plan = plan(&lab.set, &web()).unwrap();
    let told = problems(&lab.set, &web(), &plan);
    let told: Vec<_> = told.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(told, ["PolicyNotAllowed", "ExportConflict"]);
    let mut settings = lab.set.settings().clone();
    if let Some(west) = settings.clusters.get_mut(&id("west")) {
        west.decides_selection = true;
    }
    lab.set.reconfigure(settings, &[].into());
    lab.settle();
    assert_eq!(serving(&lab).0, ["west"]);
}

#[test]
fn selectors_that_differ_or_are_invalid_are_conditions() {
    let condition = |lab: &Lab, of: &str| {
        let plan = plan(&lab.set, &web()).unwrap();
        let all = plan.export.unwrap().into_iter();
        let mut found = all.filter(|it| it.condition_type == of);
        found.next().map(|it| it.reason).unwrap_or_default()
    };
    let mut differing = lab(Some(LOCALITY));
    differing.export("west", &exported("2026-01-01T00:00:00Z"));
    differing.settle();
    assert_eq!(
        condition(&differing, "Conflict"),
        "ClusterSelectorsConflict"
    );
    let mut invalid = lab(None);
    invalid.export("east", &selecting("[{propertySelector: {}}]"));
    invalid.settle();
    assert_eq!(condition(&invalid, "Valid"), "InvalidClusterSelector");
    assert_eq!(
        serving(&invalid),
        (vec!["north".to_owned(), "west".to_owned()], 2)
    );
    let mut headless = Lab::new();
    let mut of_none = service(&json!([{"name": "http", "port": 80, "protocol": "TCP"}]));
    of_none["spec"]["clusterIP"] = json!("None");
    headless.service("east", &of_none);
    headless.export("east", &selecting(LOCALITY));
    headless.settle();
    assert_eq!(condition(&headless, "Valid"), "InvalidServiceType");
    assert!(headless.import().is_none());
}

#[test]
fn a_schema_without_the_fields_is_written_once() {
    let mut lab = Lab::new();
    lab.drops = vec![
        ("status", "clusterSelectorResults"),
        ("spec", "clusterSelectors"),
    ];
    lab.exports("west", OLD, "10.2.0.1");
    lab.export("west", &selecting(LOCALITY));
    lab.settle();
    let import = lab.import().unwrap();
    assert!(import["spec"]["clusterSelectors"].is_null(), "{import}");
    assert_eq!(lab.settle(), [""; 0]);
}
