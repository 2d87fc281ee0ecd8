//! A global Service is reached in all its clusters, as its members ask for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::{Value, json};

use crate::cluster::{Cluster, EXPORT, Pod};
use crate::dns::{Dns, recipe};
use crate::lab::{Lab, eventually};
use crate::traffic::{Tally, Traffic};

const GLOBAL: &str = "mirrors/gl-demo-73736d-web";

/// East and the local cluster have a Service `web` with a pod each, and it is one.
struct Stage {
    lab: Lab,
    east: Cluster,
    local: Cluster,
    client: Pod,
    global: SocketAddr,
}

impl Stage {
    /// With these keys of `global`, and this of the `spec` of east's Service.
    async fn set(scene: Arc<Scene>, keys: &Value, there: &Value) -> anyhow::Result<Self> {
        let lab = Lab::new(scene)?;
        let (east, local) = lab.clusters().await?;
        east.create_service("web", there).await?;
        east.run_pod("web", "web-east").await?;
        // A Service's time is of whole seconds, and east is to be the older one.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        local.create_service("web", &json!({})).await?;
        local.run_pod("web", "web-local").await?;
        let mut global = json!({
            "cluster": "local",
            "selector": format!("{EXPORT}=true"),
            "zones": ["local"],
        });
        for (key, value) in keys.as_object().into_iter().flatten() {
            global[key] = value.clone();
        }
        let config = json!({
            "mirrorNamespace": "mirrors",
            "global": global,
            "sources": [{"name": "east", "kubeconfig": east.plane.kubeconfig()}],
        });
        lab.configured_reflector(&local, &config).await?;
        let client = local.attach("client")?;
        let global = eventually("there is a global Service", async || {
            local.service_address(GLOBAL).await
        })
        .await?;
        Ok(Self {
            lab,
            east,
            local,
            client,
            global,
        })
    }

    async fn eventually_answers(&self, pods: &[&str]) -> anyhow::Result<()> {
        eventually(&format!("{pods:?} answer"), async || {
            let tally = Tally::of(&self.client.namespace, self.global, 40)?;
            let answered: Vec<&str> = tally.answers.keys().map(String::as_str).collect();
            ensure!(answered == pods && tally.losses.is_empty(), "{tally}");
            Ok(())
        })
        .await
    }

    fn check(&self, what: &str, pods: &[&str]) -> anyhow::Result<()> {
        Tally::of(&self.client.namespace, self.global, 200)?.check(what, pods)
    }
}

pub(crate) async fn a_global_service_reaches_all_members_by_address_and_by_name(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let stage = Stage::set(scene, &json!({}), &json!({})).await?;
    stage.eventually_answers(&["web-east", "web-local"]).await?;
    stage.check("both members", &["web-east", "web-local"])?;
    let dns = Dns::start(&stage.lab, &stage.local, &recipe("Global Services")?).await?;
    let std::net::IpAddr::V4(address) = stage.global.ip() else {
        anyhow::bail!("it has the address {}", stage.global);
    };
    let name = "web.demo.svc.cluster.global";
    dns.eventually_has(&stage.client, name, &[address]).await
}

pub(crate) async fn local_endpoints_come_first_and_others_while_none_is_ready(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let keys = json!({ "localFirstSelector": format!("{EXPORT}=true") });
    let stage = Stage::set(scene, &keys, &json!({})).await?;
    stage.eventually_answers(&["web-local"]).await?;
    stage.check("while the local pod is ready", &["web-local"])?;
    let traffic = Traffic::start(&stage.client.namespace, stage.global);
    stage.local.set_ready("web-local", false).await?;
    stage.eventually_answers(&["web-east"]).await?;
    stage.check("while the local pod is not ready", &["web-east"])?;
    stage.local.set_ready("web-local", true).await?;
    stage.eventually_answers(&["web-local"]).await?;
    stage.check("when the local pod is ready again", &["web-local"])?;
    traffic
        .end()?
        .check("there and back", &["web-east", "web-local"])?;
    // The other way round nothing changes here.
    stage.east.set_ready("web-east", false).await?;
    stage.check("while the other pod is not ready", &["web-local"])
}

pub(crate) async fn a_port_that_means_something_else_gets_no_traffic(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let ports = json!({"ports": [{"name": "http", "port": 81, "targetPort": 8080}]});
    // Both are created within a second, which is all that their creation timestamps tell.
    let first = json!({"precedence": ["local"]});
    let stage = Stage::set(scene, &first, &ports).await?;
    stage.eventually_answers(&["web-local"]).await?;
    stage.check("port 80 of the cluster that comes first", &["web-local"])
}

/// Here not by hints but by tiers, which need no zones.
pub(crate) async fn a_later_cluster_serves_while_an_earlier_one_does_not_suffice(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let failback = json!({"after": "2s", "over": "2s"});
    let keys = json!({"zones": [], "failover": ["east", "local"], "failback": failback});
    let stage = Stage::set(scene, &keys, &json!({})).await?;
    stage.eventually_answers(&["web-east"]).await?;
    stage.check("while east suffices", &["web-east"])?;
    let traffic = Traffic::start(&stage.client.namespace, stage.global);
    stage.east.set_ready("web-east", false).await?;
    stage.eventually_answers(&["web-local"]).await?;
    stage.east.set_ready("web-east", true).await?;
    // Both serve for a while.
    stage.eventually_answers(&["web-east", "web-local"]).await?;
    stage.eventually_answers(&["web-east"]).await?;
    stage.check("when east suffices again", &["web-east"])?;
    traffic
        .end()?
        .check("there and back", &["web-east", "web-local"])
}
