//! A cluster as scenarios see it: what they do to it, and wait for in it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::ControlPlane;
use http::Request;
use serde_json::Value;

use crate::lab::{EXPORT, MIRRORS, eventually};

/// A cluster, and a client that may do everything.
pub(crate) struct Cluster {
    pub(crate) plane: Arc<ControlPlane>,
    pub(crate) client: kube::Client,
}

impl Cluster {
    pub(crate) async fn create_namespace(&self, name: &str) -> anyhow::Result<()> {
        let namespace = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
        self.post("/api/v1/namespaces", &namespace).await
    }

    /// Creates an exported Service of one TCP port, 80.
    pub(crate) async fn create_service(&self, name: &str) -> anyhow::Result<()> {
        self.create_service_with(name, r#"{"ports":[{"name":"http","port":80}]}"#)
            .await
    }

    pub(crate) async fn create_service_with(&self, name: &str, spec: &str) -> anyhow::Result<()> {
        let service = format!(
            r#"{{"metadata":{{"name":"{name}","labels":{{"{EXPORT}":"true"}}}},"spec":{spec}}}"#
        );
        self.post("/api/v1/namespaces/demo/services", &service)
            .await
    }

    /// Creates an exported slice of a Service, or replaces its addresses.
    /// Changes a slice and dates that, as an endpoint controller does.
    pub(crate) async fn change_endpoints(
        &self,
        service: &str,
        address: &str,
    ) -> anyhow::Result<()> {
        let now = k8s_openapi::jiff::Timestamp::now();
        let dated = serde_json::json!({
            "metadata": {"annotations": {
                "endpoints.kubernetes.io/last-change-trigger-time": now.to_string(),
            }},
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        });
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/{service}-1");
        self.patch(&path, &dated.to_string()).await
    }

    pub(crate) async fn set_endpoints(
        &self,
        service: &str,
        addresses: &[&str],
    ) -> anyhow::Result<()> {
        let endpoints: Vec<Value> = addresses
            .iter()
            .map(|address| serde_json::json!({"addresses":[address],"conditions":{"ready":true}}))
            .collect();
        let slice = serde_json::json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{service}-1"),
                "namespace": "demo",
                "labels": { EXPORT: "true", "kubernetes.io/service-name": service },
            },
            "addressType": "IPv4",
            "ports": [{"name":"http","port":8080,"protocol":"TCP"}],
            "endpoints": endpoints,
        });
        let path = format!(
            "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/{service}-1?fieldManager=test&force=true"
        );
        let request = Request::patch(path)
            .header("content-type", "application/apply-patch+yaml")
            .body(slice.to_string().into_bytes())?;
        self.client.request_text(request).await?;
        Ok(())
    }

    /// Merges a patch into a Service.
    pub(crate) async fn patch_service(&self, key: &str, patch: &str) -> anyhow::Result<()> {
        self.patch(&service_path(key), patch).await
    }

    pub(crate) async fn patch(&self, path: &str, patch: &str) -> anyhow::Result<()> {
        let request = Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(patch.as_bytes().to_vec())?;
        self.client.request_text(request).await?;
        Ok(())
    }

    pub(crate) async fn delete_service(&self, key: &str) -> anyhow::Result<()> {
        self.delete(&service_path(key)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.client
            .request_text(Request::delete(path).body(Vec::new())?)
            .await?;
        Ok(())
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> anyhow::Result<()> {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(body.as_bytes().to_vec())?;
        self.client
            .request_text(request)
            .await
            .with_context(|| format!("POST {path}"))?;
        Ok(())
    }

    pub(crate) async fn read(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self
            .client
            .request(Request::get(path).body(Vec::new())?)
            .await?)
    }

    /// A Service, or `None`.
    pub(crate) async fn service(&self, key: &str) -> anyhow::Result<Option<Value>> {
        match self.read(&service_path(key)).await {
            Ok(service) => Ok(Some(service)),
            Err(error) if format!("{error:#}").contains("not found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All addresses in the slices of a Service, sorted.
    pub(crate) async fn addresses(&self, key: &str) -> anyhow::Result<Vec<String>> {
        let (namespace, name) = key.split_once('/').context("a key is namespace/name")?;
        let list = self
            .read(&format!(
                "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name%3D{name}"
            ))
            .await?;
        let slices = list["items"].as_array().context("a list has items")?;
        let endpoints = slices
            .iter()
            .filter_map(|slice| slice["endpoints"].as_array())
            .flatten();
        let addresses = endpoints.filter_map(|it| it["addresses"][0].as_str());
        let mut addresses: Vec<String> = addresses.map(str::to_owned).collect();
        addresses.sort();
        Ok(addresses)
    }

    /// Waits until a Service is there with exactly these addresses.
    pub(crate) async fn eventually_has(&self, key: &str, addresses: &[&str]) -> anyhow::Result<()> {
        eventually(&format!("{key} has {addresses:?}"), async || {
            ensure!(self.service(key).await?.is_some(), "there is no {key}");
            let found = self.addresses(key).await?;
            ensure!(found == addresses, "it has {found:?}");
            Ok(())
        })
        .await
    }

    /// Waits until a Service and its slices are gone.
    pub(crate) async fn eventually_lacks(&self, key: &str) -> anyhow::Result<()> {
        eventually(&format!("{key} is gone"), async || {
            ensure!(self.service(key).await?.is_none(), "it is there");
            let found = self.addresses(key).await?;
            ensure!(found.is_empty(), "there are still {found:?}");
            Ok(())
        })
        .await
    }

    /// Returns the same when the audit log has had its time: entries come after the answers.
    pub(crate) async fn settled_mirror_writes(&self) -> anyhow::Result<usize> {
        let mut before = self.mirror_writes()?;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.mirror_writes()?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
    }

    /// How many writes of mirrors the API server has answered, by whomever.
    pub(crate) fn mirror_writes(&self) -> anyhow::Result<usize> {
        let events = self.plane.audit_events()?;
        let writes = events.iter().filter(|event| {
            event.is_write() && matches!(event.resource.as_str(), "services" | "endpointslices")
        });
        Ok(writes.count())
    }

    /// Waits until so many writes are in the audit log: an object is seen before its write is there.
    pub(crate) async fn eventually_wrote(&self, wanted: usize) -> anyhow::Result<()> {
        eventually("the audit log has the writes", async || {
            let n_writes = self.mirror_writes()?;
            ensure!(n_writes == wanted, "{n_writes} writes, not {wanted}");
            Ok(())
        })
        .await
    }
}

pub(crate) fn service_path(key: &str) -> String {
    let (namespace, name) = key.split_once('/').unwrap_or(("default", key));
    format!("/api/v1/namespaces/{namespace}/services/{name}")
}

/// The local key of a mirror in `mirrors`.
pub(crate) fn mirror(prefix: &str, name: &str) -> String {
    format!("{MIRRORS}/{prefix}-demo-73736d-{name}")
}
