//! What is installed: it is accepted, it is understood, and its rights are exact.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Keeper, Scene};
use serde_json::Value;
use tokio::process::Command;

use crate::lab::{Cluster, program};

/// All that can be installed by itself.
const INSTALLABLE: [&str; 12] = [
    "manifests/emitter",
    "manifests/reflector",
    "manifests/examples/two-clusters/east",
    "manifests/examples/two-clusters/west",
    "manifests/examples/same-name",
    "manifests/examples/core-endpoints",
    "manifests/examples/same-name-core-endpoints",
    "manifests/examples/new-namespaces",
    "manifests/examples/global",
    "manifests/examples/multi-cluster-services",
    "manifests/examples/replacement",
    "manifests/own-objects",
];

/// What of that has sources.
const CONFIGURED: [&str; 9] = [
    "manifests/examples/two-clusters/east",
    "manifests/examples/two-clusters/west",
    "manifests/examples/same-name",
    "manifests/examples/core-endpoints",
    "manifests/examples/same-name-core-endpoints",
    "manifests/examples/new-namespaces",
    "manifests/examples/global",
    "manifests/examples/multi-cluster-services",
    "manifests/examples/replacement",
];

/// A path within the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = tests.and_then(Path::parent).unwrap_or(Path::new("/"));
    root.join(path)
}

/// A cluster with nothing in it that acts by itself.
pub(crate) async fn quiet_cluster(scene: &Scene, name: &str) -> anyhow::Result<Cluster> {
    let plane = scene.start(ControlPlane::builder(name).audit()).await?;
    let client = plane.client().await?;
    Ok(Cluster { plane, client })
}

/// `kubectl apply -k`, which must have nothing to say but what it did.
pub(crate) async fn install(cluster: &Cluster, directory: &str) -> anyhow::Result<()> {
    let path = repository(directory);
    let mut command = cluster.plane.kubectl().command(["apply"]);
    command.args(["--validate=strict", "-k"]).arg(path);
    let output = Command::from(command).kill_on_drop(true).output().await?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && complaints.is_empty(),
        "kubectl apply -k {directory}: {complaints}"
    );
    Ok(())
}

/// The container of a Deployment of ours.
async fn container(cluster: &Cluster, deployment: &str) -> anyhow::Result<Value> {
    let path = format!("/apis/apps/v1/namespaces/heliograph/deployments/{deployment}");
    let mut deployment = cluster.read(&path).await?;
    Ok(deployment["spec"]["template"]["spec"]["containers"][0].take())
}

/// The flags that a Deployment gives its program, without those named, which say where
/// things are.
pub(crate) async fn flags(
    cluster: &Cluster,
    deployment: &str,
    without: &[&str],
) -> anyhow::Result<Vec<String>> {
    let container = container(cluster, deployment).await?;
    let args = container["args"].as_array().context("it has flags")?;
    let args = args.iter().filter_map(Value::as_str).map(str::to_owned);
    let is_kept = |arg: &String| {
        let name = arg.split('=').next().unwrap_or_default();
        !without.contains(&name)
    };
    Ok(args.filter(is_kept).collect())
}

pub(crate) async fn manifests_are_accepted_without_a_warning(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let keeper = Keeper::new("manifests")?;
    let cluster = quiet_cluster(&scene, "local").await?;
    for directory in INSTALLABLE {
        install(&cluster, directory).await?;
        if directory == "manifests/reflector" {
            let said = configuration(&cluster, &keeper).await?;
            ensure!(said.contains("no sources"), "{said}");
        }
        if CONFIGURED.contains(&directory) {
            let said = configuration(&cluster, &keeper).await?;
            ensure!(said.contains("east") || said.contains("west"), "{said}");
        }
    }
    let rules = async |role: String| -> anyhow::Result<Value> {
        let path = format!("/apis/rbac.authorization.k8s.io/v1/{role}");
        Ok(cluster.read(&path).await?["rules"].take())
    };
    for role in [
        "heliograph-reflector",
        "heliograph-reflector-core-endpoints",
    ] {
        let here = rules(format!("namespaces/mirrors/roles/{role}")).await?;
        let everywhere = rules(format!("clusterroles/{role}")).await?;
        ensure!(
            here == everywhere && here.is_array(),
            "sameName needs the same rights as {role}, only everywhere"
        );
    }
    for deployment in ["emitter", "reflector"] {
        pod_is_admitted(&cluster, deployment).await?;
        probes_lead_somewhere(&container(&cluster, deployment).await?)?;
    }
    Ok(())
}

/// What a reflector understands of the `source-api` ConfigMap.
async fn configuration(cluster: &Cluster, keeper: &Keeper) -> anyhow::Result<String> {
    let path = "/api/v1/namespaces/heliograph/configmaps/source-api";
    let source_api = cluster.read(path).await?;
    let text = source_api["data"]["config.yaml"].as_str();
    let file = keeper.directory().join("config.yaml");
    std::fs::write(&file, text.context("it has the key config.yaml")?)?;
    let output = Command::new(program("reflector")?)
        .arg("config")
        .args(flags(cluster, "reflector", &["--config"]).await?)
        .arg("--config")
        .arg(&file)
        .kill_on_drop(true)
        .output()
        .await?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// A Deployment is accepted with a pod that is not, which nobody would create here.
async fn pod_is_admitted(cluster: &Cluster, deployment: &str) -> anyhow::Result<()> {
    let path = format!("/apis/apps/v1/namespaces/heliograph/deployments/{deployment}");
    let mut deployment = cluster.read(&path).await?;
    let mut pod = deployment["spec"]["template"].take();
    pod["metadata"]["generateName"] = Value::from("pod-");
    cluster
        .post("/api/v1/namespaces/heliograph/pods", &pod.to_string())
        .await
}

fn probes_lead_somewhere(container: &Value) -> anyhow::Result<()> {
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let get = &container[probe]["httpGet"];
        ensure!(get["path"] == path, "{probe}: {get}");
        let ports = container["ports"].as_array().context("it has ports")?;
        let port = ports.iter().find(|port| port["name"] == get["port"]);
        let port = port.context("a probe names a port")?["containerPort"].to_string();
        let listens = container["args"].to_string();
        ensure!(listens.contains(&format!(":{port}\"")), "{probe}: {port}");
    }
    Ok(())
}
