//! Requests to an admin port: through a port-forward to the pod that writes, or at a URL.

mod answer;
mod forward;

use std::time::Duration;

use anyhow::{Context, anyhow};
use http::Request;
use kube::client::Body;
use runtime::{Access, Token};
use serde::de::DeserializeOwned;

use crate::args::{Global, Server};
use crate::cluster::{Cluster, USER_AGENT};
use crate::installation::{Installed, Program};
use crate::pods::writer;

use forward::Forward;

/// An admin port.
pub(crate) enum Admin {
    /// At a URL.
    Url(Box<Access>),
    /// Port of a pod, reached by port-forwarding.
    Pod(Box<Forward>),
}

// Answers come from memory; a port-forward passes two API servers.
const TIMEOUT: Duration = Duration::from_secs(15);

impl Admin {
    /// The admin port of the reflector that writes.
    pub(crate) async fn of_reflector(global: &Global, server: &Server) -> anyhow::Result<Self> {
        if let Some(url) = &server.server {
            return Ok(Self::Url(Box::new(Access::Url {
                url: url.clone(),
                authority: None,
                token: server.token_file.clone().map(Token::File),
                identity: None,
                proxy: None,
            })));
        }
        let cluster = Cluster::of(global).await?;
        let namespace = &global.namespace;
        let reflector = Installed::existing(&cluster, namespace, Program::Reflector).await?;
        let name = writer(&cluster, namespace, &reflector).await?;
        Ok(Self::of_pod(
            &cluster,
            namespace,
            name,
            reflector.admin_port(),
        ))
    }

    /// The admin port of a pod.
    pub(crate) fn of_pod(cluster: &Cluster, namespace: &str, name: String, port: u16) -> Self {
        Self::Pod(Box::new(Forward::new(cluster, namespace, name, port)))
    }

    /// Reads JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let body = self.get(path).await?;
        let answer = serde_json::from_slice(&body);
        answer.with_context(|| format!("{self}{path} did not answer as a reflector does"))
    }

    /// Reads text.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&self.get(path).await?).into_owned())
    }

    async fn get(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let answer = async {
            match self {
                Self::Url(access) => at_url(access, path).await,
                Self::Pod(forward) => forward.get(path).await,
            }
        };
        let answer = tokio::time::timeout(TIMEOUT, answer).await;
        let answer = answer.unwrap_or_else(|_| Err(anyhow!("no answer in {TIMEOUT:?}")));
        answer.with_context(|| format!("cannot read {path} of {self}"))
    }
}

impl std::fmt::Display for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(access) => write!(f, "{access}"),
            Self::Pod(forward) => write!(f, "{forward}"),
        }
    }
}

async fn at_url(access: &Access, path: &str) -> anyhow::Result<Vec<u8>> {
    let client = runtime::connect(access, USER_AGENT).await?;
    let response = client.send(Request::get(path).body(Body::empty())?).await?;
    answer::whole(response).await
}
