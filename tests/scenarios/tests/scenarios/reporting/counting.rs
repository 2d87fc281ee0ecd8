//! What is measured is what happened.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use anyhow::ensure;
use control_plane::{Keeper, Scene};
use serde_json::json;

use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, Program, eventually, mirror, program};
use crate::old_rbac::{account, mirror_rules};
use crate::rbac::kubeconfig_of;

const REFLECTOR: &str = "reflector";
const SEMAPHORE: &str = "semaphore_service_mirror";

/// How often something was done, by its verb, resource and code.
type Counts = BTreeMap<(String, String, u16), usize>;

/// What the API server noted of it.
fn noted(local: &Cluster) -> anyhow::Result<Counts> {
    let mut counts = Counts::new();
    for it in its(local)? {
        *counts.entry(it).or_default() += 1;
    }
    Ok(counts)
}

fn its(local: &Cluster) -> anyhow::Result<Vec<(String, String, u16)>> {
    let events = local.plane.audit_events()?.into_iter();
    let its = events.filter(|it| it.user.ends_with(&format!(":{MIRRORS}:{REFLECTOR}")));
    Ok(its.map(|it| (it.verb, it.resource, it.code)).collect())
}

async fn writes_are_counted(reflector: &Program, local: &Cluster) -> anyhow::Result<()> {
    let is_ours = |(verb, resource, code): &(String, String, u16)| {
        let mirrors = ["services", "endpointslices"];
        let verbs = ["create", "update", "delete"];
        *code < 300 && mirrors.contains(&&**resource) && verbs.contains(&&**verb)
    };
    let all = r#"source="east""#.to_owned();
    let mut n_all = 0;
    for ((verb, resource, _), n) in noted(local)?.into_iter().filter(|(it, _)| is_ours(it)) {
        let verb = format!(r#"verb="{verb}""#);
        let resource = format!(r#"resource="{resource}""#);
        let ok = r#"result="ok""#.to_owned();
        let labels = [&all, &verb, &resource, &ok].map(String::as_str);
        let n_writes = sum(reflector, "heliograph_reflector_writes_total", &labels).await?;
        ensure!(is(n_writes, n), "{verb} {resource}: {n_writes}, not {n}");
        n_all += n;
    }
    let n_writes = sum(reflector, "heliograph_reflector_writes_total", &[&all]).await?;
    ensure!(0 < n_all && is(n_writes, n_all), "{n_writes}, not {n_all}");
    Ok(())
}

/// The sum over all samples that have these labels.
async fn sum(reflector: &Program, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
    let text = reflector.admin("/metrics").await?;
    let samples = text.lines().filter(|line| {
        let is_it = line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "));
        is_it && labels.iter().all(|it| line.contains(it))
    });
    let values = samples.filter_map(|it| it.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

/// Counts are whole numbers.
fn is(found: f64, n: usize) -> bool {
    (found - n as f64).abs() < 0.5
}

async fn requests_are_counted(reflector: &Program, local: &Cluster) -> anyhow::Result<()> {
    let mut expected: BTreeMap<(String, u16), usize> = BTreeMap::new();
    for (verb, _, code) in its(local)? {
        *expected.entry((verb, code)).or_default() += 1;
    }
    for ((verb, code), n) in expected {
        let verb = format!(r#"verb="{verb}""#);
        let code = format!(r#"code="{code}""#);
        let labels = [r#"cluster="local""#, &verb, &code];
        let found = sum(
            reflector,
            "heliograph_reflector_client_requests_total",
            &labels,
        )
        .await?;
        ensure!(is(found, n), "{verb} {code}: {found}, not {n}");
    }
    let all = [r#"cluster="local""#];
    let n_requests = sum(
        reflector,
        "heliograph_reflector_client_requests_total",
        &all,
    )
    .await?;
    let durations = "heliograph_reflector_client_request_duration_seconds_count";
    let n_durations = sum(reflector, durations, &all).await?;
    ensure!(is(n_requests - n_durations, 0), "{n_durations} durations");
    Ok(())
}

async fn watchers_saw(reflector: &Program, expected: &[(&str, &str, usize)]) -> anyhow::Result<()> {
    for (watcher, event, n) in expected {
        let watcher = format!(r#"watcher="east-{watcher}""#);
        let event = format!(r#"event_type="{event}""#);
        let name = format!("{SEMAPHORE}_kube_watcher_events_total");
        let found = sum(reflector, &name, &[&watcher, &event]).await?;
        ensure!(is(found, *n), "{watcher} {event}: {found}, not {n}");
    }
    Ok(())
}

/// A reflector with an account of its own, which reads a source in that way.
async fn reflecting(
    lab: &Lab,
    (east, local): (&Cluster, &Cluster),
    keeper: &Keeper,
    from: &str,
) -> anyhow::Result<Program> {
    let config = json!({
        "mirrorNamespace": MIRRORS,
        "semaphoreMetrics": true,
        "sources": [{
            "name": "east", "prefix": "east", "kubeconfig": east.plane.kubeconfig(),
            "selector": format!("{EXPORT}=true"), "endpointsFrom": from,
        }],
    });
    let mut command = Command::new(program("reflector")?);
    command.arg("--config");
    command.arg(lab.file(&format!("{from}.json"), &config.to_string())?);
    command.arg("--kubeconfig");
    command.arg(kubeconfig_of(local, MIRRORS, REFLECTOR, keeper).await?);
    let reflector = lab.start(&format!("reflector-{from}"), command, None)?;
    reflector.ready().await?;
    Ok(reflector)
}

pub(crate) async fn the_measured_time_is_that_of_the_change(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const N_CHANGES: usize = 20;
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let keeper = Keeper::new("counting")?;
    let verbs = ["get", "list", "watch", "create", "update", "delete"];
    let account = account(REFLECTOR, MIRRORS, "ClusterRole", &mirror_rules(&verbs));
    local.plane.kubectl().apply(&account).await?;
    let reflector = reflecting(&lab, (&east, &local), &keeper, "endpointSlices").await?;
    east.create_service("web").await?;
    east.create_service("gone").await?;
    // Nobody dates this one, so that it counts for nothing.
    east.set_endpoints("web", &["10.1.0.250"]).await?;
    let web = mirror("east", "web");
    local.eventually_has(&web, &["10.1.0.250"]).await?;
    for i in 1..=N_CHANGES {
        east.change_endpoints("web", &format!("10.1.0.{i}")).await?;
        local
            .eventually_has(&web, &[&format!("10.1.0.{i}")])
            .await?;
    }
    east.delete_service("demo/gone").await?;
    local.eventually_lacks(&mirror("east", "gone")).await?;

    let source = [r#"source="east""#];
    let count = "heliograph_reflector_propagation_seconds_count";
    eventually("each dated change is one of the histogram", async || {
        let n = sum(&reflector, count, &source).await?;
        ensure!(is(n, N_CHANGES), "{n}, not {N_CHANGES}");
        Ok(())
    })
    .await?;
    let total = sum(
        &reflector,
        "heliograph_reflector_propagation_seconds_sum",
        &source,
    )
    .await?;
    ensure!(0.0 < total && total < 60.0 * N_CHANGES as f64, "{total} s");
    let bucket = "heliograph_reflector_propagation_seconds_bucket";
    let within_300 = sum(&reflector, bucket, &[source[0], r#"le="300.0""#]).await?;
    ensure!(is(within_300, N_CHANGES), "{within_300} within 300 s");
    eventually("writes and requests are counted", async || {
        writes_are_counted(&reflector, &local).await?;
        requests_are_counted(&reflector, &local).await
    })
    .await?;
    let seen = [
        ("serviceWatcher", "ADDED", 2),
        ("serviceWatcher", "DELETED", 1),
        ("mirrorServiceWatcher", "ADDED", 2),
        ("mirrorServiceWatcher", "DELETED", 1),
        ("endpointsWatcher", "ADDED", 1),
    ];
    watchers_saw(&reflector, &seen).await?;
    reflector.stop().await?;

    endpoints_are_counted(&lab, (&east, &local), &keeper).await
}

/// The same Service, by the Endpoints that somebody writes.
async fn endpoints_are_counted(
    lab: &Lab,
    (east, local): (&Cluster, &Cluster),
    keeper: &Keeper,
) -> anyhow::Result<()> {
    let web = mirror("east", "web");
    let path = "/api/v1/namespaces/demo/endpoints";
    let endpoints = json!({
        "metadata": {"name": "web", "labels": {EXPORT: "true"}},
        "subsets": [{"addresses": [{"ip": "10.2.0.1"}], "ports": [{"name": "http", "port": 80}]}],
    });
    east.post(path, &endpoints.to_string()).await?;
    let reflector = reflecting(lab, (east, local), keeper, "endpoints").await?;
    local.eventually_has(&web, &["10.2.0.1"]).await?;
    let subsets =
        r#"{"subsets":[{"addresses":[{"ip":"10.2.0.2"}],"ports":[{"name":"http","port":80}]}]}"#;
    east.patch(&format!("{path}/web"), subsets).await?;
    local.eventually_has(&web, &["10.2.0.2"]).await?;
    east.delete(&format!("{path}/web")).await?;
    local.eventually_has(&web, &[]).await?;
    let seen = ["ADDED", "MODIFIED", "DELETED"].map(|it| ("endpointsWatcher", it, 1));
    watchers_saw(&reflector, &seen).await?;
    let status = reflector.status().await?;
    let resource = &status["sources"][0]["resources"][1]["resource"];
    ensure!(resource == "endpoints", "{status}");
    Ok(())
}
