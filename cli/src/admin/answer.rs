//! Answers of an admin port.

use anyhow::{anyhow, ensure};
use http_body_util::BodyExt;

/// Bytes of an answer, at most.
const MAX_ANSWER: usize = 64 << 20;

/// Reads an answer, which must be a success.
pub(super) async fn whole<B>(response: http::Response<B>) -> anyhow::Result<Vec<u8>>
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
