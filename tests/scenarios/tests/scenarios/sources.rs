//! Sources that are objects of the CustomResourceDefinition `Source`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::configuration::ByFile;
use crate::lab::{Cluster, Lab, MIRRORS, eventually, mirror};
use crate::manifests::repository;

const SOURCES: &str = "/apis/heliograph.dev/v1alpha1/namespaces/demo/sources";

/// Installs the CRD, and waits until it is served.
pub(crate) async fn install(cluster: &Cluster) -> anyhow::Result<()> {
    let kubectl = cluster.plane.kubectl();
    let file = repository("manifests/source-crd/crd.yaml");
    let file = file.to_str().context("a path is text")?;
    kubectl.run(["apply", "--server-side", "-f", file]).await?;
    let crd = "crd/sources.heliograph.dev";
    let established = "--for=condition=Established";
    kubectl.run(["wait", established, crd]).await?;
    // Discovery lags behind the condition.
    eventually("the API is served", async || {
        cluster.read(SOURCES).await.map(drop)
    })
    .await
}

fn source(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "heliograph.dev/v1alpha1", "kind": "Source",
        "metadata": {"name": name, "namespace": "demo"}, "spec": spec,
    })
}

pub(crate) async fn apply(cluster: &Cluster, name: &str, spec: &Value) -> anyhow::Result<String> {
    let source = source(name, spec).to_string();
    cluster.plane.kubectl().apply(&source).await
}

async fn delete(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    cluster.delete(&format!("{SOURCES}/{name}")).await
}

/// A condition of a Source, as STATUS/REASON: MESSAGE.
async fn condition(cluster: &Cluster, name: &str, kind: &str) -> anyhow::Result<String> {
    let source = cluster.read(&format!("{SOURCES}/{name}")).await?;
    let conditions = source["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let it = conditions.find(|it| it["type"] == kind);
    let it = it.with_context(|| format!("no condition {kind}: {source}"))?;
    let text = |field: &str| it[field].as_str().unwrap_or_default();
    let (status, reason) = (text("status"), text("reason"));
    Ok(format!("{status}/{reason}: {}", text("message")))
}

async fn eventually_is(
    cluster: &Cluster,
    (name, kind): (&str, &str),
    words: &[&str],
) -> anyhow::Result<()> {
    eventually(&format!("{name} is {kind} {words:?}"), async || {
        let now = condition(cluster, name, kind).await?;
        ensure!(words.iter().all(|it| now.contains(it)), "{now}");
        Ok(())
    })
    .await
}

async fn is_synced(cluster: &Cluster, names: &str) -> anyhow::Result<()> {
    let words = [
        "wait",
        "--for=condition=Synced",
        names,
        "-n",
        "demo",
        "--timeout=60s",
    ];
    cluster.plane.kubectl().run(words).await.map(drop)
}

/// Writes of Sources that the API server answered with success, tests' own left out.
fn status_writes(cluster: &Cluster) -> anyhow::Result<usize> {
    let events = cluster.plane.audit_events()?;
    let writes = events.iter().filter(|it| {
        it.is_write() && it.uri.contains("/sources/") && it.uri.contains("/status") && it.code < 300
    });
    Ok(writes.count())
}

fn config(sources: &Value) -> Value {
    json!({
        "mirrorNamespace": MIRRORS, "removedSources": "delete", "sources": sources,
        "sourcesFromCRD": {"namespace": "demo"},
    })
}

pub(crate) async fn source_objects_come_change_and_go(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let at = |prefix: &str| json!({"url": emitter.url, "prefix": prefix});
    let filed = json!([{"name": "filed", "url": emitter.url, "prefix": "filed"}]);
    let record = ["--state-namespace=demo"];
    let mut it = ByFile::start_with(&lab, &local, &config(&filed), &record).await?;
    let [filed, mine, changed] = ["filed", "east", "moved"].map(|it| mirror(it, "web"));
    local.eventually_has(&filed, &["10.1.0.1"]).await?;
    it.eventually_says("does not serve sources.heliograph.dev")
        .await?;

    // The CRD comes later, and so do Sources.
    install(&local).await?;
    for name in ["east", "west"] {
        apply(&local, name, &at(name)).await?;
    }
    local.eventually_has(&mine, &["10.1.0.1"]).await?;
    is_synced(&local, "source/east").await?;
    it.eventually_does_not_say("does not serve").await?;
    let table = local
        .plane
        .kubectl()
        .run(["get", "hsrc", "east", "-n", "demo"])
        .await?;
    ensure!(
        table.contains("MIRRORED") && table.contains("True"),
        "{table}"
    );

    // What is wrong is refused, by the API server or with a condition, and hurts no other.
    api_server_refuses(&local).await?;
    refused_with_conditions(&local, &at("other")).await?;

    // A wrong change leaves the former spec in effect; a right one is taken over.
    local
        .patch(&format!("{SOURCES}/east"), r#"{"spec":{"prefix":"filed"}}"#)
        .await?;
    let words = [
        "False/Incompatible",
        "same prefix",
        "generation 1 stays in effect",
    ];
    eventually_is(&local, ("east", "Accepted"), &words).await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    local.eventually_has(&mine, &["10.1.0.2"]).await?;
    local
        .patch(&format!("{SOURCES}/east"), r#"{"spec":{"prefix":"moved"}}"#)
        .await?;
    local.eventually_has(&changed, &["10.1.0.2"]).await?;
    local.eventually_lacks(&mine).await?;
    eventually_is(&local, ("east", "Accepted"), &["True/Accepted"]).await?;

    delete(&local, "east").await?;
    local.eventually_lacks(&changed).await?;
    none_goes_with_the_crd((&east, &local), &mut it, &at).await
}

/// Who deletes the CRD deletes all Sources, and means none of them.
async fn none_goes_with_the_crd(
    (east, local): (&Cluster, &Cluster),
    it: &mut ByFile,
    at: &impl Fn(&str) -> Value,
) -> anyhow::Result<()> {
    let west = mirror("west", "web");
    let held = "missing since the CRD was replaced, not deleted: west;";
    let crd = ["delete", "crd", "sources.heliograph.dev"];
    local.plane.kubectl().run(crd).await?;
    it.eventually_says("does not serve sources.heliograph.dev")
        .await?;
    // Another Source comes back with the CRD, but not this one.
    install(local).await?;
    apply(local, "north", &at("north")).await?;
    it.eventually_says(held).await?;
    east.set_endpoints("web", &["10.1.0.3"]).await?;
    local.eventually_has(&west, &["10.1.0.3"]).await?;
    local
        .eventually_has(&mirror("north", "web"), &["10.1.0.3"])
        .await?;
    // A restart knows no more than the record says.
    it.reflector.stop().await?;
    it.reflector.start().await?;
    it.eventually_says(held).await?;
    ensure!(local.service(&west).await?.is_some(), "{west} is deleted");
    // Evidence is a deletion under the CRD that is there.
    apply(local, "west", &at("west")).await?;
    it.eventually_does_not_say(held).await?;
    delete(local, "west").await?;
    local.eventually_lacks(&west).await
}

/// A spec with a URL and a prefix, and more.
fn spec_with(more: &Value) -> Value {
    let mut spec = json!({"url": "https://a", "prefix": "a"});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

/// Names, specs that the API server rejects, and words of the rejections.
fn rejected() -> Vec<(&'static str, Value, &'static str)> {
    let with = |more: Value| spec_with(&more);
    let place = "give either url or kubeconfig";
    let naming = "give either prefix or sameName";
    let both = json!({"url": "http://a", "kubeconfig": "/k", "prefix": "a"});
    let open = json!({"url": "http://a", "sameName": true});
    let name = json!({"kubeconfig": "/k", "prefix": "a", "serverName": "s"});
    let twice = with(json!({"ca": "x", "caUrl": "https://c"}));
    let dns = with(json!({"endpointsFrom": "dns"}));
    let port = with(json!({"import": {"ports": [0]}}));
    vec![
        ("a", json!({"prefix": "a"}), place),
        ("a", both, place),
        ("a", with(json!({"sameName": true})), naming),
        ("a", open, "import.namespaces.allow"),
        ("a", with(json!({"prefix": "gl"})), "gl is reserved"),
        ("a", with(json!({"prefix": "1st"})), "should match"),
        ("a", with(json!({"url": "ftp://a"})), "should match"),
        ("a", twice, "give either ca or caUrl"),
        ("a", name, "serverName needs url"),
        ("a", with(json!({"color": "red"})), "unknown field"),
        ("a", dns, "Unsupported value"),
        ("a", port, "greater than or equal to 1"),
        ("local", with(json!({})), "local is reserved"),
        ("a.b", with(json!({})), "the name is a DNS label"),
    ]
}

/// The rules of the CRD say what the program says.
pub(crate) async fn api_server_refuses(cluster: &Cluster) -> anyhow::Result<()> {
    for (name, spec, words) in rejected() {
        let refusal = apply(cluster, name, &spec).await;
        let refusal = refusal.err().with_context(|| format!("accepted: {spec}"))?;
        let refusal = format!("{refusal:#}");
        ensure!(refusal.contains(words), "{words}: {refusal}");
    }
    let open = json!({"allow": ["demo"]});
    let staleness = json!({"dropAfter": "1h"});
    for spec in [
        json!({"url": "http://a", "sameName": true, "import": {"namespaces": open}}),
        spec_with(&json!({"staleness": "keep"})),
        spec_with(&json!({"staleness": staleness, "import": {"ports": [80, "8000-8999"]}})),
        spec_with(&json!({"naming": {"namespaceMap": {"a": "b"}}, "zoneMap": {"z1": "a"}})),
    ] {
        let source = source("tried", &spec).to_string();
        let words = ["create", "--dry-run=server", "-f", "-"];
        cluster.plane.kubectl().feed(words, &source).await?;
    }
    Ok(())
}

async fn refused_with_conditions(cluster: &Cluster, good: &Value) -> anyhow::Result<()> {
    let url = &good["url"];
    for (name, spec, words) in [
        (
            "filed",
            good.clone(),
            ["False/NameTaken", "rename the Source"],
        ),
        (
            "wrong",
            json!({"url": url, "prefix": "wrong", "selector": "a in"}),
            ["False/Invalid", "selector"],
        ),
        (
            "file",
            json!({"url": "https://a", "prefix": "file", "tokenFile": "/etc/passwd"}),
            ["False/FileNotAllowed", "sourcesFromCRD.fileDirectory"],
        ),
    ] {
        apply(cluster, name, &spec).await?;
        eventually_is(cluster, (name, "Accepted"), &words).await?;
        eventually_is(cluster, (name, "Synced"), &["Unknown/NotAccepted"]).await?;
        delete(cluster, name).await?;
    }
    Ok(())
}

pub(crate) async fn two_hundred_source_objects_that_are_quiet_cost_no_status(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const N_SOURCES: usize = 200;
    // By default twice the least time between two writes for one Source, and a half.
    let quiet = control_plane::suite::quiet().unwrap_or(Duration::from_secs(25));
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    install(&local).await?;
    let it = ByFile::start(&lab, &local, &config(&json!([]))).await?;
    let begin = Instant::now();
    create_sources(&local, N_SOURCES, &emitter.url).await?;
    let created = begin.elapsed();
    is_synced(&local, "source/s199").await?;
    all_are_whole(&local, N_SOURCES).await?;
    let n_before = status_writes(&local)?;
    eprintln!(
        "{N_SOURCES} Sources created in {created:?}, all synced and counted after {:?}, with {n_before} \
         writes of status",
        begin.elapsed()
    );
    ensure!(n_before <= 4 * N_SOURCES, "{n_before} writes");
    tokio::time::sleep(quiet).await;
    let n_quiet = status_writes(&local)? - n_before;
    eprintln!("{n_quiet} writes of status in {quiet:?} without a change");
    ensure!(n_quiet == 0, "{n_quiet} writes without a change");

    // Endpoints are data, and change no status; a restart finds all as it was.
    east.change_endpoints("web", "10.1.0.2").await?;
    local
        .eventually_has(&mirror("s7", "web"), &["10.1.0.2"])
        .await?;
    it.reflector.stop().await?;
    it.reflector.start().await?;
    east.change_endpoints("web", "10.1.0.3").await?;
    local
        .eventually_has(&mirror("s7", "web"), &["10.1.0.3"])
        .await?;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let n_restart = status_writes(&local)? - n_before;
    eprintln!("{n_restart} writes of status for a restart");
    ensure!(n_restart == 0, "{n_restart} writes for a restart");

    // The loss of all is one write each.
    emitter.kill().await?;
    eventually_is(&local, ("s7", "Reachable"), &["False/Disconnected"]).await?;
    let lost = local.read(&format!("{SOURCES}/s7")).await?;
    ensure!(lost["status"]["lastContactTime"].is_string(), "{lost}");
    // The times of propagation come with it.
    let times = &lost["status"]["propagation"];
    let p50 = times["p50Milliseconds"].as_u64();
    ensure!(
        0 < p50.with_context(|| format!("no times: {lost}"))?,
        "{lost}"
    );
    ensure!(p50 <= times["p99Milliseconds"].as_u64(), "{lost}");
    Ok(())
}

/// Creates Sources with the names and prefixes `s0`, `s1`, and so on, at once.
async fn create_sources(cluster: &Cluster, n: usize, url: &str) -> anyhow::Result<()> {
    let name = |i: usize| format!("s{i}");
    let items = (0..n).map(|i| source(&name(i), &json!({"url": url, "prefix": name(i)})));
    let items: Vec<_> = items.collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let kubectl = cluster.plane.kubectl();
    kubectl
        .feed(["create", "-f", "-"], &list.to_string())
        .await?;
    Ok(())
}

async fn all_are_whole(cluster: &Cluster, n_sources: usize) -> anyhow::Result<()> {
    let is_whole = |it: &Value| {
        let status = &it["status"];
        let conditions = status["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let is_synced = conditions.any(|it| it["type"] == "Synced" && it["status"] == "True");
        is_synced && status["mirrored"] == 1 && status["exported"] == 1
    };
    eventually("all are synced and mirrored", async || {
        let sources = cluster.read(SOURCES).await?;
        let sources = sources["items"].as_array().context("a list has items")?;
        let n = sources.iter().filter(|it| is_whole(it)).count();
        ensure!(n == n_sources, "{n}");
        Ok(())
    })
    .await
}
