//! What a control plane remembers of its past.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::ControlPlane;

impl ControlPlane {
    /// Compacts etcd to the present. An API server with `--watch-cache=false` now answers
    /// a watch that missed more than the last change with 410; others go on answering
    /// from what they remember themselves, see [`ControlPlane::forget_history`].
    pub async fn compact(&self) -> anyhow::Result<()> {
        let etcd = kube::Config::new(self.addresses.etcd_url().parse()?);
        let etcd = kube::Client::try_from(etcd)?;
        // A key that is not there: the answer's header has the resource version.
        let range = post(&etcd, "/v3/kv/range", r#"{"key":"AA=="}"#).await?;
        let revision = range["header"]["revision"].as_str();
        let revision = revision.context("etcd tells no revision")?;
        let body = format!(r#"{{"revision":"{revision}","physical":true}}"#);
        post(&etcd, "/v3/kv/compaction", &body).await?;
        Ok(())
    }

    /// Compacts etcd to the present and restarts the API server, whose cache would remember
    /// otherwise: a watch from any earlier resource version is now answered with 410.
    pub async fn forget_history(&self) -> anyhow::Result<()> {
        self.stop_apiserver().await?;
        self.compact().await?;
        self.start_apiserver().await
    }
}

/// Everything in etcd as it was once.
#[derive(Debug)]
pub struct EtcdBackup(PathBuf);

impl ControlPlane {
    /// Keeps what is in etcd now, which goes on afterwards.
    pub async fn back_up(&self) -> anyhow::Result<EtcdBackup> {
        let backup = self.file("etcd-backup");
        self.at_rest(|data| copy(data, &backup)).await?;
        Ok(EtcdBackup(backup))
    }

    /// Goes back to what was in etcd then, resource versions included.
    pub async fn restore(&self, backup: &EtcdBackup) -> anyhow::Result<()> {
        self.at_rest(|data| {
            std::fs::remove_dir_all(data)?;
            copy(&backup.0, data)
        })
        .await
    }

    /// Does that to etcd's data while nothing runs that writes it.
    async fn at_rest(&self, what: impl FnOnce(&Path) -> io::Result<()>) -> anyhow::Result<()> {
        self.stop_apiserver().await?;
        let etcd = self.processes.lock().etcd.take();
        etcd.context("etcd does not run")?.stop().await?;
        what(&self.file("etcd")).context("cannot copy what is in etcd")?;
        let etcd = self.spawn_etcd()?;
        self.processes.lock().etcd = Some(etcd);
        self.start_apiserver().await
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

async fn post(client: &kube::Client, path: &str, body: &str) -> anyhow::Result<serde_json::Value> {
    let request = http::Request::post(path).body(body.as_bytes().to_vec())?;
    client
        .request(request)
        .await
        .with_context(|| format!("etcd refuses {path}"))
}
