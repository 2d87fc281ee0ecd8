//! Mirrors of a replaced program become ours as its migration page says: with its flags or
//! variables, under their names, with their addresses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use serde_json::{Value, json};

use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, Program, eventually, program};
use crate::old_rbac::{account, mirror_rules};
use crate::rbac::kubeconfig_of;

const KUBE_SERVICE_MIRROR: &str = "kube-service-mirror";

/// A mirror that somebody else made, with an address that is not true any more.
pub(crate) async fn leave(local: &Cluster, key: &str, metadata: Value) -> anyhow::Result<Value> {
    let (namespace, name) = key.split_once('/').context("a key is namespace/name")?;
    let mut metadata = metadata;
    metadata["name"] = Value::from(name);
    let spec = json!({"ports": [{"name": "http", "port": 80}]});
    let service = json!({"metadata": metadata, "spec": spec});
    let ports = json!([{"name": "http", "port": 8080}]);
    let subsets = json!([{"addresses": [{"ip": "10.1.0.9"}], "ports": ports}]);
    let endpoints = json!({"metadata": metadata, "subsets": subsets});
    let path = format!("/api/v1/namespaces/{namespace}");
    local
        .post(&format!("{path}/services"), &service.to_string())
        .await?;
    local
        .post(&format!("{path}/endpoints"), &endpoints.to_string())
        .await?;
    local.service(key).await?.context("it was created")
}

/// The commands of a page's way back to the replaced program.
fn commands_back(page: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs").join(page))?;
    let (_, section) = page
        .split_once("\n## Back again\n")
        .context("no way back")?;
    let block = section.split("```sh\n").nth(1).context("no commands")?;
    let (block, _) = block.split_once("```").context("the block ends")?;
    let words = |line: &str| line.split_whitespace().skip(1).map(str::to_owned).collect();
    Ok(block.lines().map(words).collect())
}

/// Goes back to the replaced program as the page says, and comes again. The former Endpoints, which
/// that program wrote in the meantime, do not stay beside the slices.
pub(crate) async fn goes_back_and_comes_again(
    local: &Cluster,
    reflector: &Program,
    (page, key): (&str, &str),
    source: &str,
) -> anyhow::Result<()> {
    reflector.stop().await?;
    let before = local.service(key).await?.context("it is there")?;
    for command in commands_back(page)? {
        local.plane.kubectl().run(command).await?;
    }
    let given_back = local.service(key).await?.context("it is there")?;
    ensure!(
        given_back["metadata"]["labels"]["heliograph.dev/source"] == Value::Null,
        "{given_back}"
    );
    let (namespace, name) = key.split_once('/').context("a key is namespace/name")?;
    let mut metadata = json!({"name": name});
    for kind in ["labels", "annotations"] {
        let all = given_back["metadata"][kind].as_object();
        let old = all.into_iter().flatten();
        let old = old.filter(|(name, _)| !name.starts_with("heliograph.dev/"));
        metadata[kind] = Value::Object(old.map(|(k, v)| (k.clone(), v.clone())).collect());
    }
    let ports = json!([{"name": "http", "port": 8080}]);
    let subsets = json!([{"addresses": [{"ip": "10.1.0.9"}], "ports": ports}]);
    let endpoints = json!({"metadata": metadata, "subsets": subsets});
    let path = format!("/api/v1/namespaces/{namespace}/endpoints");
    local.post(&path, &endpoints.to_string()).await?;
    local.eventually_has(key, &["10.1.0.9"]).await?;

    reflector.start().await?;
    eventually("the old Endpoints are gone", async || {
        let found = local.read(&format!("{path}/{name}")).await;
        ensure!(found.is_err(), "{found:?}");
        Ok(())
    })
    .await?;
    is_taken_over(local, key, &before, source).await
}

/// Waits until it is ours, and is still the one that was left.
pub(crate) async fn is_taken_over(
    local: &Cluster,
    key: &str,
    before: &Value,
    source: &str,
) -> anyhow::Result<()> {
    local.eventually_has(key, &["10.1.0.1"]).await?;
    eventually("it is ours, and as it was", async || {
        let after = local.service(key).await?.context("it is gone")?;
        let (old, new) = (&before["metadata"], &after["metadata"]);
        ensure!(new["labels"]["heliograph.dev/source"] == source, "{new}");
        ensure!(new["uid"] == old["uid"], "it was created again");
        ensure!(
            after["spec"]["clusterIP"] == before["spec"]["clusterIP"],
            "another address"
        );
        Ok(())
    })
    .await
}

pub(crate) async fn service_reflectors_mirrors_become_ours_with_two_more_rights(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const HERE: &str = "service-reflector";
    let lab = Lab::new(scene)?;
    let keeper = Keeper::new("migration")?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let annotations = json!({
        "service-reflector.squat.ai/reflected": "true",
        "service-reflector.squat.ai/source": emitter.url,
    });
    let labels = json!({EXPORT: "true"});
    let metadata = json!({"annotations": annotations, "labels": labels});
    let before = leave(&local, "demo/web", metadata).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;

    let verbs = ["list", "watch", "create", "update", "delete"];
    let rules = json!([
        {"apiGroups": [""], "resources": ["services", "endpoints"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch", "create", "delete"]},
    ]);
    let may = async |rules: &Value| {
        let here = account(HERE, "default", "ClusterRole", rules);
        local.plane.kubectl().apply(&here).await
    };
    may(&rules).await?;
    let kubeconfig = kubeconfig_of(&local, "default", HERE, &keeper).await?;
    let mut command = Command::new(program("reflector")?);
    command
        .args(["--emitter.secure-port=6443", "--emitter.insecure-port=8080"])
        .arg(format!("--reflector.source-api={}", emitter.url))
        .arg(format!("--kubeconfig={}", kubeconfig.display()));
    let reflector = lab.start("reflector", command, None)?;
    eventually("it says what is missing", async || {
        let log = reflector.log();
        ensure!(
            log.contains("cannot list resource \\\"endpointslices"),
            "{log}"
        );
        Ok(())
    })
    .await?;
    let meanwhile = local.service("demo/web").await?;
    ensure!(meanwhile.as_ref() == Some(&before), "{meanwhile:?}");

    let verbs = ["get", "list", "watch", "create", "update", "delete"];
    may(&mirror_rules(&verbs)).await?;
    reflector.ready().await?;
    let status = reflector.status().await?;
    let source = status["sources"][0]["name"].as_str();
    let source = source.context("it has a source")?;
    is_taken_over(&local, "demo/web", &before, source).await?;
    let way = ("migrate-from-service-reflector.md", "demo/web");
    goes_back_and_comes_again(&local, &reflector, way, source).await?;
    east.delete_service("demo/web").await?;
    local.eventually_lacks("demo/web").await
}

pub(crate) async fn kube_service_mirrors_mirrors_become_ours_by_their_names(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    // The name goes before the namespace.
    let old = format!("{MIRRORS}/east-web-6d6972726f720a-demo");
    let labels = json!({"mirrored-svc": "true", "mirror-svc-prefix-sync": "east"});
    let before = leave(&local, &old, json!({"labels": labels})).await?;
    for name in ["web", "db"] {
        east.create_service(name).await?;
        east.set_endpoints(name, &["10.1.0.1"]).await?;
    }

    let accounts = [(&east, "ClusterRole"), (&local, "Role")];
    let may = async |rules: [Value; 2]| {
        for ((cluster, role), rules) in accounts.into_iter().zip(rules) {
            let account = account(KUBE_SERVICE_MIRROR, MIRRORS, role, &rules);
            cluster.plane.kubectl().apply(&account).await?;
        }
        anyhow::Ok(())
    };
    // What its manifests grant.
    let core = |verbs: &[&str]| json!([{"apiGroups": [""], "resources": ["services", "endpoints"], "verbs": verbs}]);
    let (read, write) = (
        ["get", "list", "watch"],
        ["get", "create", "update", "delete"],
    );
    may([core(&read), core(&write)]).await?;
    let keepers = (Keeper::new("remote")?, Keeper::new("local")?);
    let there = kubeconfig_of(&east, MIRRORS, KUBE_SERVICE_MIRROR, &keepers.0).await?;
    let here = kubeconfig_of(&local, MIRRORS, KUBE_SERVICE_MIRROR, &keepers.1).await?;
    let mut command = Command::new(program("reflector")?);
    command
        .env("KSM_KUBE_CONFIG", here)
        .env("KSM_TARGET_KUBE_CONFIG", there)
        .env("KSM_MIRROR_NS", MIRRORS)
        .env("KSM_SVC_PREFIX", "east")
        .env("KSM_LABEL_SELECTOR", format!("{EXPORT}=true"));
    let reflector = lab.start("reflector", command, None)?;
    eventually("it says what is missing", async || {
        let log = reflector.log();
        ensure!(log.contains("cannot list resource \\\"services"), "{log}");
        Ok(())
    })
    .await?;
    let meanwhile = local.service(&old).await?;
    ensure!(meanwhile.as_ref() == Some(&before), "{meanwhile:?}");
    // And what its page adds.
    let all = ["get", "list", "watch", "create", "update", "delete"];
    may([mirror_rules(&read), mirror_rules(&all)]).await?;
    reflector.ready().await?;
    is_taken_over(&local, &old, &before, "east").await?;
    let new = format!("{MIRRORS}/east-db-6d6972726f720a-demo");
    local.eventually_has(&new, &["10.1.0.1"]).await?;
    let after = local.service(&new).await?.context("it is there")?;
    let labels = &after["metadata"]["labels"];
    ensure!(labels["mirrored-svc"] == "true", "{labels}");
    ensure!(labels["mirror-svc-prefix-sync"] == "east", "{labels}");
    let status = reflector.status().await?;
    ensure!(status["problems"] == json!([]), "{status}");
    let way = ("migrate-from-kube-service-mirror.md", old.as_str());
    goes_back_and_comes_again(&local, &reflector, way, "east").await?;
    east.delete_service("demo/web").await?;
    local.eventually_lacks(&old).await
}

/// Its directory: east, and a cluster that does not answer.
fn kubeconfigs(east: &Cluster, keeper: &Keeper) -> anyhow::Result<PathBuf> {
    let directory = keeper.directory().join("kubeconfigs");
    fs::create_dir(&directory)?;
    let kubeconfig = east.plane.inline_kubeconfig()?;
    fs::write(directory.join("east.yaml"), &kubeconfig)?;
    let silent = kubeconfig.replace(&east.plane.url(), "https://127.0.0.1:1");
    ensure!(silent != kubeconfig, "its server is another one");
    fs::write(directory.join("silent"), silent)?;
    Ok(directory)
}

pub(crate) async fn endpoints_sync_controllers_replicas_become_ours_by_its_directory(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let keeper = Keeper::new("syncing")?;
    let (east, local) = lab.clusters().await?;
    let labels = json!({"replicated": "true"});
    let before = leave(&local, "demo/web", json!({"labels": labels})).await?;
    for name in ["web", "db"] {
        east.create_service(name).await?;
        east.set_endpoints(name, &["10.1.0.1"]).await?;
    }
    let directory = kubeconfigs(&east, &keeper)?;
    let mut command = Command::new(program("reflector")?);
    command
        .env("KUBECONFIGS", &directory)
        .env("EXCLUDE", "kube-system")
        .arg("--kubeconfig")
        .arg(local.plane.kubeconfig());
    let reflector = lab.start("reflector", command, None)?;
    is_taken_over(&local, "demo/web", &before, "global").await?;
    local.eventually_has("demo/db", &["10.1.0.1"]).await?;
    let path = "/api/v1/namespaces/demo/endpoints/web";
    eventually("the old Endpoints are gone", async || {
        let gone = local.read(path).await;
        ensure!(gone.is_err(), "they are there");
        Ok(())
    })
    .await?;
    let way = ("migrate-from-k8s-endpoints-sync-controller.md", "demo/web");
    goes_back_and_comes_again(&local, &reflector, way, "global").await?;
    // What changes while it is down is made right, and the cluster that does not answer may
    // have what is gone.
    reflector.kill().await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    east.delete_service("demo/db").await?;
    reflector.start().await?;
    local.eventually_has("demo/web", &["10.1.0.2"]).await?;
    ensure!(local.service("demo/db").await?.is_some(), "it is gone");
    fs::remove_file(directory.join("silent"))?;
    local.eventually_lacks("demo/db").await?;
    // What is annotated and labeled later is heeded too.
    let demo = |value: Value| {
        let metadata = json!({"name": "demo", "labels": {"replicated": value}});
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).to_string()
    };
    east.plane.kubectl().apply(&demo(json!("false"))).await?;
    local.eventually_lacks("demo/web").await?;
    east.plane.kubectl().apply(&demo(Value::Null)).await?;
    local.eventually_has("demo/web", &["10.1.0.2"]).await
}
