//! A silent source's endpoints are believed as long as its owner wants.

use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::Value;

use crate::lab::{Cluster, Lab, MIRRORS, eventually, mirror};
use crate::reporting::events;

async fn endpoint(local: &Cluster) -> anyhow::Result<Value> {
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{MIRRORS}/endpointslices");
    let list = local.read(&path).await?;
    Ok(list["items"][0]["endpoints"][0].clone())
}

pub(crate) async fn a_silent_source_is_not_ready_then_dropped_then_back(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!(
        "name=east,url={},prefix=east,notReadyAfter=3s,dropAfter=8s",
        emitter.url
    );
    let reflector = lab.reflector(&local, &[&source]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let mirror = mirror("east", "web");
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;
    let before = local.service(&mirror).await?.context("it is there")?;

    emitter.kill().await?;
    eventually("its endpoint is not ready", async || {
        let endpoint = endpoint(&local).await?;
        ensure!(endpoint["conditions"]["ready"] == false, "{endpoint}");
        ensure!(endpoint["conditions"]["serving"] == false, "{endpoint}");
        Ok(())
    })
    .await?;
    // A restart knows nothing of the source, and leaves what is published.
    reflector.stop().await?;
    reflector.start().await?;
    ensure!(endpoint(&local).await?["conditions"]["ready"] == false);
    local.eventually_has(&mirror, &[]).await?;
    let status = reflector.status().await?.to_string();
    ensure!(status.contains("StaleEndpointsRemoved"), "{status}");
    eventually("an Event tells it", async || {
        let events = events(&local, MIRRORS).await?;
        let dropped = events
            .iter()
            .find(|it| it["reason"] == "StaleEndpointsRemoved");
        let event = dropped.with_context(|| format!("{events:?}"))?;
        let uid = &event["regarding"]["uid"];
        ensure!(uid == &before["metadata"]["uid"], "{event}");
        Ok(())
    })
    .await?;

    emitter.start().await?;
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;
    let endpoint = endpoint(&local).await?;
    ensure!(endpoint["conditions"]["ready"] == true, "{endpoint}");
    let after = local.service(&mirror).await?.context("it is gone")?;
    ensure!(after["spec"]["clusterIP"] == before["spec"]["clusterIP"]);
    ensure!(after["metadata"]["uid"] == before["metadata"]["uid"]);
    Ok(())
}
