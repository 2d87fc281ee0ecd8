//! Reads a key of a ConfigMap of the local cluster, again and again.
//!
//! One small read each few seconds needs no more than the right to get that ConfigMap, and cannot
//! hang unnoticed as a watch can. An unreadable ConfigMap changes nothing: the text that was read
//! before goes on.

use std::time::Duration;

use anyhow::{Context, anyhow};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::config::ConfigMapKey;

/// A key of a ConfigMap, and its last value.
pub(crate) struct ConfigMapText {
    api: Api<ConfigMap>,
    key: ConfigMapKey,
    /// Its value, if it was read.
    pub(crate) text: Option<String>,
    read: Option<Instant>,
    /// Error of the last read.
    error: Option<String>,
}

const LOOK: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(5);
// At the start it is worth waiting for: until it is read, its sources are missing.
const AT_START: Duration = Duration::from_secs(10);

impl ConfigMapText {
    /// Creates a watcher that has read nothing yet.
    pub(crate) fn new(client: kube::Client, key: ConfigMapKey) -> Self {
        Self {
            api: Api::namespaced(client, &key.namespace),
            key,
            text: None,
            read: None,
            error: None,
        }
    }

    /// Returns the key of the ConfigMap.
    pub(crate) const fn key(&self) -> &ConfigMapKey {
        &self.key
    }

    /// Reads it for the first time, and gives up after a while.
    pub(crate) async fn at_start(&mut self) {
        let until = Instant::now() + AT_START;
        while let Err(why) = self.read().await {
            if until < Instant::now() {
                warn!("{why}; its sources are followed when it can be read");
                break;
            }
            tokio::time::sleep(LOOK / 2).await;
        }
    }

    /// Returns whether its value is new, or the cause why it cannot be read. Between two reads the
    /// outcome of the last one counts.
    pub(crate) async fn has_changed(&mut self) -> Result<bool, String> {
        if self.read.is_none_or(|it| LOOK <= it.elapsed()) {
            return self.read().await;
        }
        self.error.clone().map_or(Ok(false), Err)
    }

    async fn read(&mut self) -> Result<bool, String> {
        self.read = Some(Instant::now());
        let found = self.find().await;
        let found = found.map_err(|error| runtime::reasons(error.as_ref()));
        self.error = found.as_ref().err().cloned();
        let text = found?;
        let is_new = self.text.as_ref() != Some(&text);
        self.text = Some(text);
        Ok(is_new)
    }

    async fn find(&self) -> anyhow::Result<String> {
        let key = &self.key;
        let found = timeout(PATIENCE, self.api.get(&key.name)).await;
        let found = found
            .map_err(anyhow::Error::from)
            .and_then(|it| it.map_err(anyhow::Error::from));
        let found = found.with_context(|| {
            let ConfigMapKey {
                namespace, name, ..
            } = key;
            format!(
                "cannot read ConfigMap {key}: create it, or grant get on configmaps {name} in \
                 namespace {namespace}; until then its sources stay as they are"
            )
        })?;
        let text = found.data.and_then(|mut it| it.remove(&key.key));
        text.ok_or_else(|| {
            let ConfigMapKey {
                namespace,
                name,
                key,
            } = key;
            anyhow!(
                "ConfigMap {namespace}/{name} has no key {key}: add it, or name another key; until \
                 then its sources stay as they are"
            )
        })
    }
}
