//! A cluster with another clock: what it answers has another date.

use std::sync::Arc;

use anyhow::Context;
use http_body_util::BodyExt;
use k8s_openapi::jiff::fmt::rfc2822::DateTimePrinter;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::cluster::Cluster;

/// A proxy of an API server, whose answers have a date some time from now.
pub(super) struct Shifted {
    pub(super) url: String,
    _tasks: JoinSet<()>,
}

impl Shifted {
    pub(super) async fn start(of: &Cluster, by: SignedDuration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let client = Arc::new(of.client.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&client), by));
            }
        });
        Ok(Self { url, _tasks: tasks })
    }

    /// A kubeconfig with contexts of that name and of a cluster as it is.
    pub(super) fn kubeconfig(&self, name: &str, local: &Cluster) -> anyhow::Result<String> {
        let text = local.plane.inline_kubeconfig()?;
        let mut config: serde_json::Value = serde_saphyr::from_str(&text)?;
        for (list, key, value) in [
            ("clusters", "cluster", json!({"server": self.url})),
            ("users", "user", json!({})),
            (
                "contexts",
                "context",
                json!({"cluster": name, "user": name}),
            ),
        ] {
            let list = config[list].as_array_mut().context("a kubeconfig has it")?;
            list.push(json!({"name": name, key: value}));
        }
        Ok(config.to_string())
    }
}

/// Answers reads, one after the other, until the connection ends.
async fn serve(mut stream: TcpStream, client: Arc<kube::Client>, by: SignedDuration) {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut piece).await {
        head.extend_from_slice(&piece[..n]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let request = String::from_utf8_lossy(&head).into_owned();
        head.clear();
        let target = request.split(' ').nth(1).unwrap_or_default();
        let Ok(answer) = answer(&client, target, by).await else {
            return;
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn answer(
    client: &kube::Client,
    target: &str,
    by: SignedDuration,
) -> anyhow::Result<Vec<u8>> {
    let request = http::Request::get(target).body(kube::client::Body::empty())?;
    let response = client.send(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&(Timestamp::now() + by))?;
    let head = format!(
        "HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.as_bytes(), &body].concat())
}
