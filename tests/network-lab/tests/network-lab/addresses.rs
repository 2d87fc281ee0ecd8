//! A mirror is reached by its address, whatever happens in the meantime.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::{Cluster, Pod};
use crate::lab::{Lab, Program, eventually};
use crate::network::has_ipv6;
use crate::traffic::{Tally, Traffic};

/// Where a mirror of `web` from east is.
pub(crate) const MIRROR: &str = "mirrors/east-demo-73736d-web";

/// Two clusters with a mirror of `web`, which has two pods, and a pod here that uses it.
pub(crate) struct Stage {
    lab: Lab,
    pub(crate) east: Cluster,
    pub(crate) local: Cluster,
    emitter: Program,
    reflector: Program,
    pub(crate) client: Pod,
    mirror: SocketAddr,
}

impl Stage {
    pub(crate) async fn set(scene: Arc<Scene>) -> anyhow::Result<Self> {
        let lab = Lab::new(scene)?;
        let (east, local) = lab.clusters().await?;
        east.create_service("web", &json!({})).await?;
        for pod in ["web-0", "web-1"] {
            east.run_pod("web", pod).await?;
        }
        let (emitter, url) = lab.emitter(&east).await?;
        let source = format!("name=east,url={url},prefix=east");
        let reflector = lab.reflector(&local, &source).await?;
        let client = local.attach("client")?;
        let mirror = eventually("there is a mirror", async || {
            local.service_address(MIRROR).await
        })
        .await?;
        let stage = Self {
            lab,
            east,
            local,
            emitter,
            reflector,
            client,
            mirror,
        };
        stage
            .eventually_answers(stage.mirror, &["web-0", "web-1"])
            .await?;
        Ok(stage)
    }

    /// Waits until kube-proxy has what a mirror says.
    async fn eventually_answers(&self, server: SocketAddr, pods: &[&str]) -> anyhow::Result<()> {
        eventually("the mirror's address answers", async || {
            let tally = Tally::of(&self.client.namespace, server, 20)?;
            let answered: Vec<&str> = tally.answers.keys().map(String::as_str).collect();
            ensure!(answered == pods && tally.losses.is_empty(), "{tally}");
            Ok(())
        })
        .await
    }

    fn traffic(&self) -> Traffic {
        Traffic::start(&self.client.namespace, self.mirror)
    }
}

pub(crate) async fn a_pod_reaches_a_sources_pods_through_a_mirror(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let stage = Stage::set(scene).await?;
    let tally = Tally::of(&stage.client.namespace, stage.mirror, 1000)?;
    tally.check("a mirror's address", &["web-0", "web-1"])
}

/// A pod that is asked to end answers for a while, as it should; what counts is when
/// the last connection to it begins.
pub(crate) async fn an_endpoint_that_goes_away_gets_no_more_connections(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const BOUND: Duration = Duration::from_secs(8);
    let stage = Stage::set(scene).await?;
    let traffic = stage.traffic();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let deleted = Instant::now();
    stage.east.delete_pod("web-1").await?;
    tokio::time::sleep(BOUND + Duration::from_secs(2)).await;
    let tally = traffic.end()?;
    tally.check("while a pod ends", &["web-0", "web-1"])?;
    let last = tally.answers.get("web-1").context("it has answered")?.last;
    let after = last.saturating_duration_since(deleted);
    eprintln!("the last connection to the pod began {after:?} after it was told to end");
    ensure!(after < BOUND, "it still got one after {after:?}");

    // And one that comes gets some.
    stage.east.run_pod("web", "web-2").await?;
    stage
        .eventually_answers(stage.mirror, &["web-0", "web-2"])
        .await
}

pub(crate) async fn traffic_goes_on_while_emitter_and_reflector_are_dead(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let stage = Stage::set(scene).await?;
    let traffic = stage.traffic();
    let pause = Duration::from_secs(2);
    tokio::time::sleep(pause).await;
    stage.emitter.kill().await?;
    tokio::time::sleep(pause).await;
    stage.reflector.kill().await?;
    tokio::time::sleep(pause).await;

    // They come back, and nobody notices.
    let (_emitter, url) = stage.lab.emitter(&stage.east).await?;
    let source = format!("name=east,url={url},prefix=east");
    stage.lab.reflector(&stage.local, &source).await?;
    tokio::time::sleep(pause).await;
    let tally = traffic.end()?;
    tally.check(
        "from before both die until both are back",
        &["web-0", "web-1"],
    )
}

/// Passes with a word where the kernel has no IPv6.
pub(crate) async fn a_service_of_both_families_is_reached_by_both(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    if !has_ipv6() {
        eprintln!("dual stack: not tried, since this kernel has no IPv6");
        return Ok(());
    }
    let stage = Stage::set(scene).await?;
    let both = json!({ "ipFamilyPolicy": "RequireDualStack", "selector": { "app": "web" } });
    stage.east.create_service("both", &both).await?;
    let servers = eventually("the mirror has two addresses", async || {
        let mirror = "mirrors/east-demo-73736d-both";
        let servers = stage.local.service_addresses(mirror).await?;
        ensure!(servers.len() == 2, "it has {servers:?}");
        Ok(servers)
    })
    .await?;
    for server in servers {
        stage
            .eventually_answers(server, &["web-0", "web-1"])
            .await?;
        let tally = Tally::of(&stage.client.namespace, server, 200)?;
        tally.check(&server.to_string(), &["web-0", "web-1"])?;
    }
    Ok(())
}
