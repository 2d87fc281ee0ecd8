//! Clusters, and our programs in them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use control_plane::assets::{self, Found};
use control_plane::{Keeper, Process, Scene};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::FURTHER;
use crate::cluster::{Cluster, EXPORT};
use crate::traffic::get;

/// The port where kube-proxy says that it has written its rules.
const PROXY_HEALTH: u16 = 10256;

/// The namespace of prefixed mirrors.
pub(crate) const MIRRORS: &str = "mirrors";

/// Starts programs, and keeps them until the scenario ends.
pub(crate) struct Lab {
    scene: Arc<Scene>,
    pub(crate) keeper: Keeper,
    /// kube-proxy of each node.
    proxies: parking_lot::Mutex<BTreeMap<String, Program>>,
}

/// A running program.
pub(crate) struct Program(Arc<Mutex<Process>>);

impl Lab {
    pub(crate) fn new(scene: Arc<Scene>) -> anyhow::Result<Self> {
        let keeper = Keeper::new("lab")?;
        let proxies = parking_lot::Mutex::default();
        Ok(Self {
            scene,
            keeper,
            proxies,
        })
    }

    /// A cluster with kube-proxy and with the namespaces `demo` and `mirrors`.
    pub(crate) async fn cluster(&self, name: &str) -> anyhow::Result<Cluster> {
        let cluster = Cluster::start(&self.scene, name).await?;
        self.start_proxy(&cluster)?;
        for namespace in ["demo", MIRRORS] {
            let namespace = json!({ "metadata": { "name": namespace } });
            cluster.post("/api/v1/namespaces", &namespace).await?;
        }
        // A pod is refused before the controllers have made its account.
        let account = "/api/v1/namespaces/demo/serviceaccounts/default";
        let client = cluster.plane.client().await?;
        eventually("demo has an account", async || {
            let request = http::Request::get(account).body(Vec::new())?;
            client.request_text(request).await?;
            Ok(())
        })
        .await?;
        let health = SocketAddr::new(cluster.address().into(), PROXY_HEALTH);
        eventually("kube-proxy is healthy", async || {
            Ok(get(health, "/healthz")?)
        })
        .await?;
        cluster.name_zone().await?;
        Ok(cluster)
    }

    /// Two clusters, one beside the other.
    pub(crate) async fn clusters(&self) -> anyhow::Result<(Cluster, Cluster)> {
        tokio::try_join!(self.cluster("east"), self.cluster("local"))
    }

    fn start_proxy(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let config = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": { "kubeconfig": cluster.plane.kubeconfig() },
            "mode": "nftables",
            "hostnameOverride": cluster.node,
            "clusterCIDR": cluster.pod_ranges(),
            // Limits of the whole machine, which are not for a namespace to set.
            "conntrack": { "maxPerCore": 0, "min": 0 },
            "healthzBindAddress": format!("{}:{PROXY_HEALTH}", cluster.address()),
            "metricsBindAddress": "127.0.0.1:10249",
        });
        let file = self
            .keeper
            .directory()
            .join(format!("{}.json", cluster.node));
        fs::write(&file, config.to_string())?;
        let mut command = cluster.command(tool("kube-proxy")?);
        command.arg("--config").arg(file);
        let proxy = self.start(&format!("kube-proxy-{}", cluster.node), &command)?;
        self.proxies.lock().insert(cluster.node.clone(), proxy);
        Ok(())
    }

    /// Ends kube-proxy; its rules stay as they are.
    pub(crate) async fn kill_proxy(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let proxy = self.proxies.lock().remove(&cluster.node);
        proxy.context("kube-proxy does not run")?.kill().await
    }

    /// An emitter on the node, and the URL that it serves.
    pub(crate) async fn emitter(&self, east: &Cluster) -> anyhow::Result<(Program, String)> {
        let mut command = east.command(program("emitter")?);
        command
            .args(["--selector", &format!("{EXPORT}=true"), "--secure-port=0"])
            .args(["--insecure-port=8001", "--admin-bind-address=0.0.0.0:9001"])
            .arg("--kubeconfig")
            .arg(east.plane.kubeconfig());
        let emitter = self.start("emitter", &command)?;
        let address = east.address();
        ready(SocketAddr::new(address.into(), 9001)).await?;
        Ok((emitter, format!("http://{address}:8001")))
    }

    /// A reflector on the node.
    pub(crate) async fn reflector(&self, local: &Cluster, source: &str) -> anyhow::Result<Program> {
        let mut command = local.command(program("reflector")?);
        command
            .args(["--mirror-namespace", MIRRORS, "--source", source])
            .args(["--admin-bind-address=0.0.0.0:9002", "--kubeconfig"])
            .arg(local.plane.kubeconfig());
        let reflector = self.start("reflector", &command)?;
        ready(SocketAddr::new(local.address().into(), 9002)).await?;
        Ok(reflector)
    }

    /// A reflector on the node, by a file.
    pub(crate) async fn configured_reflector(
        &self,
        local: &Cluster,
        config: &Value,
    ) -> anyhow::Result<Program> {
        let name = format!("reflector-{}", local.node);
        let file = self.keeper.directory().join(format!("{name}.json"));
        fs::write(&file, config.to_string())?;
        let mut command = local.command(program("reflector")?);
        command.args(["--admin-bind-address=0.0.0.0:9002", "--kubeconfig"]);
        command.arg(local.plane.kubeconfig());
        command.arg("--config").arg(file);
        let reflector = self.start(&name, &command)?;
        ready(SocketAddr::new(local.address().into(), 9002)).await?;
        Ok(reflector)
    }

    /// Runs a program until the scenario ends.
    pub(crate) fn start(&self, name: &str, command: &Command) -> anyhow::Result<Program> {
        let process = Arc::new(Mutex::new(self.keeper.spawn(name, command)?));
        let (shown, name) = (Arc::clone(&process), name.to_owned());
        self.scene.on_failure(move || {
            let log = shown.try_lock().map(|process| process.log());
            format!("--- {name}\n{}\n", log.unwrap_or_default())
        });
        Ok(Program(process))
    }
}

impl Program {
    /// Ends it without a word.
    pub(crate) async fn kill(&self) -> anyhow::Result<()> {
        self.0.lock().await.kill().await
    }
}

/// The path of a tool that is not ours.
pub(crate) fn tool(name: &str) -> anyhow::Result<PathBuf> {
    match assets::find_or_build_with(&FURTHER)? {
        Found::Ready(assets) => Ok(assets.binary(name)),
        Found::Missing(why) => Err(anyhow!(why)),
    }
}

/// The path of one of our programs, which lie beside the tests.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let profile = tests.parent().and_then(std::path::Path::parent);
    let program = profile.map(|it| it.join(name)).filter(|it| it.is_file());
    program.with_context(|| format!("there is no program {name} beside the tests"))
}

pub(crate) async fn ready(admin: SocketAddr) -> anyhow::Result<()> {
    eventually(&format!("{admin} is ready"), async || {
        let answer = get(admin, "/readyz?verbose")?;
        ensure!(answer.contains("check passed"), "{answer}");
        Ok(())
    })
    .await
}

/// Tries until it holds. What was wrong the last time is the error.
pub(crate) async fn eventually<T>(
    what: &str,
    holds: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    const PATIENCE: Duration = Duration::from_secs(45);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let why = match holds().await {
            Ok(outcome) => return Ok(outcome),
            Err(why) => why,
        };
        if deadline < Instant::now() {
            return Err(why.context(format!("not after {PATIENCE:?}: {what}")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
