//! Requests, and the meaning of failures and rejections.

mod decoded;
mod records;
mod refusal;

use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use proto_types::ResourceVersion;

use super::FailureCause;
use super::budget::{Amount, Share};

pub(super) use decoded::{Decoded, decoded};
pub(super) use records::Records;
pub(super) use refusal::{innermost, meaning};

/// Request that was begun and is not answered yet.
pub(super) type Pending<T> = Pin<Box<dyn Future<Output = Result<T, RequestError>> + Send>>;

/// Failure of a request, and the delay before the next one that the server named.
#[derive(Debug)]
pub(super) struct RequestError {
    pub(super) cause: FailureCause,
    pub(super) retry_after: Option<Duration>,
}

impl RequestError {
    pub(super) fn behind(revision: ResourceVersion) -> Self {
        FailureCause::Behind(format!("it is only at resource version {revision}")).into()
    }
}

impl From<FailureCause> for RequestError {
    fn from(cause: FailureCause) -> Self {
        Self {
            cause,
            retry_after: None,
        }
    }
}

/// Sends a request; any status code but 200 is an error.
pub(super) async fn send(
    client: &kube::Client,
    request: Request<Body>,
) -> Result<Response<Body>, RequestError> {
    let response = client.send(request).await;
    let response = response.map_err(|why| refusal::unsent(&why))?;
    if response.status() == StatusCode::OK {
        return Ok(response);
    }
    Err(refusal::read(response).await)
}

/// Reads a body within a limit in bytes and a budget.
pub(super) async fn collect_within(
    mut body: Decoded,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, RequestError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| FailureCause::Cut(refusal::innermost(&why)))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if limit < whole.len().saturating_add(data.len()) {
            return Err(FailureCause::TooLarge(limit).into());
        }
        share.take(Amount {
            bytes: data.len(),
            objects: 0,
        })?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Reads a body within a limit in bytes.
pub(super) async fn collect(body: Body, limit: usize) -> Result<Bytes, RequestError> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(why) if why.is::<LengthLimitError>() => Err(FailureCause::TooLarge(limit).into()),
        Err(why) => Err(FailureCause::Cut(refusal::innermost(&*why)).into()),
    }
}
