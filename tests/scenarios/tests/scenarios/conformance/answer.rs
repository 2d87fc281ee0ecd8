//! What a server answers, as far as clients can depend on it.

use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;

use super::question::Question;

/// Headers that differ from one answer of a server to its next are not compared, nor
/// is how a body is framed.
const HEADERS: [&str; 10] = [
    "content-type",
    "warning",
    "cache-control",
    "retry-after",
    "vary",
    "content-encoding",
    "x-content-type-options",
    "audit-id",
    "location",
    "allow",
];

/// Longer than any question takes: a resource version that does not come is waited for 3 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// One answer, without what may differ from one moment to the next.
#[derive(PartialEq, Eq)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<Option<String>>,
    body: String,
}

impl Answer {
    /// Asks, and reads to the end.
    pub(super) async fn of(client: &kube::Client, question: &Question) -> anyhow::Result<Self> {
        let answer = tokio::time::timeout(PATIENCE, Self::read(client, question)).await;
        answer.context("the answer does not end")?
    }

    async fn read(client: &kube::Client, question: &Question) -> anyhow::Result<Self> {
        let mut request = Request::builder()
            .method(question.method.clone())
            .uri(&question.path)
            .header("audit-id", "a7f3b7f0-0000-4000-8000-000000000001")
            .header("user-agent", "conformance");
        for (name, value) in &question.headers {
            let headers = request.headers_mut().context("the request is built")?;
            headers.insert(*name, value.parse()?);
        }
        let response = client.send(request.body(Body::empty())?).await?;
        let status = response.status().as_u16();
        let text = |name: &&str| {
            let value = response.headers().get(*name)?;
            Some(value.to_str().unwrap_or_default().to_owned())
        };
        let headers: Vec<_> = HEADERS.iter().map(text).collect();
        let media_type = text(&"content-type").unwrap_or_default();
        let is_gzip = response.headers().contains_key("content-encoding");
        let body = response.into_body().collect().await?.to_bytes();
        let mut plain = Vec::new();
        match is_gzip {
            true => {
                flate2::read::GzDecoder::new(body.as_ref()).read_to_end(&mut plain)?;
            }
            false => plain.extend_from_slice(&body),
        }
        Ok(Self {
            status,
            headers,
            body: super::body::readable(&media_type, &plain)?,
        })
    }

    /// Where the other answer is another one.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let mut lines = Vec::new();
        if self.status != other.status {
            lines.push(format!("    status {} vs {}", self.status, other.status));
        }
        for ((name, theirs), ours) in HEADERS.iter().zip(&self.headers).zip(&other.headers) {
            if theirs != ours {
                lines.push(format!("    {name}: {theirs:?} vs {ours:?}"));
            }
        }
        if self.body != other.body {
            let (theirs, ours) = (self.body.as_bytes(), other.body.as_bytes());
            let same = theirs.iter().zip(ours).take_while(|(a, b)| a == b).count();
            let around = |body: &[u8]| {
                let end = body.len().min(same + 200);
                String::from_utf8_lossy(&body[same.saturating_sub(80)..end]).into_owned()
            };
            let (theirs, ours) = (around(theirs), around(ours));
            lines.push(format!("    body at {same}: {theirs:?}\n     vs {ours:?}"));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}
