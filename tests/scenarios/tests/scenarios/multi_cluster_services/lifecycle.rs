//! How soon imports come and go, and what comes in another order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::json;
use tokio::time::Instant;

use super::{ClusterSet, condition, export, import, imported, service, slices, unexport};
use crate::lab::eventually;

/// Limit of the conformance suite for imports, conditions and their end.
const LIMIT: Duration = Duration::from_secs(20);

/// Waits until it holds in both clusters, and prints how long that took.
async fn timed(what: &str, holds: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let begin = Instant::now();
    eventually(what, holds).await?;
    let took = begin.elapsed();
    eprintln!("{what}: {} ms", took.as_millis());
    ensure!(took < LIMIT, "{what} took {took:?}");
    Ok(())
}

pub(crate) async fn imports_come_and_go_within_the_limits_of_conformance(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let set = ClusterSet::start(scene).await?;
    let (east, west) = (&set.east, &set.west);
    service(east, &json!({"ports": [{"name": "http", "port": 80}]})).await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    export(east, "web", &json!({})).await?;
    timed(
        "the first import after the start, in both clusters",
        async || {
            for cluster in set.both() {
                let import = imported(cluster, "web").await?;
                ensure!(import["spec"]["ips"].is_array(), "{import}");
            }
            Ok(())
        },
    )
    .await?;
    unexport(east, "web").await?;
    timed("no import after an un-export", async || gone(&set).await).await?;
    export(east, "web", &json!({})).await?;
    timed("an import in both clusters", async || {
        for cluster in set.both() {
            let import = imported(cluster, "web").await?;
            ensure!(import["status"]["clusters"].is_array(), "{import}");
            ensure!(slices(cluster, "web").await?.len() == 1);
        }
        ensure!(condition(east, "web", "Ready").await? == "True/Ready");
        Ok(())
    })
    .await?;
    // Somebody else's endpoints of the same name are not among them.
    service(west, &json!({"ports": [{"name": "other", "port": 81}]})).await?;
    west.set_endpoints("web", &["10.2.0.1"]).await?;
    export(west, "web", &json!({})).await?;
    timed("a conflict on both exports", async || {
        for cluster in set.both() {
            let conflict = condition(cluster, "web", "Conflict").await?;
            ensure!(conflict == "True/PortConflict", "{conflict}");
        }
        Ok(())
    })
    .await?;
    east.set_endpoints("web", &["10.1.0.9"]).await?;
    timed("another endpoint in both clusters", async || {
        for cluster in set.both() {
            let all = json!(slices(cluster, "web").await?).to_string();
            ensure!(all.contains("10.1.0.9"), "{all}");
        }
        Ok(())
    })
    .await?;
    unexport(west, "web").await?;
    unexport(east, "web").await?;
    timed("no import after both un-exports", async || gone(&set).await).await
}

async fn gone(set: &ClusterSet) -> anyhow::Result<()> {
    for cluster in set.both() {
        ensure!(
            import(cluster, "web").await?.is_none(),
            "there is an import"
        );
        ensure!(slices(cluster, "web").await?.is_empty(), "there are slices");
    }
    Ok(())
}

pub(crate) async fn services_and_namespaces_come_in_any_order(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let set = ClusterSet::start(scene).await?;
    let (east, west) = (&set.east, &set.west);
    let spec = json!({"ports": [{"name": "http", "port": 80}]});
    service(east, &spec).await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    export(east, "web", &json!({})).await?;
    set.eventually_have_slices(1).await?;
    // A Service that is created again; its export stays.
    east.delete_service("demo/web").await?;
    eventually("the import goes with the Service", async || {
        gone(&set).await?;
        ensure!(condition(east, "web", "Valid").await? == "False/NoService");
        Ok(())
    })
    .await?;
    service(east, &spec).await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    set.eventually_have_slices(1).await?;
    // Labels of the Service and of its slice travel nowhere and make no second copy.
    let labelled = r#"{"metadata":{"labels":{"team":"b"}}}"#;
    east.patch_service("demo/web", labelled).await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    eventually("the endpoint is another one", async || {
        for cluster in set.both() {
            let slices = slices(cluster, "web").await?;
            ensure!(slices.len() == 1, "{slices:?}");
            let address = &slices[0]["endpoints"][0]["addresses"][0];
            ensure!(address == "10.1.0.2", "{address}");
            let import = imported(cluster, "web").await?;
            ensure!(import["metadata"]["labels"].get("team").is_none());
        }
        Ok(())
    })
    .await?;
    // A namespace that one cluster gets later.
    east.create_namespace("later").await?;
    let api = super::API.replace("/demo", "/later");
    let service = json!({"metadata": {"name": "api"}, "spec": spec});
    east.post("/api/v1/namespaces/later/services", &service.to_string())
        .await?;
    let export = json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
        "metadata": {"name": "api"},
    });
    east.post(&format!("{api}/serviceexports"), &export.to_string())
        .await?;
    let import = format!("{api}/serviceimports/api");
    eventually("the exporter imports", async || {
        east.read(&import).await.map(drop)
    })
    .await?;
    ensure!(west.read(&import).await.is_err(), "it has no namespace");
    west.create_namespace("later").await?;
    eventually("the import comes with the namespace", async || {
        west.read(&import).await.map(drop)
    })
    .await
}
