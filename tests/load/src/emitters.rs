//! Emitters over plain HTTP, each a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use control_plane::Keeper;
use embedded_cluster::EmbeddedCluster;
use http::Request;
use serde_json::{Value, json};

use crate::mirroring::cluster::{EXPORTS, ready};
use crate::process::Process;
use crate::programs::{beside, client, free_address};

/// The path of its Services.
pub(crate) const SERVICES: &str = "/api/v1/namespaces/demo/services";

/// Upstream of an emitter.
#[derive(Debug, Clone)]
pub(crate) enum Upstream {
    /// An API server.
    Kubeconfig(PathBuf),
    /// Another emitter.
    Emitter(SocketAddr),
}

/// A running emitter.
pub(crate) struct Emitter {
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    process: control_plane::Process,
    command: Command,
}

impl Emitter {
    /// Starts an emitter, and waits until it is ready.
    pub(crate) async fn start(
        keeper: &Keeper,
        name: &str,
        upstream: &Upstream,
    ) -> anyhow::Result<Self> {
        Self::start_with(keeper, name, upstream, &[]).await
    }

    /// The same with further flags.
    pub(crate) async fn start_with(
        keeper: &Keeper,
        name: &str,
        upstream: &Upstream,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut command = Command::new(beside("emitter")?);
        command
            .arg("--selector=heliograph.dev/export=true")
            .args(["--secure-port=0", "--insecure-bind-address=127.0.0.1"])
            .arg(format!("--insecure-port={}", address.port()))
            .arg(format!("--admin-bind-address={admin}"))
            .args(flags);
        match upstream {
            Upstream::Kubeconfig(file) => command.arg("--kubeconfig").arg(file),
            Upstream::Emitter(address) => command.arg(format!("--upstream-url=http://{address}")),
        };
        let process = keeper.spawn(name, &command)?;
        let emitter = Self {
            address,
            admin,
            process,
            command,
        };
        emitter.ready().await?;
        Ok(emitter)
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        ready(self.admin).await
    }

    /// Ends it without notice.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill().await
    }

    /// Stops it where it is: connections stay open, and nothing is answered.
    pub(crate) fn pause(&mut self) -> anyhow::Result<()> {
        self.process.pause()
    }

    /// Starts it again at the same address, after it ended.
    pub(crate) fn start_again(&mut self, keeper: &Keeper) -> anyhow::Result<()> {
        self.process = keeper.spawn(self.process.name(), &self.command)?;
        Ok(())
    }

    /// CPU and memory of its process.
    pub(crate) fn used(&self) -> anyhow::Result<Process> {
        Process::find(&format!("--admin-bind-address={}", self.admin))
    }

    /// The watches of one resource that are open.
    pub(crate) async fn watches(&self, resource: &str) -> anyhow::Result<u64> {
        let client = client(self.admin)?;
        let request = Request::get("/metrics").body(Vec::new())?;
        let text = client.request_text(request).await?;
        let name = format!("heliograph_emitter_watches{{resource=\"{resource}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        Ok(value.context("the metrics have no watches")?.parse()?)
    }
}

/// Writes a kubeconfig of an embedded cluster.
pub(crate) fn kubeconfig(directory: &Path, cluster: &EmbeddedCluster) -> anyhow::Result<Upstream> {
    let file = directory.join(format!("{}.kubeconfig", cluster.name()));
    cluster.write_kubeconfig(&file)?;
    Ok(Upstream::Kubeconfig(file))
}

/// Puts an object into an embedded cluster.
pub(crate) fn put(cluster: &EmbeddedCluster, object: Value) -> anyhow::Result<()> {
    let put = cluster.put(object);
    put.map_err(|status| anyhow::anyhow!("{}", status.message))
}

/// An exported Service with a port, and an annotation that makes it larger or carries a time.
pub(crate) fn service(name: &str, port: u64, annotation: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": EXPORTS,
            "labels": { "app": name, "heliograph.dev/export": "true", "sent": annotation },
        },
        "spec": { "ports": [{ "name": "http", "port": port, "protocol": "TCP" }] },
    })
}

/// An exported EndpointSlice of two endpoints.
pub(crate) fn slice(service: &str, cluster: usize) -> Value {
    let endpoint = |i: usize| {
        json!({
            "addresses": [format!("10.{}.1.{i}", cluster % 250)],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": format!("node-{i}"),
            "zone": "zone-1",
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-1"),
            "namespace": EXPORTS,
            "labels": { "heliograph.dev/export": "true", "kubernetes.io/service-name": service },
        },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": [endpoint(1), endpoint(2)],
    })
}

/// The time within which a part of all ended.
pub(crate) fn at(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let rank = (last as f64 * part).round() as usize;
    times.get(rank).copied().unwrap_or_default()
}
