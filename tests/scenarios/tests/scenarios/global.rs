//! Services of three clusters become one, in each of them.

// By semaphore-service-mirror's own configuration, in the place of its objects.
pub(crate) mod semaphore;

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::{Value, json};

use crate::lab::{Cluster, Lab, MIRRORS, Program, eventually, get, meanwhile, program};

const MEMBER: &str = "heliograph.dev/global-service";
pub(crate) const GLOBAL: &str = "mirrors/gl-demo-73736d-web";

/// Clusters of which each has a reflector that follows all others.
struct Mesh {
    clusters: Vec<Cluster>,
    reflectors: Vec<Program>,
}

impl Mesh {
    async fn new(lab: &Lab, names: &[&str], global: &Value) -> anyhow::Result<Self> {
        let clusters = names.iter().map(|name| lab.cluster(name));
        let clusters: Vec<Cluster> = futures::future::try_join_all(clusters).await?;
        let mut mesh = Self {
            clusters,
            reflectors: Vec::new(),
        };
        for local in &mesh.clusters {
            let others = mesh.clusters.iter();
            let others = others.filter(|it| it.plane.name() != local.plane.name());
            let sources: Vec<_> = others
                .map(|it| {
                    json!({
                        "name": it.plane.name(),
                        "kubeconfig": it.plane.kubeconfig(),
                        "import": {"namespaces": {"allow": ["*"]}},
                    })
                })
                .collect();
            let mut global = global.clone();
            global["cluster"] = json!(local.plane.name());
            let config = json!({
                "mirrorNamespace": MIRRORS, "deletionHold": "1s", "global": global,
                "sources": sources,
            });
            let name = format!("reflector-{}", local.plane.name());
            let file = lab.file(&format!("{name}.json"), &config.to_string())?;
            let mut command = Command::new(program("reflector")?);
            command.arg("--kubeconfig").arg(local.plane.kubeconfig());
            command.arg("--config").arg(file);
            mesh.reflectors.push(lab.start(&name, command, None)?);
        }
        for reflector in &mesh.reflectors {
            reflector.ready().await?;
        }
        Ok(mesh)
    }

    /// Waits until the global Service has these addresses in every cluster.
    async fn have(&self, key: &str, addresses: &[&str]) -> anyhow::Result<()> {
        for cluster in &self.clusters {
            let has = cluster.eventually_has(key, addresses).await;
            has.with_context(|| format!("in cluster {}", cluster.plane.name()))?;
        }
        Ok(())
    }

    async fn lack(&self, key: &str) -> anyhow::Result<()> {
        for cluster in &self.clusters {
            let lacks = cluster.eventually_lacks(key).await;
            lacks.with_context(|| format!("in cluster {}", cluster.plane.name()))?;
        }
        Ok(())
    }

    /// Waits until every cluster shows the same of the global Service.
    async fn agree(&self, key: &str) -> anyhow::Result<()> {
        eventually("all clusters show the same", async || {
            let mut all = Vec::new();
            for cluster in &self.clusters {
                let service = cluster.service(key).await?.context("it is there")?;
                let (metadata, spec) = (&service["metadata"], &service["spec"]);
                let mut annotations = metadata["annotations"].clone();
                let members = annotations["heliograph.dev/members"].take();
                let members = members.as_str().unwrap_or_default().to_owned();
                let shown = [
                    annotations,
                    spec["ports"].clone(),
                    spec["sessionAffinity"].clone(),
                ];
                all.push((shown, members));
            }
            let differs = all.iter().find(|it| **it != all[0]);
            ensure!(differs.is_none(), "{:?} and {differs:?}", all[0]);
            Ok(())
        })
        .await
    }

    async fn addresses_of_service(&self, key: &str) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        for cluster in &self.clusters {
            let service = cluster.service(key).await?.context("it is there")?;
            all.push(service["spec"]["clusterIP"].clone());
        }
        Ok(all)
    }

    /// Nothing is written anywhere for a while.
    async fn is_silent(&self) -> anyhow::Result<()> {
        let writes = || {
            let counts = self.clusters.iter().map(Cluster::mirror_writes);
            counts.sum::<anyhow::Result<usize>>()
        };
        // What is on its way arrives.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let before = writes()?;
        meanwhile("nobody writes", async || {
            let now = writes()?;
            ensure!(now == before, "{} writes", now - before);
            Ok(())
        })
        .await
    }
}

/// Creates a member of a global Service with one endpoint.
pub(crate) async fn join(cluster: &Cluster, port: u16, address: &str) -> anyhow::Result<()> {
    let service = json!({
        "metadata": {"name": "web", "labels": {MEMBER: "true"}},
        "spec": {"ports": [{"name": "http", "port": port}]},
    });
    cluster
        .post("/api/v1/namespaces/demo/services", &service.to_string())
        .await?;
    let slice = json!({
        "metadata": {
            "name": "web-1",
            "labels": {MEMBER: "true", "kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
    });
    let path = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices";
    cluster.post(path, &slice.to_string()).await
}

pub(crate) async fn leave(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.delete_service("demo/web").await?;
    let path = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/web-1";
    cluster.delete(path).await
}

/// A member's slice in the global Service.
async fn slice_of(cluster: &Cluster, source: &str) -> anyhow::Result<Value> {
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{MIRRORS}/endpointslices?labelSelector=heliograph.dev/source%3D{source}"
    );
    let list = cluster.read(&path).await?;
    Ok(list["items"][0].clone())
}

pub(crate) async fn members_come_and_go_and_every_cluster_shows_the_same(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let mesh = Mesh::new(&lab, &["a", "b", "c"], &json!({})).await?;
    let [a, b, c] = &mesh.clusters[..] else {
        anyhow::bail!("three clusters");
    };
    join(a, 80, "10.1.0.1").await?;
    mesh.have(GLOBAL, &["10.1.0.1"]).await?;
    let before = mesh.addresses_of_service(GLOBAL).await?;
    // A Service's time is of whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    join(b, 80, "10.2.0.1").await?;
    join(c, 80, "10.3.0.1").await?;
    let all = ["10.1.0.1", "10.2.0.1", "10.3.0.1"];
    mesh.have(GLOBAL, &all).await?;
    mesh.agree(GLOBAL).await?;

    // What is ours is never exported again, whatever it is labelled.
    let label = json!({"metadata": {"labels": {MEMBER: "true"}}}).to_string();
    a.patch_service(GLOBAL, &label).await?;
    mesh.is_silent().await?;
    let echo = "mirrors/gl-mirrors-73736d-gl-demo-73736d-web";
    ensure!(b.service(echo).await?.is_none(), "it was exported again");

    // The oldest goes, while the reflector beside another one is dead.
    mesh.reflectors[1].kill().await?;
    leave(a).await?;
    mesh.reflectors[1].start().await?;
    mesh.have(GLOBAL, &all[1..]).await?;
    mesh.agree(GLOBAL).await?;
    let after = mesh.addresses_of_service(GLOBAL).await?;
    ensure!(before == after, "{before:?} became {after:?}");

    mesh.reflectors[2].kill().await?;
    leave(b).await?;
    leave(c).await?;
    mesh.lack_but(2).await?;
    mesh.reflectors[2].start().await?;
    mesh.lack(GLOBAL).await?;
    mesh.is_silent().await
}

impl Mesh {
    /// Waits until the global Service is gone everywhere but in one cluster.
    async fn lack_but(&self, i: usize) -> anyhow::Result<()> {
        for (at, cluster) in self.clusters.iter().enumerate() {
            if at != i {
                cluster.eventually_lacks(GLOBAL).await?;
            }
        }
        Ok(())
    }
}

pub(crate) async fn a_conflict_is_told_everywhere_and_ends(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let mesh = Mesh::new(&lab, &["a", "b"], &json!({})).await?;
    let [a, b] = &mesh.clusters[..] else {
        anyhow::bail!("two clusters");
    };
    join(a, 80, "10.1.0.1").await?;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    join(b, 81, "10.2.0.1").await?;
    mesh.have(GLOBAL, &["10.1.0.1", "10.2.0.1"]).await?;
    mesh.agree(GLOBAL).await?;
    for (cluster, reflector) in mesh.clusters.iter().zip(&mesh.reflectors) {
        eventually("the conflict is known", async || {
            let ports = &slice_of(cluster, "b").await?["ports"];
            ensure!(ports.as_array().is_none_or(Vec::is_empty), "{ports}");
            let ports = &slice_of(cluster, "a").await?["ports"];
            ensure!(ports[0]["port"] == 8080, "{ports}");
            let status = reflector.status().await?;
            ensure!(
                status["problems"][0]["reason"] == "PortConflict",
                "{status}"
            );
            ensure!(status["problems"][0]["source"] == "b", "{status}");
            let n = reflector
                .metric("heliograph_reflector_problems", "PortConflict")
                .await?;
            ensure!((n - 1.0).abs() < 0.1, "{n} problems");
            let events = "/apis/events.k8s.io/v1/namespaces/mirrors/events";
            let events = cluster.read(events).await?.to_string();
            ensure!(events.contains("is TCP 81 and not TCP 80"), "{events}");
            let told = get(&reflector.url, "/explain/demo/web").await?;
            ensure!(told.contains("is TCP 81 and not TCP 80"), "{told}");
            let log = reflector.log();
            ensure!(log.contains("is TCP 81 and not TCP 80"), "{log}");
            Ok(())
        })
        .await?;
    }
    let ports = json!({"spec": {"ports": [{"name": "http", "port": 80}]}}).to_string();
    b.patch_service("demo/web", &ports).await?;
    for (cluster, reflector) in mesh.clusters.iter().zip(&mesh.reflectors) {
        eventually("the conflict is over", async || {
            let ports = &slice_of(cluster, "b").await?["ports"];
            ensure!(ports[0]["port"] == 8080, "{ports}");
            let status = reflector.status().await?;
            ensure!(status["problems"] == json!([]), "{status}");
            Ok(())
        })
        .await?;
    }
    mesh.is_silent().await
}

pub(crate) async fn a_global_service_may_have_its_members_own_name(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let mesh = Mesh::new(&lab, &["a", "b"], &json!({"sameName": true})).await?;
    let [a, b] = &mesh.clusters[..] else {
        anyhow::bail!("two clusters");
    };
    join(a, 80, "10.1.0.1").await?;
    b.eventually_has("demo/web", &["10.1.0.1"]).await?;
    mesh.is_silent().await?;
    // Where it is ours, it can be taken over: it is deleted, and another is quicker.
    let before = a.service("demo/web").await?;
    leave(a).await?;
    mesh.lack("demo/web").await?;
    join(b, 80, "10.2.0.1").await?;
    a.eventually_has("demo/web", &["10.2.0.1"]).await?;
    ensure!(before != a.service("demo/web").await?, "it is ours now");
    // Both have one of their own.
    leave(b).await?;
    mesh.lack("demo/web").await?;
    for reflector in &mesh.reflectors {
        reflector.stop().await?;
    }
    join(a, 80, "10.1.0.1").await?;
    join(b, 80, "10.2.0.1").await?;
    for reflector in &mesh.reflectors {
        reflector.start().await?;
    }
    mesh.have("demo/web", &["10.1.0.1", "10.2.0.1"]).await?;
    for cluster in &mesh.clusters {
        let service = cluster.service("demo/web").await?.context("it is there")?;
        let labels = &service["metadata"]["labels"];
        ensure!(labels.get("heliograph.dev/source").is_none(), "{labels}");
    }
    mesh.is_silent().await
}

pub(crate) async fn a_full_mesh_of_five_settles_and_stays_silent(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let names = ["a", "b", "c", "d", "e"];
    let mesh = Mesh::new(&lab, &names, &json!({})).await?;
    let addresses: Vec<_> = (0..names.len()).map(|i| format!("10.{i}.0.1")).collect();
    for (cluster, address) in mesh.clusters.iter().zip(&addresses) {
        join(cluster, 80, address).await?;
    }
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    mesh.have(GLOBAL, &addresses).await?;
    mesh.agree(GLOBAL).await?;
    mesh.is_silent().await
}
