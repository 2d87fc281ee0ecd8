//! What a control plane remembers of its past.

use anyhow::Context;

use super::ControlPlane;

impl ControlPlane {
    /// Compacts etcd to the present. An API server with `--watch-cache=false` now answers
    /// a watch that missed more than the last change with 410; others go on answering
    /// from what they remember themselves, see [`ControlPlane::forget_history`].
    pub async fn compact(&self) -> anyhow::Result<()> {
        let etcd = kube::Config::new(self.addresses.etcd_url().parse()?);
        let etcd = kube::Client::try_from(etcd)?;
        // A key that is not there: the answer's header has the revision.
        let range = post(&etcd, "/v3/kv/range", r#"{"key":"AA=="}"#).await?;
        let revision = range["header"]["revision"].as_str();
        let revision = revision.context("etcd tells no revision")?;
        let body = format!(r#"{{"revision":"{revision}","physical":true}}"#);
        post(&etcd, "/v3/kv/compaction", &body).await?;
        Ok(())
    }

    /// Compacts etcd to the present and restarts the API server, whose cache would
    /// remember otherwise: a watch from any earlier revision is now answered with 410.
    pub async fn forget_history(&self) -> anyhow::Result<()> {
        self.stop_apiserver().await?;
        self.compact().await?;
        self.start_apiserver().await
    }
}

async fn post(client: &kube::Client, path: &str, body: &str) -> anyhow::Result<serde_json::Value> {
    let request = http::Request::post(path).body(body.as_bytes().to_vec())?;
    client
        .request(request)
        .await
        .with_context(|| format!("etcd refuses {path}"))
}
