//! Reads one small JSON document of a server.

use std::fmt;
use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::de::DeserializeOwned;

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BYTES: usize = 1 << 20;

/// Reason why a document was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// The server answered with a status that is no success.
    Status(StatusCode),
    /// There was no answer, or another document.
    Failed(String),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => code.fmt(f),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Unread {}

/// Reads the document at a path: at most 1 MiB, within 10 seconds.
pub async fn document<T: DeserializeOwned>(client: &kube::Client, path: &str) -> Result<T, Unread> {
    let failed = |why: &dyn fmt::Display| Unread::Failed(why.to_string());
    let request = Request::get(path)
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())
        .map_err(|it| failed(&it))?;
    let answer = async {
        let response = client.send(request).await.map_err(|it| failed(&it))?;
        let code = response.status();
        if !code.is_success() {
            return Err(Unread::Status(code));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES).collect();
        let body = body.await.map_err(|it| failed(&it))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|it| failed(&it))
    };
    let answer = tokio::time::timeout(TIMEOUT, answer).await;
    answer.unwrap_or_else(|_| Err(Unread::Failed(format!("no answer in {TIMEOUT:?}"))))
}
