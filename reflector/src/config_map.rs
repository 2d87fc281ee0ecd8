//! Reads a key of a ConfigMap of the local cluster, again and again.
//!
//! One small read each few seconds needs no more than the right to get that ConfigMap,
//! and cannot hang unnoticed as a watch can. What cannot be read says nothing: what was
//! read before goes on.

use std::time::Duration;

use anyhow::{Context, anyhow};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::config::ConfigMapKey;

/// A key of a ConfigMap, and what it said last.
pub(crate) struct ConfigMapText {
    api: Api<ConfigMap>,
    key: ConfigMapKey,
    /// What it says, if that is known.
    pub(crate) text: Option<String>,
    read: Option<Instant>,
}

const LOOK: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(5);
// At the start it is worth waiting for: until it is read, its sources are missing.
const AT_START: Duration = Duration::from_secs(10);

impl ConfigMapText {
    /// Of which nothing is known yet.
    pub(crate) fn new(client: kube::Client, key: ConfigMapKey) -> Self {
        Self {
            api: Api::namespaced(client, &key.namespace),
            key,
            text: None,
            read: None,
        }
    }

    /// Where it is.
    pub(crate) const fn key(&self) -> &ConfigMapKey {
        &self.key
    }

    /// Reads it for the first time, and gives up after a while.
    pub(crate) async fn at_start(&mut self) {
        let until = Instant::now() + AT_START;
        while let Err(error) = self.read().await {
            if until < Instant::now() {
                let why = runtime::reasons(error.as_ref());
                warn!("{why}; its sources are followed when it can be read");
                break;
            }
            tokio::time::sleep(LOOK / 2).await;
        }
    }

    /// Whether it says something new, where it is time to look.
    pub(crate) async fn has_changed(&mut self) -> anyhow::Result<bool> {
        if self.read.is_some_and(|it| it.elapsed() < LOOK) {
            return Ok(false);
        }
        self.read().await
    }

    async fn read(&mut self) -> anyhow::Result<bool> {
        self.read = Some(Instant::now());
        let key = &self.key;
        let found = timeout(PATIENCE, self.api.get(&key.name)).await;
        let found = found
            .map_err(anyhow::Error::from)
            .and_then(|it| it.map_err(anyhow::Error::from));
        let found = found.with_context(|| format!("cannot read ConfigMap {key}"))?;
        let text = found.data.and_then(|mut it| it.remove(&key.key));
        let text = text.ok_or_else(|| anyhow!("ConfigMap {key} has no such key"))?;
        let is_new = self.text.as_ref() != Some(&text);
        self.text = Some(text);
        Ok(is_new)
    }
}
