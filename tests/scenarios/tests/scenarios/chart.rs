//! The chart on a real API server, by the real helm: install, test, upgrade, roll back,
//! uninstall, and then the commands of the page about uninstalling.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::assets::{self, Found};
use control_plane::{Keeper, Scene};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::cluster::service_path;
use crate::lab::{Cluster, eventually, program};
use crate::manifests::{quiet_cluster, repository};
use crate::uninstall::commands;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/heliograph/deployments";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const POD: &str = "/api/v1/namespaces/heliograph/pods/reflector-test";

struct Helm<'a> {
    binary: PathBuf,
    cluster: &'a Cluster,
    keeper: Keeper,
}

impl Helm<'_> {
    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let home = self.keeper.directory();
        let output = Command::new(&self.binary)
            .args([
                "--kubeconfig".as_ref(),
                self.cluster.plane.kubeconfig().as_os_str(),
            ])
            .args(["--namespace", "heliograph"])
            .args(arguments)
            .env("HOME", home)
            .env("HELM_CACHE_HOME", home)
            .env("HELM_CONFIG_HOME", home)
            .env("HELM_DATA_HOME", home)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        ensure!(output.status.success(), "helm {arguments:?}: {text}");
        Ok(text)
    }

    /// Installs or upgrades with these values.
    async fn apply(&self, verb: &str, values: &Value) -> anyhow::Result<()> {
        let file = self.keeper.directory().join("values.json");
        std::fs::write(&file, values.to_string())?;
        let chart = repository("charts/heliograph");
        let (chart, file) = (chart.to_str(), file.to_str());
        let (chart, file) = (chart.context("text")?, file.context("text")?);
        let mut arguments = vec![verb, "heliograph", chart, "--values", file];
        if verb == "install" {
            arguments.push("--create-namespace");
        }
        self.run(&arguments).await.map(drop)
    }
}

/// Values with one source, and whether two replicas run.
fn values(standby: bool) -> Value {
    json!({
        "emitter": {"enabled": true},
        "reflector": {
            "enabled": true,
            "standby": standby,
            "config": {"sources": [{"name": "east", "url": "http://east", "prefix": "east"}]},
        },
    })
}

pub(crate) async fn the_chart_is_installed_upgraded_rolled_back_and_uninstalled(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let Some(binary) = helm().await? else {
        return Ok(());
    };
    let cluster = quiet_cluster(&scene, "local").await?;
    let helm = Helm {
        binary,
        cluster: &cluster,
        keeper: Keeper::new("helm")?,
    };
    helm.apply("install", &values(false)).await?;
    for name in ["emitter", "reflector"] {
        cluster.read(&format!("{DEPLOYMENTS}/{name}")).await?;
    }
    understands(&cluster, &helm.keeper).await?;
    let mirror = managed(&cluster, "mirrors").await?;
    cluster.create_namespace("demo").await?;
    cluster.create_service("own").await?;

    is_tested(&helm).await?;

    let replicas = async || {
        let it = cluster.read(&format!("{DEPLOYMENTS}/reflector")).await?;
        anyhow::Ok(it["spec"]["replicas"].clone())
    };
    helm.apply("upgrade", &values(true)).await?;
    ensure!(replicas().await? == 2);
    ensure!(uid(&cluster).await? == mirror, "an upgrade keeps mirrors");
    helm.run(&["rollback", "heliograph", "1"]).await?;
    ensure!(replicas().await? == 1);
    ensure!(uid(&cluster).await? == mirror, "a rollback keeps mirrors");

    helm.run(&["uninstall", "heliograph"]).await?;
    let roles = cluster.read(ROLES).await?.to_string();
    ensure!(!roles.contains("heliograph"), "permissions are left");
    let deployments = cluster.read(DEPLOYMENTS).await?;
    ensure!(deployments["items"] == json!([]), "{deployments}");
    ensure!(uid(&cluster).await? == mirror, "uninstalling keeps mirrors");

    delete_all(&cluster).await?;
    ensure!(cluster.service("mirrors/web").await?.is_none(), "a mirror");
    ensure!(cluster.service("demo/own").await?.is_some(), "nothing else");
    Ok(())
}

async fn helm() -> anyhow::Result<Option<PathBuf>> {
    let find = || assets::find_or_build_client("helm");
    Ok(match tokio::task::spawn_blocking(find).await?? {
        Found::Ready(assets) => Some(assets.binary("helm")),
        Found::Missing(_) => None,
    })
}

/// The program accepts the configuration that the chart renders.
async fn understands(cluster: &Cluster, keeper: &Keeper) -> anyhow::Result<()> {
    let path = "/api/v1/namespaces/heliograph/configmaps/source-api";
    let map = cluster.read(path).await?;
    let text = map["data"]["config.yaml"].as_str().context("a file")?;
    let file = keeper.directory().join("config.yaml");
    std::fs::write(&file, text)?;
    let output = Command::new(program("reflector")?)
        .args(["config", "--config"])
        .arg(&file)
        .output()
        .await?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        shown.contains("mirrors: mirrors/east-NAMESPACE-73736d-NAME"),
        "{shown}"
    );
    Ok(())
}

/// Creates an object as the reflector writes it, and returns its UID.
async fn managed(cluster: &Cluster, namespace: &str) -> anyhow::Result<Value> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace, "labels": {
            "heliograph.dev/source": "east", "app.kubernetes.io/managed-by": "heliograph"}},
        "spec": {"ports": [{"port": 80}]},
    });
    let path = format!("/api/v1/namespaces/{namespace}/services");
    cluster.post(&path, &service.to_string()).await?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "namespace": namespace, "labels": {
            "heliograph.dev/source": "east", "kubernetes.io/service-name": "web",
            "endpointslice.kubernetes.io/managed-by": "heliograph"}},
        "addressType": "IPv4", "endpoints": [], "ports": [],
    });
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    cluster.post(&path, &slice.to_string()).await?;
    uid(cluster).await
}

async fn uid(cluster: &Cluster) -> anyhow::Result<Value> {
    let service = cluster.read(&service_path("mirrors/web")).await?;
    Ok(service["metadata"]["uid"].clone())
}

/// `helm test` creates a pod and waits for it; no kubelet is here to run it, so that the
/// scenario says that it ended.
async fn is_tested(helm: &Helm<'_>) -> anyhow::Result<()> {
    // Nor a controller, which creates this account in every namespace.
    let account = r#"{"metadata":{"name":"default"}}"#;
    let accounts = "/api/v1/namespaces/heliograph/serviceaccounts";
    helm.cluster.post(accounts, account).await?;
    let test = helm.run(&["test", "heliograph", "--timeout", "60s"]);
    let ended = async {
        eventually("the pod of the test", async || {
            let pod = helm.cluster.read(POD).await?;
            let args = pod["spec"]["containers"][0]["args"].to_string();
            ensure!(args.contains("--wait=60s"), "{args}");
            let status = r#"{"status":{"phase":"Succeeded"}}"#;
            helm.cluster.patch(&format!("{POD}/status"), status).await
        })
        .await
    };
    let (text, ()) = tokio::try_join!(test, ended)?;
    ensure!(text.contains("Succeeded"), "{text}");
    Ok(())
}

/// Runs the commands of the page that delete all managed objects.
async fn delete_all(cluster: &Cluster) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(repository("docs/uninstall.md"))?;
    let (_, section) = page
        .split_once("## Delete all managed objects")
        .context("a section")?;
    let block = section.split("```").nth(1).context("a block")?;
    let commands = commands(block)?;
    ensure!(commands.len() == 2, "{block}");
    for (words, _) in commands {
        cluster.plane.kubectl().run(words).await?;
    }
    let path = "/apis/discovery.k8s.io/v1/namespaces/mirrors/endpointslices";
    let slices = cluster.read(path).await?;
    ensure!(slices["items"] == json!([]), "{slices}");
    Ok(())
}
