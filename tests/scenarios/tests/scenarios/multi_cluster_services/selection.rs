//! Cluster selectors: the properties of an emitter decide which cluster serves.

use std::collections::BTreeSet;

use anyhow::ensure;

use super::{export, slices, unexport};
use crate::lab::{Cluster, eventually};

/// The clusters of the region `eu`, which is that of west's emitter alone.
const SELECTORS: &str = "heliograph.dev/cluster-selectors=\
    [{propertySelector: {matchProperties: {region.example.com: eu}}}]";

/// Checks that west alone serves the import of east, as long as it has an endpoint. West exports
/// `demo/web`; east does so only in the meantime.
pub(super) async fn region_of_an_emitter_serves_first(
    east: &Cluster,
    west: &Cluster,
) -> anyhow::Result<()> {
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    export(east, "web", &serde_json::json!({})).await?;
    eventually("both clusters serve", async || {
        serve(east, &["east", "west"]).await
    })
    .await?;
    annotate(west, SELECTORS).await?;
    eventually("the region serves first", async || {
        serve(east, &["west"]).await
    })
    .await?;
    west.set_endpoints("web", &[]).await?;
    eventually("without endpoints all serve", async || {
        serve(east, &["east"]).await
    })
    .await?;
    west.set_endpoints("web", &["10.2.0.1"]).await?;
    eventually("the region serves again", async || {
        serve(east, &["west"]).await
    })
    .await?;
    annotate(west, "heliograph.dev/cluster-selectors-").await?;
    unexport(east, "web").await?;
    east.delete("/api/v1/namespaces/demo/services/web").await?;
    eventually("only west is left", async || {
        let slices = slices(east, "web").await?;
        ensure!(slices.len() == 1, "{slices:?}");
        serve(east, &["west"]).await
    })
    .await
}

async fn annotate(cluster: &Cluster, annotation: &str) -> anyhow::Result<()> {
    let kubectl = cluster.plane.kubectl();
    let words = ["annotate", "serviceexport", "web", "-n", "demo", annotation];
    kubectl.run(words).await?;
    Ok(())
}

/// Checks which clusters have endpoints that kube-proxy takes.
async fn serve(cluster: &Cluster, expected: &[&str]) -> anyhow::Result<()> {
    let slices = slices(cluster, "web").await?;
    let serving = slices.iter().filter(|it| {
        let has_endpoints = it["endpoints"].as_array().is_some_and(|it| !it.is_empty());
        has_endpoints && !it["metadata"]["labels"]["kubernetes.io/service-name"].is_null()
    });
    let label = "multicluster.kubernetes.io/source-cluster";
    let serving = serving.filter_map(|it| it["metadata"]["labels"][label].as_str());
    let serving: BTreeSet<_> = serving.collect();
    ensure!(serving.iter().eq(expected), "{serving:?}: {slices:?}");
    Ok(())
}
