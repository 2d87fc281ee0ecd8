//! Missing namespaces are created where that is wanted, and stay.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use serde_json::{Value, json};

use crate::lab::{Cluster, EXPORT, Lab, Program, eventually, meanwhile, program};
use crate::manifests::{install, quiet_cluster};
use crate::rbac::kubeconfig_of;

const ORDERS: &str = "/api/v1/namespaces/orders";

/// Exports `orders/web`, of a namespace that is not here.
async fn export(east: &Cluster) -> anyhow::Result<()> {
    east.create_namespace("orders").await?;
    let service = json!({
        "metadata": {"name": "web", "labels": {EXPORT: "true"}},
        "spec": {"ports": [{"port": 80}]},
    });
    let path = format!("{ORDERS}/services");
    east.post(&path, &service.to_string()).await
}

async fn namespace(cluster: &Cluster) -> anyhow::Result<Option<Value>> {
    let list = cluster.read("/api/v1/namespaces").await?;
    let mut items = list["items"].as_array().into_iter().flatten();
    Ok(items.find(|it| it["metadata"]["name"] == "orders").cloned())
}

async fn problems(reflector: &Program) -> anyhow::Result<String> {
    Ok(reflector.status().await?["problems"].to_string())
}

pub(crate) async fn missing_namespaces_are_created_and_stay(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    export(&east).await?;
    let source = |create: bool| {
        let url = &emitter.url;
        format!("name=east,url={url},sameName=true,namespaces=*,createNamespace={create}")
    };
    let reflector = lab.reflector(&local, &[&source(false)]).await?;
    eventually("what is missing is told", async || {
        let told = problems(&reflector).await?;
        ensure!(
            told.contains("namespace orders does not exist here"),
            "{told}"
        );
        ensure!(told.contains("createNamespace: true"), "{told}");
        ensure!(namespace(&local).await?.is_none(), "it is there");
        Ok(())
    })
    .await?;
    reflector.stop().await?;

    let reflector = lab.reflector(&local, &[&source(true)]).await?;
    local.eventually_has("orders/web", &[]).await?;
    let created = namespace(&local).await?.context("it is there")?;
    let labels = &created["metadata"]["labels"];
    ensure!(labels["heliograph.dev/source"] == "east", "{labels}");
    ensure!(
        labels["app.kubernetes.io/managed-by"] == "heliograph",
        "{labels}"
    );
    eventually("nothing is wrong", async || {
        let told = problems(&reflector).await?;
        ensure!(told == "[]", "{told}");
        Ok(())
    })
    .await?;

    // What somebody keeps in it is not the source's to take away.
    let theirs = json!({"metadata": {"name": "theirs"}});
    local
        .post(&format!("{ORDERS}/configmaps"), &theirs.to_string())
        .await?;
    east.delete_service("orders/web").await?;
    local.eventually_lacks("orders/web").await?;
    meanwhile("the namespace stays", async || {
        let found = namespace(&local).await?.context("it is gone")?;
        ensure!(found["metadata"]["deletionTimestamp"].is_null(), "{found}");
        Ok(())
    })
    .await
}

pub(crate) async fn creating_namespaces_needs_one_right(scene: Arc<Scene>) -> anyhow::Result<()> {
    let keeper = Keeper::new("namespaces")?;
    let (east, local) = tokio::try_join!(
        quiet_cluster(&scene, "east"),
        quiet_cluster(&scene, "local")
    )?;
    let lab = Lab::new(scene)?;
    install(&local, "manifests/examples/new-namespaces").await?;
    let binding =
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/heliograph-reflector-namespaces";
    let bound = local.read(binding).await?;
    local.delete(binding).await?;
    export(&east).await?;

    let source = format!(
        "name=east,kubeconfig={},sameName=true,namespaces=*,createNamespace=true,selector={EXPORT}=true",
        east.plane.kubeconfig().display()
    );
    let mut command = Command::new(program("reflector")?);
    command.args(["--source", &source, "--kubeconfig"]);
    command.arg(kubeconfig_of(&local, "heliograph", "reflector", &keeper).await?);
    let reflector = lab.start("reflector", command, None)?;
    reflector.ready().await?;
    eventually("the missing right is told", async || {
        let told = problems(&reflector).await?;
        ensure!(told.contains("NamespaceCreationFailed"), "{told}");
        ensure!(told.contains("cannot create resource"), "{told}");
        Ok(())
    })
    .await?;
    let mut again = bound.clone();
    let metadata = json!({"name": bound["metadata"]["name"]});
    again["metadata"] = metadata;
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    local.post(bindings, &again.to_string()).await?;
    local.eventually_has("orders/web", &[]).await
}
