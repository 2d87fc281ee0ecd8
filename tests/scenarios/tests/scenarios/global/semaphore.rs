//! semaphore-service-mirror's own configuration, and its global Services.

use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::json;

use super::{GLOBAL, join};
use crate::lab::{Cluster, Lab, MIRRORS, eventually, program};

fn config(east: &Cluster) -> serde_json::Value {
    json!({
        "global": {
            "globalSvcLabelSelector": "heliograph.dev/global-service=true",
            "globalSvcRoutingStrategyLabel": "routing=local-first",
            "mirrorNamespace": MIRRORS,
            "mirrorSvcLabelSelector": "export=true",
            "serviceSync": true,
            "endpointSliceSync": true,
        },
        "localCluster": {"name": "local"},
        "remoteClusters": [{
            "name": "east",
            "kubeConfigPath": east.plane.kubeconfig(),
            "servicePrefix": "east",
        }],
    })
}

/// What it had written: a global Service, and a slice of it for each cluster.
async fn semaphores_objects(local: &Cluster) -> anyhow::Result<()> {
    let (_, name) = GLOBAL.split_once('/').unwrap_or_default();
    let service = json!({
        "metadata": {
            "name": name,
            "labels": {"global-svc": "true"},
            "annotations": {
                "global-svc-clusters": "east,local",
                "service.kubernetes.io/topology-aware-hints": "auto",
            },
        },
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    let path = format!("/api/v1/namespaces/{MIRRORS}/services");
    local.post(&path, &service.to_string()).await?;
    for cluster in ["east", "local"] {
        let slice = json!({
            "metadata": {
                "name": format!("gl-{cluster}-x"),
                "labels": {
                    "kubernetes.io/service-name": name,
                    "endpointslice.kubernetes.io/managed-by": "semaphore-service-mirror",
                    "mirrored-endpoint-slice": "true",
                    "mirror-endpointslice-sync-name": cluster,
                },
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.9.0.9"], "hints": {"forZones": [{"name": "remote"}]}}],
        });
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{MIRRORS}/endpointslices");
        local.post(&path, &slice.to_string()).await?;
    }
    Ok(())
}

pub(crate) async fn semaphores_global_services_become_ours_with_their_addresses(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    semaphores_objects(&local).await?;
    let before = local.service(GLOBAL).await?.context("it was created")?;

    join(&east, 80, "10.1.0.1").await?;
    join(&local, 80, "10.2.0.1").await?;
    let file = lab.file("config.json", &config(&east).to_string())?;
    let mut command = std::process::Command::new(program("reflector")?);
    command.arg("-config").arg(file);
    command.arg("-kube-config").arg(local.plane.kubeconfig());
    let reflector = lab.start("reflector", command, None)?;
    reflector.ready().await?;
    local
        .eventually_has(GLOBAL, &["10.1.0.1", "10.2.0.1"])
        .await?;
    eventually("it is ours", async || {
        let after = local.service(GLOBAL).await?.context("it is there")?;
        let (old, new) = (&before["metadata"], &after["metadata"]);
        ensure!(old["uid"] == new["uid"], "it was created again");
        ensure!(
            before["spec"]["clusterIP"] == after["spec"]["clusterIP"],
            "another address"
        );
        ensure!(
            new["labels"]["heliograph.dev/global"] == "true",
            "{}",
            new["labels"]
        );
        ensure!(new["labels"]["global-svc"] == "true", "{}", new["labels"]);
        let clusters = &new["annotations"]["global-svc-clusters"];
        ensure!(clusters == "east,local", "{clusters}");
        Ok(())
    })
    .await?;
    let status = reflector.status().await?;
    ensure!(status["problems"] == json!([]), "{status}");
    Ok(())
}
