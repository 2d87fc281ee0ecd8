//! What scenarios are made of: clusters, programs, Services, patience.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
pub(crate) use control_plane::free_port;
use control_plane::{ControlPlane, Keeper, Process, Scene};
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub(crate) use crate::cluster::{Cluster, mirror, service_path};

/// The label that the scenarios export by.
pub(crate) const EXPORT: &str = "heliograph.dev/export";

/// The namespace of prefixed mirrors.
pub(crate) const MIRRORS: &str = "mirrors";

/// Starts programs, and keeps them until the scenario ends.
pub(crate) struct Lab {
    scene: Arc<Scene>,
    keeper: Arc<Keeper>,
}

/// A running `emitter` or `reflector`.
pub(crate) struct Program {
    name: String,
    keeper: Arc<Keeper>,
    command: Command,
    process: Arc<Mutex<Process>>,
    /// Where it serves its API; its probes, for a reflector.
    pub(crate) url: String,
    admin: String,
}

impl Lab {
    pub(crate) fn new(scene: Arc<Scene>) -> anyhow::Result<Self> {
        let keeper = Arc::new(Keeper::new("programs")?);
        Ok(Self { scene, keeper })
    }

    /// A cluster with controllers and with the namespaces `demo` and `mirrors`.
    pub(crate) async fn cluster(&self, name: &str) -> anyhow::Result<Cluster> {
        let builder = ControlPlane::builder(name).controllers().audit();
        let plane = self.scene.start(builder).await?;
        let client = plane.client().await?;
        let cluster = Cluster { plane, client };
        for namespace in ["demo", MIRRORS] {
            cluster.create_namespace(namespace).await?;
        }
        Ok(cluster)
    }

    /// Two clusters, one after the other's start and not after its end.
    pub(crate) async fn clusters(&self) -> anyhow::Result<(Cluster, Cluster)> {
        tokio::try_join!(self.cluster("east"), self.cluster("local"))
    }

    /// An emitter of what is labelled, serving HTTP.
    pub(crate) async fn emitter(
        &self,
        cluster: &Cluster,
        flags: &[&str],
    ) -> anyhow::Result<Program> {
        let name = format!("emitter-{}", cluster.plane.name());
        self.emitter_by(&name, &cluster.plane.kubeconfig(), flags)
            .await
    }

    /// An emitter that reads by a kubeconfig, with that name of its log.
    pub(crate) async fn emitter_by(
        &self,
        name: &str,
        kubeconfig: &Path,
        flags: &[&str],
    ) -> anyhow::Result<Program> {
        let port = free_port()?;
        let mut command = Command::new(program("emitter")?);
        command
            .args(["--selector", &format!("{EXPORT}=true"), "--secure-port=0"])
            .args([
                "--insecure-bind-address=127.0.0.1",
                &format!("--insecure-port={port}"),
            ])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(flags);
        if !flags.iter().any(|flag| flag.starts_with("--shutdown-")) {
            // There is no load balancer that must notice the end first.
            command.args([
                "--shutdown-delay-duration=0s",
                "--shutdown-watch-termination-grace-period=0s",
            ]);
        }
        let emitter = self.start(name, command, Some(port))?;
        emitter.ready().await?;
        Ok(emitter)
    }

    /// A reflector into a cluster; each source is a value of `--source`.
    pub(crate) async fn reflector(
        &self,
        local: &Cluster,
        sources: &[&str],
    ) -> anyhow::Result<Program> {
        let mut command = Command::new(program("reflector")?);
        command
            .arg("--kubeconfig")
            .arg(local.plane.kubeconfig())
            .args(["--mirror-namespace", MIRRORS]);
        for source in sources {
            command.args(["--source", source]);
        }
        let reflector = self.start("reflector", command, None)?;
        reflector.ready().await?;
        Ok(reflector)
    }

    /// A directory that goes with the lab.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.keeper.directory()
    }

    /// A file that goes with the lab.
    pub(crate) fn file(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.keeper.directory().join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    pub(crate) fn start(
        &self,
        name: &str,
        mut command: Command,
        port: Option<u16>,
    ) -> anyhow::Result<Program> {
        let admin = format!("127.0.0.1:{}", free_port()?);
        command.args(["--admin-bind-address", &admin]);
        // What a killed program could not remove goes with the lab.
        command.env("TMPDIR", self.keeper.directory());
        let process = Arc::new(Mutex::new(self.keeper.spawn(name, &command)?));
        let shown = Arc::clone(&process);
        let title = name.to_owned();
        self.scene
            .on_failure(move || format!("--- {title}\n{}\n", log_of(&shown)));
        Ok(Program {
            name: name.to_owned(),
            keeper: Arc::clone(&self.keeper),
            command,
            process,
            url: port.map_or_else(
                || format!("http://{admin}"),
                |port| format!("http://127.0.0.1:{port}"),
            ),
            admin: format!("http://{admin}"),
        })
    }
}

impl Program {
    /// Waits until `/readyz` says so.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        eventually(&format!("{} is ready", self.name), async || {
            ensure!(self.process.lock().await.is_running(), "it has ended");
            let answer = get(&self.admin, "/readyz?verbose").await?;
            ensure!(answer.contains("check passed"), "{answer}");
            Ok(())
        })
        .await
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        self.process.lock().await.stop().await
    }

    /// Tells it something.
    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.process.lock().await.signal(name)
    }

    /// Waits until it has ended.
    pub(crate) async fn wait(&self) -> anyhow::Result<()> {
        self.process.lock().await.wait().await.map(|_| ())
    }

    /// What it answers where it serves its probes.
    pub(crate) async fn admin(&self, path: &str) -> anyhow::Result<String> {
        get(&self.admin, path).await
    }

    /// Ends it without a word.
    pub(crate) async fn kill(&self) -> anyhow::Result<()> {
        self.process.lock().await.kill().await
    }

    /// Starts it again as it was, and waits until it is ready.
    pub(crate) async fn start(&self) -> anyhow::Result<()> {
        *self.process.lock().await = self.keeper.spawn(&self.name, &self.command)?;
        self.ready().await
    }

    /// A sample of its metrics: the sum over all labels that contain `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> anyhow::Result<f64> {
        let text = get(&self.admin, "/metrics").await?;
        let samples = text.lines().filter(|line| {
            let is_it =
                line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "));
            is_it && line.contains(labels)
        });
        let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// What it says of itself.
    pub(crate) async fn status(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&get(&self.admin, "/status").await?)?)
    }

    pub(crate) fn log(&self) -> String {
        log_of(&self.process)
    }
}

fn log_of(process: &Mutex<Process>) -> String {
    match process.try_lock() {
        Ok(process) => process.log(),
        Err(_) => "(it is being stopped)".to_owned(),
    }
}

/// GET of a program's own server, whatever it answers.
pub(crate) async fn get(server: &str, path: &str) -> anyhow::Result<String> {
    let config = kube::Config::new(server.parse()?);
    let client = kube::Client::try_from(config)?;
    let request = Request::get(path).body(kube::client::Body::empty())?;
    let response = client.send(request).await?;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Tries until it holds. What was wrong the last time is the error.
pub(crate) async fn eventually(
    what: &str,
    holds: impl AsyncFn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(45);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Err(why) = holds().await else {
            return Ok(());
        };
        if deadline < Instant::now() {
            return Err(why.context(format!("not after {PATIENCE:?}: {what}")));
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Holds for a while, not only now: for what must not happen.
pub(crate) async fn meanwhile(
    what: &str,
    holds: impl AsyncFn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    const WHILE: Duration = Duration::from_secs(3);
    let deadline = Instant::now() + WHILE;
    while Instant::now() < deadline {
        holds()
            .await
            .with_context(|| format!("no longer: {what}"))?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// The path of one of our programs, which lie beside the tests.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let profile = tests.parent().and_then(std::path::Path::parent);
    let program = profile.map(|it| it.join(name)).filter(|it| it.is_file());
    program.ok_or_else(|| anyhow!("there is no program {name} beside the tests"))
}
