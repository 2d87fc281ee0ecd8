//! Ours runs with the rights of the replaced programs' manifests.
//!
//! What they do not grant, such as Events, is done without, and told.

// Those that k8s-endpoints-sync-controller's page names, as it had no manifests.
pub(crate) mod syncing;

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use serde_json::{Value, json};

use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, Program, eventually, mirror, program};
use crate::rbac::kubeconfig_of;

/// What somebody may do with Services, Endpoints and slices.
pub(crate) fn mirror_rules(verbs: &[&str]) -> Value {
    json!([
        {"apiGroups": [""], "resources": ["services", "endpoints"], "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
    ])
}

/// A service account with rules, bound in its namespace or everywhere.
pub(crate) fn account(name: &str, namespace: &str, role: &str, rules: &Value) -> String {
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    let metadata = json!({"name": name, "namespace": namespace});
    let items = json!([
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": version, "kind": role, "metadata": metadata, "rules": rules},
        {
            "apiVersion": version,
            "kind": format!("{role}Binding"),
            "metadata": metadata,
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            "roleRef": {"apiGroup": group, "kind": role, "name": name},
        },
    ]);
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// What was installed for it: accounts with what they may do here and there.
async fn semaphore(
    lab: &Lab,
    keeper: &Keeper,
    east: &Cluster,
    local: &Cluster,
) -> anyhow::Result<Program> {
    const HERE: &str = "semaphore-service-mirror";
    const THERE: &str = "semaphore-service-mirror-remote";
    let read = ["get", "list", "watch"];
    let write = ["get", "list", "watch", "create", "update", "delete"];
    let there = account(THERE, "kube-system", "ClusterRole", &mirror_rules(&read));
    east.plane.kubectl().apply(&there).await?;
    let here = account(HERE, MIRRORS, "Role", &mirror_rules(&write));
    local.plane.kubectl().apply(&here).await?;
    let config = json!({
        "global": {
            "globalSvcLabelSelector": "global=true",
            "globalSvcRoutingStrategyLabel": "routing=local-first",
            "mirrorNamespace": MIRRORS,
            "mirrorSvcLabelSelector": format!("{EXPORT}=true"),
            "serviceSync": true,
        },
        "localCluster": {"name": "local"},
        "remoteClusters": [{
            "name": "east",
            "kubeConfigPath": kubeconfig_of(east, "kube-system", THERE, keeper).await?,
            "servicePrefix": "east",
        }],
    });
    let mut command = Command::new(program("reflector")?);
    command.arg("-config");
    command.arg(lab.file("config.json", &config.to_string())?);
    command.arg("-kube-config");
    command.arg(kubeconfig_of(local, MIRRORS, HERE, keeper).await?);
    lab.start("reflector", command, None)
}

/// A mirror that it left, and something that was never its own.
async fn leave_behind(local: &Cluster) -> anyhow::Result<()> {
    let services = format!("/api/v1/namespaces/{MIRRORS}/services");
    let labels = json!({"mirrored-svc": "true", "mirror-svc-prefix-sync": "east"});
    for (name, labels) in [("taken", json!({})), ("old", labels)] {
        let metadata = json!({"name": format!("east-demo-73736d-{name}"), "labels": labels});
        let spec = json!({"ports": [{"name": "http", "port": 80}]});
        let service = json!({"metadata": metadata, "spec": spec});
        local.post(&services, &service.to_string()).await?;
        let subsets = json!([{"addresses": [{"ip": "10.1.0.9"}]}]);
        let endpoints = json!({"metadata": metadata, "subsets": subsets});
        let path = services.replace("services", "endpoints");
        local.post(&path, &endpoints.to_string()).await?;
    }
    Ok(())
}

/// What is missing is said, with what it was for.
async fn tells_what_is_missing(reflector: &Program) -> anyhow::Result<()> {
    eventually("a missing right is told", async || {
        let n_refused =
            reflector.metric("heliograph_reflector_kubernetes_events_total", "forbidden");
        let log = reflector.log();
        ensure!(1.0 <= n_refused.await?, "no Event was refused");
        ensure!(
            log.contains("grant create on events.k8s.io events"),
            "{log}"
        );
        let status = reflector.status().await?;
        ensure!(
            status["problems"][0]["reason"] == "AlreadyExists",
            "{status}"
        );
        let why = status["sources"][0]["clusterIdentityError"].to_string();
        ensure!(why.contains("cannot get resource"), "{status}");
        Ok(())
    })
    .await
}

pub(crate) async fn semaphores_rights_are_enough_for_its_mirrors(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    leave_behind(&local).await?;
    let (web, old) = (mirror("east", "web"), mirror("east", "old"));
    let before = local.service(&old).await?.context("it was created")?;
    for name in ["web", "taken", "old"] {
        east.create_service(name).await?;
        east.set_endpoints(name, &["10.1.0.1"]).await?;
    }

    let keeper = Keeper::new("old-rights")?;
    let reflector = semaphore(&lab, &keeper, &east, &local).await?;
    reflector.ready().await?;
    local.eventually_has(&web, &["10.1.0.1"]).await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    local.eventually_has(&web, &["10.1.0.2"]).await?;
    let ports = r#"{"spec":{"ports":[{"name":"http","port":81}]}}"#;
    east.patch_service("demo/web", ports).await?;
    eventually("the port is changed", async || {
        let service = local.service(&web).await?.context("it is there")?;
        ensure!(service["spec"]["ports"][0]["port"] == 81, "{service}");
        Ok(())
    })
    .await?;
    local.eventually_has(&old, &["10.1.0.1"]).await?;
    let after = local.service(&old).await?.context("it is there")?;
    ensure!(
        before["metadata"]["uid"] == after["metadata"]["uid"],
        "it was created again"
    );
    tells_what_is_missing(&reflector).await?;
    east.delete_service("demo/web").await?;
    local.eventually_lacks(&web).await
}
