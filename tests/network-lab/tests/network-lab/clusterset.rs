//! An exported Service is reached by its clusterset name, from every cluster.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{Scene, crds};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Pod};
use crate::dns::{Dns, recipe_of};
use crate::lab::{Lab, eventually};
use crate::traffic::Tally;

const API: &str = "/apis/multicluster.x-k8s.io/v1beta1/namespaces/demo";
const WEB: &str = "web.demo.svc.clusterset.local";

/// A cluster of the set with CoreDNS, a reflector and a client.
struct Member {
    cluster: Cluster,
    dns: Dns,
    client: Pod,
}

/// Two clusters that read each other's API server.
async fn clusterset(lab: &Lab) -> anyhow::Result<[Member; 2]> {
    let (east, local) = lab.clusters().await?;
    for cluster in [&east, &local] {
        install(cluster).await?;
    }
    let peers = [
        (&east, "east", &local, "home"),
        (&local, "home", &east, "east"),
    ];
    for (cluster, name, peer, peer_name) in peers {
        let config = json!({
            "clusterSet": {"cluster": name},
            "sources": [{"name": peer_name, "kubeconfig": peer.plane.kubeconfig()}],
        });
        lab.configured_reflector(cluster, &config).await?;
    }
    Ok([member(lab, east).await?, member(lab, local).await?])
}

async fn member(lab: &Lab, cluster: Cluster) -> anyhow::Result<Member> {
    let recipe = recipe_of("multi-cluster-services.md", "DNS names")?;
    let dns = Dns::start(lab, &cluster, &recipe).await?;
    let client = cluster.attach("client")?;
    Ok(Member {
        cluster,
        dns,
        client,
    })
}

async fn install(cluster: &Cluster) -> anyhow::Result<()> {
    let directory = crds::multi_cluster_services()?;
    let kubectl = cluster.plane.kubectl();
    for name in ["serviceexports", "serviceimports"] {
        let file = directory.join(format!("multicluster.x-k8s.io_{name}.yaml"));
        let file = file.display().to_string();
        kubectl.run(["apply", "--server-side", "-f", &file]).await?;
        let crd = format!("crd/{name}.multicluster.x-k8s.io");
        kubectl
            .run(["wait", "--for=condition=Established", &crd])
            .await?;
    }
    Ok(())
}

async fn export(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    let export = json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
        "metadata": {"name": name},
    });
    cluster
        .post(&format!("{API}/serviceexports"), &export)
        .await
}

/// The address and the first port of an import.
async fn address(cluster: &Cluster) -> anyhow::Result<SocketAddr> {
    let import = cluster.get(&format!("{API}/serviceimports/web")).await?;
    let address: Option<IpAddr> = import["spec"]["ips"][0]
        .as_str()
        .and_then(|it| it.parse().ok());
    Ok(SocketAddr::new(
        address.with_context(|| import.to_string())?,
        80,
    ))
}

impl Member {
    /// Waits until the name leads to the import, and its address to these pods alone.
    async fn reaches(&self, pods: &[&str]) -> anyhow::Result<()> {
        let server =
            eventually("there is an import", async || address(&self.cluster).await).await?;
        let IpAddr::V4(ip) = server.ip() else {
            anyhow::bail!("the import has the address {server}");
        };
        self.dns.eventually_has(&self.client, WEB, &[ip]).await?;
        eventually(&format!("{pods:?} answer"), async || {
            let tally = Tally::of(&self.client.namespace, server, 40)?;
            let answered: Vec<&str> = tally.answers.keys().map(String::as_str).collect();
            ensure!(answered == pods && tally.losses.is_empty(), "{tally}");
            Ok(())
        })
        .await?;
        Tally::of(&self.client.namespace, server, 100)?.check(WEB, pods)
    }
}

pub(crate) async fn an_exported_service_is_reached_by_its_clusterset_name(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let members = clusterset(&lab).await?;
    let [east, local] = &members;
    for (member, pod) in [(east, "web-east"), (local, "web-local")] {
        member.cluster.create_service("web", &json!({})).await?;
        member.cluster.run_pod("web", pod).await?;
    }
    // Both have the Service, and one exports it.
    export(&east.cluster, "web").await?;
    for member in &members {
        member.reaches(&["web-east"]).await?;
    }
    let unknown = local
        .dns
        .resolve(&local.client, "other.demo.svc.clusterset.local");
    ensure!(unknown.is_err(), "what is not exported has {unknown:?}");
    let own = local.cluster.service_address("demo/web").await?;
    let name = "web.demo.svc.cluster.local";
    let IpAddr::V4(own) = own.ip() else {
        anyhow::bail!("the Service has the address {own}");
    };
    local
        .dns
        .eventually_has(&local.client, name, &[own])
        .await?;
    // Creation times are whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    export(&local.cluster, "web").await?;
    for member in &members {
        member.reaches(&["web-east", "web-local"]).await?;
    }
    // The younger export's port of that name is another one now.
    let port = json!({"name": "http", "port": 4242, "targetPort": 8080});
    let ports = json!({"spec": {"ports": [{"$patch": "replace"}, port]}});
    local
        .cluster
        .patch("/api/v1/namespaces/demo/services/web", &ports)
        .await?;
    for member in &members {
        member.reaches(&["web-east"]).await?;
    }
    Ok(())
}

pub(crate) async fn pods_of_a_headless_export_have_names_of_their_own(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let members = clusterset(&lab).await?;
    let [east, _] = &members;
    let headless: Value = json!({"clusterIP": "None"});
    east.cluster.create_service("db", &headless).await?;
    let db_0 = east.cluster.run_pod("db", "db-0").await?.address;
    let db_1 = east.cluster.run_pod("db", "db-1").await?.address;
    export(&east.cluster, "db").await?;
    let zone = "db.demo.svc.clusterset.local";
    for Member { dns, client, .. } in &members {
        dns.eventually_has(client, zone, &[db_0, db_1]).await?;
        for (pod, address) in [("db-0", db_0), ("db-1", db_1)] {
            let name = format!("{pod}.east.{zone}");
            dns.eventually_has(client, &name, &[address]).await?;
        }
    }
    Ok(())
}
