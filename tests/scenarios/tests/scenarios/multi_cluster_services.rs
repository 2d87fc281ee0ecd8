//! The Multi-Cluster Services API on two clusters, as its conformance suite asks for it.

pub(crate) mod adoption;
pub(crate) mod emitters;
mod explain;
pub(crate) mod exporting;
pub(crate) mod holding;
pub(crate) mod lifecycle;
pub(crate) mod policies;
mod selection;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::{Value, json};

use crate::lab::{Cluster, Lab, Program, eventually, meanwhile};

pub(crate) use setup::install;
use setup::{clusters, configuration, start};

pub(crate) const API: &str = "/apis/multicluster.x-k8s.io/v1beta1/namespaces/demo";

/// Two clusters of a clusterset, each with a reflector that reads the other.
struct ClusterSet {
    east: Cluster,
    west: Cluster,
    reflectors: [Program; 2],
    /// Keeps the programs.
    _lab: Lab,
}

impl ClusterSet {
    /// Starts reflectors before the CRDs are there.
    async fn start(scene: Arc<Scene>) -> anyhow::Result<Self> {
        let lab = Lab::new(scene)?;
        let (east, west) = tokio::try_join!(lab.cluster("east"), lab.cluster("west"))?;
        let one = start(&lab, &east, &configuration(&east, &west)).await?;
        let other = start(&lab, &west, &configuration(&west, &east)).await?;
        for cluster in [&east, &west] {
            install(cluster).await?;
        }
        Ok(Self {
            east,
            west,
            reflectors: [one, other],
            _lab: lab,
        })
    }

    const fn both(&self) -> [&Cluster; 2] {
        [&self.east, &self.west]
    }

    async fn eventually_have_slices(&self, n: usize) -> anyhow::Result<()> {
        for cluster in self.both() {
            eventually(&format!("there are {n} EndpointSlices"), async || {
                let slices = slices(cluster, "web").await?;
                ensure!(slices.len() == n, "{slices:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

pub(crate) async fn export(cluster: &Cluster, name: &str, spec: &Value) -> anyhow::Result<()> {
    let export = json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
        "metadata": {"name": name}, "spec": spec,
    });
    let path = format!("{API}/serviceexports");
    cluster.post(&path, &export.to_string()).await
}

async fn unexport(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    cluster
        .delete(&format!("{API}/serviceexports/{name}"))
        .await
}

pub(crate) async fn import(cluster: &Cluster, name: &str) -> anyhow::Result<Option<Value>> {
    match cluster.read(&format!("{API}/serviceimports/{name}")).await {
        Ok(import) => Ok(Some(import)),
        Err(error) if format!("{error:#}").contains("not found") => Ok(None),
        Err(error) => Err(error),
    }
}

async fn imported(cluster: &Cluster, name: &str) -> anyhow::Result<Value> {
    let import = import(cluster, name).await?;
    import.with_context(|| format!("{} has no import of {name}", cluster.plane.name()))
}

/// A condition of a ServiceExport, as STATUS/REASON.
async fn condition(cluster: &Cluster, name: &str, of: &str) -> anyhow::Result<String> {
    let export = cluster
        .read(&format!("{API}/serviceexports/{name}"))
        .await?;
    let conditions = export["status"]["conditions"].as_array();
    let condition = conditions.into_iter().flatten().find(|it| it["type"] == of);
    let condition = condition.with_context(|| format!("no condition {of}: {export}"))?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    Ok(format!("{}/{}", text("status"), text("reason")))
}

pub(crate) async fn slices(cluster: &Cluster, name: &str) -> anyhow::Result<Vec<Value>> {
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices\
         ?labelSelector=multicluster.kubernetes.io/service-name%3D{name}"
    );
    let list = cluster.read(&path).await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

async fn service(cluster: &Cluster, spec: &Value) -> anyhow::Result<()> {
    cluster.create_service_with("web", &spec.to_string()).await
}

pub(crate) async fn an_exported_service_is_imported_in_every_cluster(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let set = ClusterSet::start(scene).await?;
    let (east, west) = (&set.east, &set.west);
    export(east, "web", &json!({"exportedLabels": {"team": "a"}})).await?;
    eventually("an export without a Service says so", async || {
        ensure!(condition(east, "web", "Valid").await? == "False/NoService");
        Ok(())
    })
    .await?;
    set.says_why("ExportInvalid", "there is no Service of this name")
        .await?;
    let spec = full_spec();
    service(east, &spec).await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    for cluster in set.both() {
        eventually("the import shows the Service", async || {
            shows_the_service(&imported(cluster, "web").await?)?;
            has_copies(cluster).await
        })
        .await?;
    }
    set.says_why("", "demo/web is imported as its clusters export it (east)")
        .await?;
    for (name, expected) in [
        ("Valid", "True/Valid"),
        ("Ready", "True/Ready"),
        ("Conflict", "False/NoConflicts"),
    ] {
        let now = condition(east, "web", name).await?;
        ensure!(now == expected, "{name}: {now}");
    }
    // The second exporter keeps the import when the first ends its export.
    service(west, &spec).await?;
    west.set_endpoints("web", &["10.2.0.1"]).await?;
    export(west, "web", &json!({})).await?;
    set.eventually_have_slices(2).await?;
    unexport(east, "web").await?;
    set.eventually_have_slices(1).await?;
    for cluster in set.both() {
        imported(cluster, "web").await?;
    }
    unexport(west, "web").await?;
    set.eventually_have_slices(0).await?;
    for cluster in set.both() {
        eventually("the import is gone", async || {
            ensure!(import(cluster, "web").await?.is_none());
            Ok(())
        })
        .await?;
        ensure!(
            cluster.service("demo/web").await?.is_some(),
            "the Service stays"
        );
    }
    Ok(())
}

/// A Service with every property that an import shows.
fn full_spec() -> Value {
    json!({
        "ports": [
            {"name": "tcp", "port": 42, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
            {"name": "udp", "port": 42, "protocol": "UDP"},
        ],
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10}},
        "trafficDistribution": "PreferClose",
    })
}

fn shows_the_service(import: &Value) -> anyhow::Result<()> {
    let spec = &import["spec"];
    ensure!(spec["type"] == "ClusterSetIP", "{spec}");
    ensure!(
        spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] == 10,
        "{spec}"
    );
    ensure!(spec["internalTrafficPolicy"] == "Cluster", "{spec}");
    ensure!(spec["trafficDistribution"] == "PreferClose", "{spec}");
    ensure!(spec["ips"].as_array().map(Vec::len) == Some(1), "{spec}");
    ensure!(spec["ipFamilies"] == json!(["IPv4"]), "{spec}");
    ensure!(
        spec["ports"][0]["appProtocol"] == "kubernetes.io/h2c",
        "{spec}"
    );
    ensure!(spec["ports"].as_array().map(Vec::len) == Some(2), "{spec}");
    ensure!(import["metadata"]["labels"]["team"] == "a", "{import}");
    let status = &import["status"];
    ensure!(
        status["clusters"] == json!([{"cluster": "east"}]),
        "{status}"
    );
    ensure!(status["endpointSliceObjects"] == "Present", "{status}");
    Ok(())
}

/// Checks the labels by which CoreDNS and kube-proxy find the EndpointSlices.
async fn has_copies(cluster: &Cluster) -> anyhow::Result<()> {
    let import = imported(cluster, "web").await?;
    let slices = slices(cluster, "web").await?;
    ensure!(slices.len() == 1, "{slices:?}");
    let labels = &slices[0]["metadata"]["labels"];
    ensure!(
        labels["multicluster.kubernetes.io/source-cluster"] == "east",
        "{labels}"
    );
    let annotations = &import["metadata"]["annotations"];
    let derived = &annotations["multicluster.kubernetes.io/derived-service"];
    ensure!(labels["kubernetes.io/service-name"] == *derived, "{labels}");
    Ok(())
}

pub(crate) async fn exports_that_differ_are_in_conflict_in_both_clusters(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let set = ClusterSet::start(scene).await?;
    let (east, west) = (&set.east, &set.west);
    let port = |name: &str, number: u16| json!([{"name": name, "port": number}]);
    service(east, &json!({"ports": port("tcp", 42)})).await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    export(east, "web", &json!({"exportedLabels": {"a": "east"}})).await?;
    eventually("east is imported", async || {
        imported(west, "web").await.map(drop)
    })
    .await?;
    // Creation times are whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let headless = json!({"clusterIP": "None", "ports": port("tcp", 4242)});
    service(west, &headless).await?;
    west.set_endpoints("web", &["10.2.0.1"]).await?;
    export(west, "web", &json!({"exportedLabels": {"a": "west"}})).await?;
    let expected = "True/PortConflict,TypeConflict,LabelsConflict";
    for cluster in set.both() {
        eventually("the conflict is reported", async || {
            let conflict = condition(cluster, "web", "Conflict").await?;
            ensure!(conflict == expected, "{conflict}");
            let import = imported(cluster, "web").await?;
            ensure!(import["spec"]["type"] == "ClusterSetIP", "{import}");
            ensure!(import["spec"]["ports"][0]["port"] == 42, "{import}");
            ensure!(import["metadata"]["labels"]["a"] == "east", "{import}");
            Ok(())
        })
        .await?;
    }
    // A Service without endpoints of its own: ExternalName ends the export of east.
    east.delete_service("demo/web").await?;
    service(
        east,
        &json!({"type": "ExternalName", "externalName": "example.com"}),
    )
    .await?;
    eventually("an ExternalName is not exported", async || {
        let valid = condition(east, "web", "Valid").await?;
        ensure!(valid == "False/InvalidServiceType", "{valid}");
        let import = imported(east, "web").await?;
        ensure!(import["spec"]["type"] == "Headless", "{import}");
        ensure!(import["spec"].get("ips").is_none(), "{import}");
        ensure!(
            import["status"]["clusters"] == json!([{"cluster": "west"}]),
            "{import}"
        );
        let conflict = condition(west, "web", "Conflict").await?;
        ensure!(conflict == "False/NoConflicts", "{conflict}");
        Ok(())
    })
    .await
}

/// The first address of each slice of an import.
async fn addresses(cluster: &Cluster) -> anyhow::Result<String> {
    let slices = slices(cluster, "web").await?;
    let address = |it: &Value| it["endpoints"][0]["addresses"][0].to_string();
    let mut all: Vec<_> = slices.iter().map(address).collect();
    all.sort();
    Ok(all.join(" "))
}

pub(crate) async fn imports_outlive_restarts_and_disconnections(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let set = ClusterSet::start(scene).await?;
    let (east, west) = (&set.east, &set.west);
    for (cluster, address) in [(east, "10.1.0.1"), (west, "10.2.0.1")] {
        service(cluster, &json!({"ports": [{"name": "http", "port": 80}]})).await?;
        cluster.set_endpoints("web", &[address]).await?;
        export(cluster, "web", &json!({})).await?;
    }
    let both = r#""10.1.0.1" "10.2.0.1""#;
    eventually("east has both", async || {
        let found = addresses(east).await?;
        ensure!(found == both, "{found}");
        Ok(())
    })
    .await?;
    // The import is written last.
    eventually("east has an import", async || {
        let import = imported(east, "web").await?;
        ensure!(import["spec"]["ips"].is_array(), "{import}");
        Ok(())
    })
    .await?;
    let ips = imported(east, "web").await?["spec"]["ips"].clone();
    let [reflector, _] = &set.reflectors;
    // A restart while the other cluster cannot be reached.
    west.plane.stop_apiserver().await?;
    reflector.kill().await?;
    reflector.start().await?;
    meanwhile("the other cluster's endpoints stay", async || {
        let found = addresses(east).await?;
        ensure!(found == both, "{found}");
        ensure!(imported(east, "web").await?["spec"]["ips"] == ips);
        Ok(())
    })
    .await?;
    eventually("the import names the silent cluster", async || {
        let import = imported(east, "web").await?;
        let conditions = import["status"]["conditions"].as_array();
        let stale = conditions
            .into_iter()
            .flatten()
            .find(|it| it["type"] == "Stale");
        let stale = stale.context("no condition Stale")?;
        ensure!(stale["status"] == "True", "{stale}");
        ensure!(stale["message"].to_string().contains("west"), "{stale}");
        Ok(())
    })
    .await?;
    west.plane.start_apiserver().await?;
    unexport(west, "web").await?;
    eventually("what was un-exported is gone", async || {
        let found = addresses(east).await?;
        ensure!(found == r#""10.1.0.1""#, "{found}");
        ensure!(imported(east, "web").await?["spec"]["ips"] == ips);
        Ok(())
    })
    .await
}
