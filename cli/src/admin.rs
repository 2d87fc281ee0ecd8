//! Requests to an admin port: through a port-forward to the pod that writes, or at a URL.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::client::Body;
use runtime::{Access, Token};
use serde::de::DeserializeOwned;

use crate::args::{Global, Server};
use crate::cluster::Cluster;
use crate::installation::{Installed, Program, writer};

/// An admin port.
pub(crate) enum Admin {
    /// At a URL.
    Url(Box<Access>),
    /// Port of a pod, reached by port-forwarding.
    Pod {
        /// Pods of its namespace.
        pods: Box<Api<Pod>>,
        /// Its name.
        name: String,
        /// Number of the port.
        port: u16,
    },
}

// Answers come from memory; a port-forward passes two API servers.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of an answer, at most.
const MAX_ANSWER: usize = 64 << 20;
const USER_AGENT: &str = concat!("heliograph-cli/", env!("CARGO_PKG_VERSION"));

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
        let pods = Box::new(Api::namespaced(cluster.client().clone(), namespace));
        Self::Pod { pods, name, port }
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
                Self::Pod { pods, name, port } => through_pod(pods, name, *port, path).await,
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
            Self::Pod { name, port, .. } => write!(f, "pod {name}, port {port}"),
        }
    }
}

async fn at_url(access: &Access, path: &str) -> anyhow::Result<Vec<u8>> {
    let client = runtime::connect(access, USER_AGENT).await?;
    let response = client.send(Request::get(path).body(Body::empty())?).await?;
    whole(response).await
}

/// One request through a port-forward of its own.
async fn through_pod(
    pods: &Api<Pod>,
    name: &str,
    port: u16,
    path: &str,
) -> anyhow::Result<Vec<u8>> {
    let mut forward = pods.portforward(name, &[port]).await?;
    let stream = forward
        .take_stream(port)
        .context("the port is not forwarded")?;
    let refused = forward
        .take_error(port)
        .context("the port is not forwarded")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(http::header::HOST, "localhost")
        .header(http::header::USER_AGENT, USER_AGENT)
        .body(Empty::<hyper::body::Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        whole(response).await
    };
    let connection = async {
        // The error of the connection is reported by the request.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    let refused = async {
        match refused.await {
            Some(why) => anyhow!("the port-forward failed: {}", why.trim()),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        why = refused => Err(why),
        answer = answer => answer,
        () = connection => Err(anyhow!("the connection ended")),
    }
}

async fn whole<B>(response: http::Response<B>) -> anyhow::Result<Vec<u8>>
where
    B: hyper::body::Body<Data = hyper::body::Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let code = response.status();
    let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    let body = body
        .map_err(|error| anyhow!("the answer is not complete: {error}"))?
        .to_bytes();
    ensure!(
        code.is_success(),
        "the server answered {code}: {}",
        String::from_utf8_lossy(&body).trim()
    );
    Ok(body.to_vec())
}
