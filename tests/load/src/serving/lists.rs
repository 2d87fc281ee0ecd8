//! Lists of everything, one after another.

use std::time::Duration;

use http::Request;
use tokio::time::Instant;

use super::rig::{EXPORTED, Rig, SERVICES};
use super::setup::Server;

/// How a list is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Gzip,
}

impl Coding {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "identity",
            Self::Gzip => "gzip",
        }
    }
}

/// What lists cost.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) server: Server,
    pub(crate) coding: Coding,
    /// How many for each second of CPU.
    pub(crate) per_second: f64,
    /// How long one is.
    pub(crate) bytes: usize,
}

/// Asks for so long.
pub(super) async fn measure(
    rig: &Rig,
    server: Server,
    coding: Coding,
    span: Duration,
) -> anyhow::Result<Listed> {
    let client = rig.client_of(server).await?;
    let process = rig.process(server)?;
    let before = process.cpu()?;
    let end = Instant::now() + span;
    let (mut lists, mut bytes) = (0.0, 0);
    while Instant::now() < end {
        let path = format!("{SERVICES}?{EXPORTED}&resourceVersion=0");
        let request = Request::get(path)
            .header("accept-encoding", coding.name())
            .body(kube::client::Body::empty())?;
        let response = client.send(request).await?;
        // A short list comes as it is.
        let told = response.headers().get("content-encoding");
        let is_packed = told.is_some_and(|it| it.as_bytes() == b"gzip");
        let is_asked = coding == Coding::Gzip;
        anyhow::ensure!(
            is_asked || !is_packed,
            "gzip was answered to a plain question"
        );
        let list = response.into_body().collect_bytes().await?;
        (lists, bytes) = (lists + 1.0, list.len());
    }
    let took = process.cpu()?.saturating_sub(before);
    Ok(Listed {
        server,
        coding,
        per_second: lists / took.as_secs_f64().max(0.01),
        bytes,
    })
}
