//! Clusters with the CRDs, and reflectors that read one another.

use std::process::Command;

use control_plane::crds;
use serde_json::{Value, json};

use crate::lab::{Cluster, Lab, Program, program};

/// Returns the configuration of a reflector in the local cluster that reads the other.
pub(super) fn configuration(local: &Cluster, other: &Cluster) -> Value {
    json!({
        "clusterSet": {"cluster": local.plane.name()},
        // What was un-exported while nobody read it waits for another list.
        "deletionHold": "5s",
        "sources": [{
            "name": other.plane.name(),
            "kubeconfig": other.plane.kubeconfig().display().to_string(),
        }],
    })
}

/// Starts a reflector in a cluster, and waits until it is ready.
pub(super) async fn start(
    lab: &Lab,
    local: &Cluster,
    configuration: &Value,
) -> anyhow::Result<Program> {
    let name = format!("reflector-{}", local.plane.name());
    let file = lab.file(&format!("{name}.json"), &configuration.to_string())?;
    let mut command = Command::new(program("reflector")?);
    command.arg("--kubeconfig").arg(local.plane.kubeconfig());
    command.arg("--config").arg(file).arg("--log-level=debug");
    let reflector = lab.start(&name, command, None)?;
    reflector.ready().await?;
    Ok(reflector)
}

/// Starts two clusters with the CRDs.
pub(super) async fn clusters(lab: &Lab) -> anyhow::Result<(Cluster, Cluster)> {
    let (east, west) = tokio::try_join!(lab.cluster("east"), lab.cluster("west"))?;
    for cluster in [&east, &west] {
        install(cluster).await?;
    }
    Ok((east, west))
}

pub(crate) async fn install(cluster: &Cluster) -> anyhow::Result<()> {
    let directory = crds::multi_cluster_services()?;
    let kubectl = cluster.plane.kubectl();
    for name in ["serviceexports", "serviceimports"] {
        let file = directory.join(format!("multicluster.x-k8s.io_{name}.yaml"));
        let file = file.display().to_string();
        kubectl.run(["apply", "--server-side", "-f", &file]).await?;
    }
    let established = "--for=condition=Established";
    let crds = "crd/serviceexports.multicluster.x-k8s.io";
    kubectl.run(["wait", established, crds]).await?;
    Ok(())
}
