//! What happens in the cluster while clients watch.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use tokio::time::Instant;

use crate::lab::{Cluster, EXPORT, eventually, service_path};

/// The last one has few Services, so that it has none now and then.
const NAMESPACES: [&str; 2] = ["demo", "mirrors"];

const N_SERVICES: usize = 8;
const N_SLICES: usize = 6;

/// Twenty changes a second are enough for each watch to be cut between two of them, and
/// few enough for two cores.
const PAUSE: Duration = Duration::from_millis(50);

/// Services, slices and Endpoints, all exported; controllers make more slices of the
/// Endpoints.
pub(super) async fn populate(cluster: &Cluster) -> anyhow::Result<()> {
    for i in 0..N_SERVICES {
        create_service(cluster, "demo", i).await?;
    }
    create_service(cluster, "mirrors", 0).await?;
    for i in 0..N_SLICES {
        // Without a Service, a controller may remove them when it starts.
        cluster.create_service(&format!("e{i}")).await?;
        cluster
            .set_endpoints(&format!("e{i}"), &["10.1.0.1"])
            .await?;
        let endpoints = json!({
            "metadata": {"name": format!("e{i}"), "labels": {EXPORT: "true"}},
            "subsets": [{"addresses": [{"ip": "10.1.0.1"}], "ports": [{"port": 80}]}],
        });
        let path = "/api/v1/namespaces/demo/endpoints";
        cluster.post(path, &endpoints.to_string()).await?;
    }
    Ok(())
}

/// Waits until controllers have made all that they make of it.
pub(super) async fn settle(cluster: &Cluster) -> anyhow::Result<()> {
    eventually("there is a slice of all Endpoints", async || {
        let path = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices";
        let slices = cluster.read(path).await?;
        let n_slices = slices["items"].as_array().map_or(0, Vec::len);
        ensure!(n_slices == 2 * N_SLICES, "{n_slices} slices");
        Ok(())
    })
    .await
}

/// Objects are changed, deleted, created; they leave the export and return.
pub(super) async fn churn(cluster: &Cluster, n_changes: usize) -> anyhow::Result<()> {
    for round in 0..n_changes {
        let begin = Instant::now();
        let annotations = json!({"round": format!("<{round}>"), "text": "é".repeat(200)});
        let label = (0 < fastrand::u8(..4)).then_some("true");
        let metadata = json!({"labels": {EXPORT: label}, "annotations": annotations});
        let slice = fastrand::usize(..N_SLICES);
        match fastrand::u8(..8) {
            0 => recreate_service(cluster).await?,
            1..=3 => {
                let namespace = NAMESPACES[usize::from(fastrand::u8(..4) == 0)];
                let i = match namespace {
                    "demo" => fastrand::usize(..N_SERVICES),
                    _ => 0,
                };
                let patch = json!({ "metadata": metadata }).to_string();
                let key = format!("{namespace}/s{i}");
                cluster.patch_service(&key, &patch).await?;
            }
            4..=5 => {
                let path =
                    format!("/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/e{slice}-1");
                let addresses = [format!("10.1.0.{}", round % 250)];
                let endpoints = json!([{"addresses": addresses}]);
                let patch = json!({"metadata": metadata, "endpoints": endpoints});
                cluster.patch(&path, &patch.to_string()).await?;
            }
            _ => {
                let path = format!("/api/v1/namespaces/demo/endpoints/e{slice}");
                let patch = json!({ "metadata": metadata });
                cluster.patch(&path, &patch.to_string()).await?;
            }
        }
        tokio::time::sleep_until(begin + PAUSE).await;
    }
    Ok(())
}

async fn recreate_service(cluster: &Cluster) -> anyhow::Result<()> {
    let i = fastrand::usize(..N_SERVICES);
    cluster.delete(&service_path(&format!("demo/s{i}"))).await?;
    create_service(cluster, "demo", i).await
}

async fn create_service(cluster: &Cluster, namespace: &str, i: usize) -> anyhow::Result<()> {
    let service = json!({
        "metadata": {"name": format!("s{i}"), "labels": {EXPORT: "true"}},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    let path = format!("/api/v1/namespaces/{namespace}/services");
    cluster.post(&path, &service.to_string()).await
}
