use std::fs;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use serde_json::json;

use super::account;
use crate::lab::{Cluster, Lab, Program, eventually, program};
use crate::manifests::{install, quiet_cluster};
use crate::migration::{is_taken_over, leave};
use crate::rbac::kubeconfig_of;

const THERE: &str = "replicas";

/// What the reflector may do in the other cluster.
fn reading(resources: &[&str]) -> String {
    let verbs = ["list", "watch"];
    let rules = json!([
        {"apiGroups": [""], "resources": resources, "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
    ]);
    account(THERE, "default", "ClusterRole", &rules)
}

/// What it needs here for Endpoints that go, beside what is installed.
fn clearing() -> String {
    let (group, name) = ("rbac.authorization.k8s.io", "replicas-endpoints");
    let version = format!("{group}/v1");
    let rules =
        json!([{"apiGroups": [""], "resources": ["endpoints"], "verbs": ["get", "delete"]}]);
    let subject = json!({"kind": "ServiceAccount", "name": "reflector", "namespace": "heliograph"});
    let items = json!([
        {"apiVersion": version, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": version,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "subjects": [subject],
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        },
    ]);
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

async fn start(
    lab: &Lab,
    keeper: &Keeper,
    east: &Cluster,
    local: &Cluster,
) -> anyhow::Result<Program> {
    let directory = keeper.directory().join("kubeconfigs");
    fs::create_dir(&directory)?;
    let there = kubeconfig_of(east, "default", THERE, keeper).await?;
    fs::copy(there, directory.join("east"))?;
    let mut command = Command::new(program("reflector")?);
    command.env("KUBECONFIGS", &directory);
    command
        .env("EXCLUDE", "kube-system,default")
        .arg("--kubeconfig");
    command.arg(kubeconfig_of(local, "heliograph", "reflector", keeper).await?);
    lab.start("reflector", command, None)
}

async fn eventually_says(reflector: &Program, words: &str) -> anyhow::Result<()> {
    eventually(&format!("it says {words:?}"), async || {
        let status = reflector.status().await?.to_string();
        ensure!(status.contains(words), "{status}");
        Ok(())
    })
    .await
}

pub(crate) async fn the_documented_permissions_suffice_and_missing_ones_are_reported(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let keeper = Keeper::new("syncing")?;
    let lab = Lab::new(Arc::clone(&scene))?;
    let (east, local) = tokio::try_join!(lab.cluster("east"), quiet_cluster(&scene, "local"))?;
    install(&local, "manifests/examples/new-namespaces").await?;
    local.create_namespace("demo").await?;
    let metadata = json!({"labels": {"replicated": "true"}});
    let before = leave(&local, "demo/web", metadata).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    east.create_namespace("shop").await?;
    let service = json!({"metadata": {"name": "db"}, "spec": {"ports": [{"port": 80}]}});
    let services = "/api/v1/namespaces/shop/services";
    east.post(services, &service.to_string()).await?;

    // Without namespaces there, nothing comes from there.
    east.plane.kubectl().apply(&reading(&["services"])).await?;
    let reflector = start(&lab, &keeper, &east, &local).await?;
    eventually_says(&reflector, "cannot list namespaces").await?;
    reflector.ready().await?;
    let meanwhile = local.service("demo/web").await?;
    ensure!(meanwhile.as_ref() == Some(&before), "{meanwhile:?}");
    let all = reading(&["services", "namespaces"]);
    east.plane.kubectl().apply(&all).await?;
    // Without Endpoints here, what has some is not ours to take.
    local.eventually_has("shop/db", &[]).await?;
    eventually_says(&reflector, "AlreadyExists").await?;
    let meanwhile = local.service("demo/web").await?;
    ensure!(meanwhile.as_ref() == Some(&before), "{meanwhile:?}");
    local.plane.kubectl().apply(&clearing()).await?;
    is_taken_over(&local, "demo/web", &before, "global").await?;
    eventually("nothing is left, and nothing is wrong", async || {
        let old = local.read("/api/v1/namespaces/demo/endpoints/web").await;
        ensure!(old.is_err(), "the old Endpoints are there");
        let status = reflector.status().await?;
        ensure!(status["problems"] == json!([]), "{status}");
        Ok(())
    })
    .await?;
    let shop = local.read("/api/v1/namespaces/shop").await?;
    let marks = &shop["metadata"]["labels"]["app.kubernetes.io/managed-by"];
    ensure!(marks == "heliograph", "{shop}");
    let created = local.service("shop/db").await?.context("it is there")?;
    ensure!(
        created["metadata"]["labels"]["replicated"] == "true",
        "{created}"
    );
    Ok(())
}
