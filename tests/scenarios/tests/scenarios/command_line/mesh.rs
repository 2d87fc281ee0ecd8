//! `heliograph link --mesh`: three clusters read one another.

use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Scene};
use serde_json::Value;

use super::kubelet::Kubelet;
use super::{Engineer, secrets, with_access_configuration};
use crate::cluster::{Cluster, mirror};
use crate::lab::Lab;
use crate::manifests::install;

const MESH: [&str; 3] = ["north", "south", "west"];

/// A cluster with the manifests of both programs, and tokens of an issuer of its own.
async fn cluster(scene: &Scene, name: &str) -> anyhow::Result<Cluster> {
    let builder = ControlPlane::builder(name).audit();
    let builder = builder.issuer(&format!("https://{name}.example"));
    let plane = scene.start(builder).await?;
    let client = plane.client().await?;
    let cluster = Cluster { plane, client };
    cluster.create_namespace("demo").await?;
    install(&cluster, "manifests/emitter").await?;
    install(&cluster, "manifests/reflector").await?;
    with_access_configuration(&cluster).await?;
    Ok(cluster)
}

/// Updates of Deployments, among the answered requests.
fn rollouts(cluster: &Cluster) -> anyhow::Result<usize> {
    let events = cluster.plane.audit_events()?;
    let is_rollout = |it: &&control_plane::AuditEvent| {
        it.resource == "deployments" && it.verb == "update" && !it.uri.contains("dryRun")
    };
    Ok(events.iter().filter(is_rollout).count())
}

/// Names of the consumers in the access configuration of a cluster.
async fn consumers(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let path = "/api/v1/namespaces/heliograph/configmaps/emitter-access";
    let map = cluster.read(path).await?;
    let text = map["data"]["access.yaml"].as_str().context("it has one")?;
    let config: Value = serde_saphyr::from_str(text)?;
    let names = config["consumers"].as_array().into_iter().flatten();
    let mut names: Vec<_> = names
        .filter_map(|it| it["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

pub(crate) async fn three_clusters_are_linked_each_with_each(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(Arc::clone(&scene))?;
    let [north, south, west] = MESH.map(|name| cluster(&scene, name));
    let (north, south, west) = tokio::try_join!(north, south, west)?;
    let clusters = [&north, &south, &west];
    let engineer = Engineer::new(&lab, &clusters)?;
    let mut kubelets = Vec::new();
    let mut link = format!("link --mesh {}", MESH.join(","));
    for cluster in clusters {
        let name = cluster.plane.name();
        let kubelet = Kubelet::new(&lab, name)?;
        kubelet.publish_authority(cluster).await?;
        link += &format!(" --url {name}=https://127.0.0.1:{}", kubelet.port);
        kubelets.push(kubelet);
    }
    let secrets_before = clusters.map(|it| secrets(it).ok());
    they_are_linked(&engineer, &link, clusters).await?;
    let secrets_after = clusters.map(|it| secrets(it).ok());
    ensure!(
        secrets_before == secrets_after && secrets_after[0].is_some(),
        "Secrets were asked for: {secrets_before:?} before, {secrets_after:?} after"
    );
    let mut programs = Vec::new();
    for (kubelet, cluster) in kubelets.iter().zip(clusters) {
        programs.push(kubelet.start_emitter(&lab, cluster).await?);
    }
    for (kubelet, cluster) in kubelets.iter().zip(clusters) {
        programs.push(kubelet.start_reflector(&lab, cluster).await?);
    }
    for (n, cluster) in clusters.into_iter().enumerate() {
        cluster.create_service("web").await?;
        let address = format!("10.{n}.0.1");
        cluster.set_endpoints("web", &[&address]).await?;
        for reader in clusters.iter().filter(|it| it.plane.name() != MESH[n]) {
            let key = mirror(MESH[n], "web");
            reader.eventually_has(&key, &[&address]).await?;
        }
    }
    they_are_unlinked(&engineer, clusters).await
}

async fn they_are_linked(
    engineer: &Engineer,
    link: &str,
    clusters: [&Cluster; 3],
) -> anyhow::Result<()> {
    // Nothing is written for the others if one pair is wrong.
    let unknown = link.replace("west ", "west,nowhere ");
    engineer.fails(&unknown).await?;
    let manifests = engineer
        .succeeds(&format!("{link} --dry-run -o yaml"))
        .await?;
    let n_manifests = manifests.matches("\napiVersion: ").count();
    ensure!(n_manifests == 9, "{n_manifests} manifests: {manifests}");
    for cluster in clusters {
        ensure!(consumers(cluster).await?.is_empty(), "a dry run wrote");
    }
    let said = engineer.succeeds(link).await?;
    ensure!(said.matches("updated").count() == 9, "{said}");
    for cluster in clusters {
        let name = cluster.plane.name();
        let others = MESH.into_iter().filter(|it| *it != name);
        let others: Vec<_> = others.collect();
        ensure!(consumers(cluster).await? == others, "{name}: {said}");
        ensure!(rollouts(cluster)? == 1, "{name} is rolled out twice");
    }
    let said = engineer.succeeds(link).await?;
    ensure!(said.matches("unchanged").count() == 9, "{said}");
    Ok(())
}

async fn they_are_unlinked(engineer: &Engineer, clusters: [&Cluster; 3]) -> anyhow::Result<()> {
    let unlink = format!("unlink --mesh {}", MESH.join(","));
    let said = engineer.succeeds(&unlink).await?;
    ensure!(said.matches("updated").count() == 9, "{said}");
    let fates = said.matches("the mirrors of source").count();
    ensure!(fates == 6, "{said}");
    for cluster in clusters {
        ensure!(consumers(cluster).await?.is_empty(), "{said}");
        let path = "/api/v1/namespaces/heliograph/configmaps/source-api";
        let data = cluster.read(path).await?["data"].to_string();
        ensure!(
            !data.contains("127.0.0.1") && !data.contains("crt"),
            "{data}"
        );
    }
    let said = engineer.succeeds(&unlink).await?;
    ensure!(said.matches("unchanged").count() == 9, "{said}");
    Ok(())
}
