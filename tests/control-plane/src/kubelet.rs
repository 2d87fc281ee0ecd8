//! A kubelet that answers port-forwards and logs, and runs no containers.
//!
//! It uses the server library of the kubelet. A test starts the processes of a pod itself, and
//! names the address at which they listen and the file that is their log.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::assets::{self, Found};
use crate::keeper::Process;
use crate::plane::ControlPlane;

/// A node of a control plane.
pub struct Kubelet {
    node: String,
    pods: PathBuf,
    client: kube::Client,
    process: Process,
}

const TOOL: &str = "kubelet";

impl Kubelet {
    /// Starts it, and tells the API server where it listens; the Node is created if it is absent.
    pub async fn start(plane: &ControlPlane, node: &str) -> anyhow::Result<Self> {
        let found = tokio::task::spawn_blocking(|| assets::find_or_build_client(TOOL)).await??;
        let binary = match found {
            Found::Ready(assets) => assets.binary(TOOL),
            Found::Missing(why) => bail!(why),
        };
        let pods = plane.directory().join("pods");
        std::fs::create_dir_all(&pods)?;
        let served = plane.spawn_kubelet(binary, &pods)?;
        let it = Self {
            node: node.to_owned(),
            pods,
            client: plane.client().await?,
            process: served.process,
        };
        let address = served.address;
        let path = format!("/api/v1/nodes/{node}");
        let object = json!({"metadata": {"name": node}});
        it.create("/api/v1/nodes", &object).await?;
        let port = json!({"kubeletEndpoint": {"Port": address.port()}});
        let mut status = json!({"status": {"daemonEndpoints": port}});
        let known: Value = it
            .client
            .request(Request::get(&path).body(Vec::new())?)
            .await?;
        if known["status"]["addresses"].is_null() {
            let own = json!([{"type": "InternalIP", "address": address.ip()}]);
            status["status"]["addresses"] = own;
        }
        it.patch(&format!("{path}/status"), &status).await?;
        Ok(it)
    }

    /// Creates a pod of this node, running and ready, whose processes listen at that address.
    pub async fn run(
        &self,
        namespace: &str,
        name: &str,
        template: &Value,
        address: IpAddr,
    ) -> anyhow::Result<()> {
        self.listen(namespace, name, address)?;
        let mut pod = template.clone();
        pod["metadata"]["name"] = name.into();
        pod["spec"]["nodeName"] = self.node.as_str().into();
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        self.create(&pods, &pod).await?;
        self.set_ready(namespace, name, true).await
    }

    /// Reports a pod as ready or as not ready.
    pub async fn set_ready(&self, namespace: &str, name: &str, ready: bool) -> anyhow::Result<()> {
        let ready = if ready { "True" } else { "False" };
        let conditions = json!([{"type": "Ready", "status": ready}]);
        let status = json!({"status": {"phase": "Running", "conditions": conditions}});
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status");
        self.patch(&path, &status).await
    }

    /// Names the address at which the processes of a pod listen.
    pub fn listen(&self, namespace: &str, name: &str, address: IpAddr) -> anyhow::Result<()> {
        let folder = self.folder(namespace, name)?;
        Ok(std::fs::write(folder.join("address"), address.to_string())?)
    }

    /// Names the file that is the log of a container.
    pub fn log_is(
        &self,
        (namespace, name): (&str, &str),
        container: &str,
        log: &Path,
    ) -> anyhow::Result<()> {
        let link = self
            .folder(namespace, name)?
            .join(format!("{container}.log"));
        std::os::unix::fs::symlink(log, &link)
            .with_context(|| format!("cannot create {}", link.display()))
    }

    /// Ends the process; the Node stays.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.process.stop().await
    }

    fn folder(&self, namespace: &str, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.pods.join(namespace).join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    async fn create(&self, collection: &str, object: &Value) -> anyhow::Result<()> {
        let request = Request::post(collection).header("content-type", "application/json");
        let request = request.body(object.to_string().into_bytes())?;
        match self.client.request_text(request).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(why)) if why.code == StatusCode::CONFLICT.as_u16() => Ok(()),
            Err(why) => Err(anyhow!(why).context(format!("POST {collection}"))),
        }
    }

    async fn patch(&self, path: &str, patch: &Value) -> anyhow::Result<()> {
        let kind = "application/strategic-merge-patch+json";
        let request = Request::patch(path).header("content-type", kind);
        let request = request.body(patch.to_string().into_bytes())?;
        let sent = self.client.request_text(request).await;
        sent.map(drop).with_context(|| format!("PATCH {path}"))
    }
}
