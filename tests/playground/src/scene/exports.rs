//! ServiceExports of one Service, which becomes a ServiceImport in the local cluster.

use std::path::Path;

use anyhow::Context;
use control_plane::crds;
use http::Request;
use serde_json::{Value, json};

use super::cluster::Kind;
use super::sample::NAMESPACE;

/// The Service that is exported.
pub(crate) const EXPORTED: &str = "web";

/// Sources that export it: enough to see an import of several clusters.
pub(crate) const N_EXPORTERS: usize = 2;

const API: &str = "/apis/multicluster.x-k8s.io/v1beta1";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const FIELDS: [&str; 2] = ["serviceexports", "serviceimports"];

/// Definitions of the Multi-Cluster Services API.
pub(crate) struct Api {
    /// Definitions to install. Embedded clusters need none.
    definitions: Vec<Value>,
}

impl Api {
    /// The API for clusters of that kind, or why there is none.
    pub(crate) async fn of(kind: Kind) -> anyhow::Result<Self> {
        let definitions = match kind {
            Kind::Embedded => Vec::new(),
            Kind::Real => tokio::task::spawn_blocking(definitions).await??,
        };
        Ok(Self { definitions })
    }

    /// Has a cluster serve it.
    pub(crate) async fn install(&self, client: &kube::Client) -> anyhow::Result<()> {
        for definition in &self.definitions {
            post(client, CRDS, definition).await?;
        }
        // It is served a moment after that.
        for resource in FIELDS {
            let list = || Request::get(format!("{API}/{resource}")).body(Vec::new());
            for attempt in 0.. {
                match client.request::<Value>(list()?).await {
                    Ok(_) => break,
                    Err(_) if attempt < 60 => {
                        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                    }
                    Err(error) => return Err(error).context("ServiceExports are not served"),
                }
            }
        }
        Ok(())
    }
}

/// Exports the Service of a source.
pub(crate) async fn export(client: &kube::Client) -> anyhow::Result<()> {
    let export = json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
        "metadata": {"name": EXPORTED, "namespace": NAMESPACE},
    });
    let path = format!("{API}/namespaces/{NAMESPACE}/serviceexports");
    post(client, &path, &export).await
}

async fn post(client: &kube::Client, path: &str, object: &Value) -> anyhow::Result<()> {
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.body(object.to_string().into_bytes())?;
    match client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Definitions of the pinned module, which needs Go.
fn definitions() -> anyhow::Result<Vec<Value>> {
    let directory = crds::multi_cluster_services()?;
    let definitions = FIELDS.iter().map(|it| definition(&directory, it));
    definitions.collect()
}

fn definition(directory: &Path, resource: &str) -> anyhow::Result<Value> {
    let path = directory.join(format!("multicluster.x-k8s.io_{resource}.yaml"));
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_saphyr::from_str(&text)?)
}
