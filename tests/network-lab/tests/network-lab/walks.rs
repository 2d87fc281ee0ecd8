//! A workload moves from one cluster to another as the users of
//! k8s-endpoints-sync-controller move theirs, and no request is lost on the way: with its
//! directory, its variables and its annotations.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::json;

use crate::cluster::{Cluster, Pod};
use crate::lab::{Lab, eventually, program, ready};
use crate::traffic::{Tally, Traffic};

const WEB: &str = "/api/v1/namespaces/demo/services/web";
const MODE: &str = "vmware.com/syndicate-mode";

/// One of the two clusters, and who asks for the Service there.
struct Side {
    cluster: Cluster,
    client: Pod,
    web: SocketAddr,
}

/// East has the Service with a pod, west its replica.
struct Stage {
    _lab: Lab,
    east: Side,
    west: Side,
}

impl Stage {
    async fn set(scene: Arc<Scene>) -> anyhow::Result<Self> {
        let lab = Lab::new(scene)?;
        let (east, west) = tokio::try_join!(lab.cluster("east"), lab.cluster("west"))?;
        east.create_service("web", &json!({})).await?;
        east.run_pod("web", "web-east").await?;
        reflect(&lab, &east, &west).await?;
        reflect(&lab, &west, &east).await?;
        let stage = Self {
            east: Side::of(east).await?,
            west: Side::of(west).await?,
            _lab: lab,
        };
        stage.eventually_answers(&["web-east"]).await?;
        Ok(stage)
    }

    fn sides(&self) -> [&Side; 2] {
        [&self.east, &self.west]
    }

    /// In both clusters.
    async fn eventually_answers(&self, pods: &[&str]) -> anyhow::Result<()> {
        for side in self.sides() {
            let node = &side.cluster.node;
            eventually(&format!("{pods:?} answer in {node}"), async || {
                let tally = Tally::of(&side.client.namespace, side.web, 40)?;
                let answered: Vec<&str> = tally.answers.keys().map(String::as_str).collect();
                ensure!(answered == pods && tally.losses.is_empty(), "{tally}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    fn traffic(&self) -> [Traffic; 2] {
        let sides = self.sides();
        sides.map(|it| Traffic::start(&it.client.namespace, it.web))
    }

    /// The pod that is not needed any more goes, and nobody has noticed anything.
    async fn end(self, walk: &str, traffic: [Traffic; 2]) -> anyhow::Result<()> {
        self.eventually_answers(&["web-west"]).await?;
        self.east.cluster.delete_pod("web-east").await?;
        for side in self.sides() {
            let tally = Tally::of(&side.client.namespace, side.web, 200)?;
            tally.check(&format!("after the {walk} walk"), &["web-west"])?;
        }
        for (traffic, side) in traffic.into_iter().zip(self.sides()) {
            let what = format!("during the {walk} walk, in {}", side.cluster.node);
            traffic.end()?.check(&what, &["web-east", "web-west"])?;
        }
        let service = self.east.cluster.get(WEB).await?;
        let labels = &service["metadata"]["labels"];
        ensure!(
            labels["replicated"] == "true",
            "east has no replica: {service}"
        );
        Ok(())
    }
}

impl Side {
    async fn of(cluster: Cluster) -> anyhow::Result<Self> {
        let client = cluster.attach("client")?;
        let web = eventually("there is a Service", async || {
            cluster.service_address("demo/web").await
        })
        .await?;
        Ok(Self {
            cluster,
            client,
            web,
        })
    }

    async fn annotate(&self, mode: &str) -> anyhow::Result<()> {
        let patch = json!({"metadata": {"annotations": {MODE: mode}}});
        self.cluster.patch(WEB, &patch).await
    }

    async fn eventually_says(&self, mode: &str) -> anyhow::Result<()> {
        eventually(&format!("it says {mode}"), async || {
            let service = self.cluster.get(WEB).await?;
            ensure!(
                service["metadata"]["annotations"][MODE] == mode,
                "{service}"
            );
            Ok(())
        })
        .await
    }
}

/// A reflector into a cluster, with the other one's kubeconfig in its directory.
async fn reflect(lab: &Lab, into: &Cluster, from: &Cluster) -> anyhow::Result<()> {
    let directory = lab
        .keeper
        .directory()
        .join(format!("kubeconfigs-{}", into.node));
    fs::create_dir(&directory)?;
    let name = from.plane.name().to_owned();
    fs::write(directory.join(name), from.plane.inline_kubeconfig()?)?;
    let mut command = into.command(program("reflector")?);
    command
        .env("KUBECONFIGS", directory)
        .env("EXCLUDE", "kube-system,default")
        .args(["--admin-bind-address=0.0.0.0:9002", "--kubeconfig"])
        .arg(into.plane.kubeconfig());
    lab.start(&format!("reflector-{}", into.node), &command)?;
    ready(SocketAddr::new(into.address().into(), 9002)).await
}

pub(crate) async fn a_stateless_workload_moves_and_no_request_is_lost(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let stage = Stage::set(scene).await?;
    let traffic = stage.traffic();
    stage.east.annotate("union").await?;
    stage.west.eventually_says("union").await?;
    stage.west.cluster.run_pod("web", "web-west").await?;
    stage.eventually_answers(&["web-east", "web-west"]).await?;
    stage.west.annotate("source").await?;
    stage.end("stateless", traffic).await
}

pub(crate) async fn a_stateful_workload_moves_and_no_request_is_lost(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let stage = Stage::set(scene).await?;
    let traffic = stage.traffic();
    stage.east.annotate("receiver").await?;
    stage.west.eventually_says("source").await?;
    // The state is moved by whoever knows how, and then the pods that have it serve.
    stage.west.cluster.run_pod("web", "web-west").await?;
    stage.eventually_answers(&["web-east"]).await?;
    let selector = json!({"spec": {"selector": {"app": "web"}}});
    stage.west.cluster.patch(WEB, &selector).await?;
    stage.end("stateful", traffic).await
}
