//! Sources that are ClusterProfiles of the cluster-inventory API.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use base64::Engine;
use control_plane::{Scene, crds};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::configuration::ByFile;
use crate::lab::{Cluster, Lab, MIRRORS, eventually, mirror, program};

const PROFILES: &str = "/apis/multicluster.x-k8s.io/v1alpha1/namespaces/demo/clusterprofiles";

const FLEET: &str = "fleet";

const CRD: &str = "clusterprofiles.multicluster.x-k8s.io";

const NO_URL: &str = "status.properties has no heliograph.dev/emitter-url";

const EMITTER_URL: &str = "heliograph.dev/emitter-url";

/// Installs the CRD of the cluster-inventory API, and waits until it is served.
pub(crate) async fn install(cluster: &Cluster) -> anyhow::Result<()> {
    let kubectl = cluster.plane.kubectl();
    let file = crds::cluster_inventory()?.join("multicluster.x-k8s.io_clusterprofiles.yaml");
    let file = file.to_str().context("a path is text")?;
    kubectl.run(["apply", "--server-side", "-f", file]).await?;
    let (crd, established) = (format!("crd/{CRD}"), "--for=condition=Established");
    kubectl.run(["wait", established, &crd]).await?;
    // Discovery lags behind the condition.
    eventually("the API is served", async || {
        cluster.read(PROFILES).await.map(drop)
    })
    .await
}

/// Creates a profile with a URL in a namespace, as a cluster manager does.
pub(crate) async fn create(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    url: &str,
) -> anyhow::Result<()> {
    let profiles = PROFILES.replace("/demo/", &format!("/{namespace}/"));
    create_with(cluster, (&profiles, name), &json!({}), &at(url)).await
}

async fn create_with(
    cluster: &Cluster,
    (profiles, name): (&str, &str),
    labels: &Value,
    status: &Value,
) -> anyhow::Result<()> {
    let profile = json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ClusterProfile",
        "metadata": {"name": name, "labels": labels},
        "spec": {"clusterManager": {"name": "test"}, "displayName": name},
    });
    cluster.post(profiles, &profile.to_string()).await?;
    let body = json!({ "status": status }).to_string();
    cluster
        .patch(&format!("{profiles}/{name}/status"), &body)
        .await
}

/// Creates a profile of the fleet.
async fn add(cluster: &Cluster, name: &str, status: &Value) -> anyhow::Result<()> {
    create_with(cluster, (PROFILES, name), &json!({FLEET: "test"}), status).await
}

async fn set_status(cluster: &Cluster, name: &str, status: &Value) -> anyhow::Result<()> {
    let body = json!({ "status": status });
    let path = format!("{PROFILES}/{name}/status");
    cluster.patch(&path, &body.to_string()).await
}

async fn delete(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    cluster.delete(&format!("{PROFILES}/{name}")).await
}

fn at(url: &str) -> Value {
    json!({"properties": [
        {"name": "location.example/region", "value": "eu"},
        {"name": EMITTER_URL, "value": url},
    ]})
}

fn config() -> Value {
    json!({
        "mirrorNamespace": MIRRORS, "removedSources": "delete",
        "clusterProfiles": {
            "namespace": "demo", "selector": format!("{FLEET}=test"), "defaults": {"prefix": "{source}"},
        },
    })
}

pub(crate) async fn cluster_profiles_come_change_and_go(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let other = lab.emitter(&east, &[]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let record = ["--state-namespace=demo"];
    let mut it = ByFile::start_with(&lab, &local, &config(), &record).await?;
    it.eventually_says(&format!("does not serve {CRD}")).await?;

    // The CRD comes later, and so do profiles.
    install(&local).await?;
    add(&local, "east", &at(&emitter.url)).await?;
    create(&local, "demo", "unselected", &emitter.url).await?;
    let web = mirror("east", "web");
    local.eventually_has(&web, &["10.1.0.1"]).await?;
    it.eventually_does_not_say("does not serve").await?;

    hostile_profiles_are_refused(&lab, &local, &it, &emitter.url).await?;

    // Another URL is taken over; a profile that loses it keeps it.
    set_status(&local, "east", &at(&other.url)).await?;
    emitter.kill().await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    local.eventually_has(&web, &["10.1.0.2"]).await?;
    set_status(&local, "east", &json!({"properties": []})).await?;
    it.eventually_says("the former URL stays in effect: status.properties has no")
        .await?;
    east.set_endpoints("web", &["10.1.0.3"]).await?;
    local.eventually_has(&web, &["10.1.0.3"]).await?;
    let unselected = mirror("unselected", "web");
    ensure!(local.service(&unselected).await?.is_none(), "{unselected}");

    add(&local, "west", &at(&other.url)).await?;
    local
        .eventually_has(&mirror("west", "web"), &["10.1.0.3"])
        .await?;
    delete(&local, "east").await?;
    local.eventually_lacks(&web).await?;
    none_goes_with_the_crd(&local, &mut it, &other.url).await
}

/// A profile chooses a URL. It runs nothing, reads no file and gets no credential.
async fn hostile_profiles_are_refused(
    lab: &Lab,
    local: &Cluster,
    it: &ByFile,
    url: &str,
) -> anyhow::Result<()> {
    let marker = lab.directory().join("executed");
    let secret = lab.file("secret", "the content of a file")?;
    let file = secret.to_string_lossy();
    let access = json!([{"name": "evil", "cluster": {
        "server": url, "certificate-authority": file, "proxy-url": url,
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "/usr/bin/touch", "args": [marker],
        }}],
    }}]);
    let properties = |url: &str| {
        json!([
            {"name": EMITTER_URL, "value": url},
            {"name": "heliograph.dev/token-file", "value": file}, {"name": "tokenFile", "value": file},
        ])
    };
    let hostile = [
        ("exec", json!({"accessProviders": access}), NO_URL),
        ("old", json!({"credentialProviders": access}), NO_URL),
        (
            "file",
            json!({"properties": properties(&format!("file://{file}"))}),
            "is not a URL",
        ),
        (
            "path",
            json!({"properties": properties(&file)}),
            "does not begin with http",
        ),
        (
            "local",
            json!({"properties": properties(url)}),
            "local is reserved",
        ),
    ];
    for (name, status, words) in &hostile {
        add(local, name, status).await?;
        it.eventually_says(&format!("ClusterProfile {name} is not accepted"))
            .await?;
        it.eventually_says(words).await?;
    }
    for (name, ..) in &hostile {
        delete(local, name).await?;
    }
    it.eventually_does_not_say("is not accepted").await?;
    // The properties beside the URL change nothing.
    let both = json!({"properties": properties(url), "accessProviders": access});
    add(local, "both", &both).await?;
    local
        .eventually_has(&mirror("both", "web"), &["10.1.0.1"])
        .await?;
    delete(local, "both").await?;
    ensure!(!marker.exists(), "a profile ran a program");
    let (log, status) = (it.reflector.log(), it.reflector.status().await?.to_string());
    ensure!(!log.contains("the content of a file"), "{log}");
    ensure!(!status.contains("the content of a file"), "{status}");
    Ok(())
}

/// The deletion of the CRD deletes all profiles, and is no evidence that a cluster has gone.
async fn none_goes_with_the_crd(local: &Cluster, it: &mut ByFile, url: &str) -> anyhow::Result<()> {
    let held = "missing since the CRD was replaced, not deleted: west;";
    local.plane.kubectl().run(["delete", "crd", CRD]).await?;
    it.eventually_says(&format!("does not serve {CRD}")).await?;
    install(local).await?;
    add(local, "north", &at(url)).await?;
    it.eventually_says(held).await?;
    it.reflector.stop().await?;
    it.reflector.start().await?;
    it.eventually_says(held).await?;
    let west = mirror("west", "web");
    ensure!(local.service(&west).await?.is_some(), "{west} is deleted");
    add(local, "west", &at(url)).await?;
    it.eventually_does_not_say(held).await?;
    delete(local, "west").await?;
    local.eventually_lacks(&west).await
}

/// A profile without an emitter is read at its API server, as a configured plugin gets access. Its
/// plan, live and by files, knows the source too.
pub(crate) async fn an_access_provider_leads_to_an_api_server(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    install(&local).await?;
    let asked = lab.directory().join("asked");
    let config = json!({
        "mirrorNamespace": MIRRORS,
        "clusterProfiles": {
            "namespace": "demo", "defaults": {"prefix": "{source}"},
            "accessProviders": [{"name": "test", "execConfig": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": plugin(&lab, &east, &asked)?, "provideClusterInfo": true,
            }}],
        },
    });
    let authority = base64::engine::general_purpose::STANDARD.encode(east.plane.authority());
    let cluster = json!({
        "server": east.plane.url(), "certificate-authority-data": authority,
        "extensions": [{"name": "client.authentication.k8s.io/exec",
                        "extension": {"audience": "the east"}}],
    });
    let access = json!({"accessProviders": [{"name": "test", "cluster": cluster}]});
    create_with(&local, (PROFILES, "east"), &json!({}), &access).await?;
    the_plan_has_the_source_of_a_profile(&lab, &local, &config).await?;
    let it = ByFile::start(&lab, &local, &config).await?;
    local
        .eventually_has(&mirror("east", "web"), &["10.1.0.1"])
        .await?;
    let asked = std::fs::read_to_string(&asked)?;
    ensure!(asked.contains("the east"), "{asked}");
    // A CA that is none costs this source alone, and the mirror stays.
    let wrong = json!({"accessProviders": [{"name": "test", "cluster": {
        "server": east.plane.url(), "certificate-authority-data": "bm90aGluZw==",
    }}]});
    set_status(&local, "east", &wrong).await?;
    it.eventually_says("kubeconfig of ClusterProfile east (access provider test)")
        .await?;
    set_status(&local, "east", &access).await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    local
        .eventually_has(&mirror("east", "web"), &["10.1.0.2"])
        .await
}

/// A plugin that notes for which cluster it is asked, and has a token of `east`.
fn plugin(lab: &Lab, east: &Cluster, asked: &Path) -> anyhow::Result<PathBuf> {
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": east.plane.admin_token()},
    });
    let script = format!(
        "#!/bin/sh\nprintf '%s' \"$KUBERNETES_EXEC_INFO\" > {}\necho '{credential}'\n",
        asked.display()
    );
    let file = lab.file("plugin", &script)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    Ok(file)
}

async fn the_plan_has_the_source_of_a_profile(
    lab: &Lab,
    local: &Cluster,
    config: &Value,
) -> anyhow::Result<()> {
    let file = lab.file("config.yaml", &config.to_string())?;
    let kubeconfig = local.plane.kubeconfig();
    let by_clusters = planned(&file, &["--kubeconfig".as_ref(), kubeconfig.as_ref()]).await?;
    let sources = &by_clusters["sources"];
    ensure!(sources[0]["name"] == "east", "{by_clusters}");
    ensure!(by_clusters["summary"]["create"] == 2, "{by_clusters}");

    let profiles = ["get", "clusterprofiles", "-A", "-o", "yaml"];
    let profiles = local.plane.kubectl().run(profiles).await?;
    let objects = lab.file("local.yaml", &profiles)?;
    let by_files = planned(&file, &["--local-objects".as_ref(), objects.as_ref()]).await?;
    ensure!(by_files["sources"][0]["name"] == "east", "{by_files}");
    Ok(())
}

async fn planned(file: &Path, flags: &[&OsStr]) -> anyhow::Result<Value> {
    let mut command = Command::new(program("reflector")?);
    command.args(["plan", "-o", "json", "--config"]).arg(file);
    let output = command.args(flags).output().await?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).context(words)
}
