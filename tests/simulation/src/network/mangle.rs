//! Answers that no server meant to give.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::Broken;

/// Change of answers, and how many of them it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mangled {
    /// The change.
    pub how: Mangle,
    /// The share of answers, in percent.
    pub percent: u8,
}

/// Change of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mangle {
    /// A status code instead of it.
    Status(u16),
    /// A page in HTML instead of it.
    Garbage,
    /// An empty JSON object with status 200 instead of it.
    Hollow,
    /// Half of it, and then an error or a clean end.
    Truncated {
        /// Whether the end looks as it should.
        is_clean: bool,
    },
    /// A list without its items.
    EmptyList,
    /// 404 to whoever reads namespaces.
    NoNamespaces,
    /// 503 to writes.
    NoWrites,
    /// Lists of EndpointSlices arrive that many milliseconds later than others.
    LateSlices(u64),
    /// The first Service of a list has a port that does not exist.
    BadPort,
    /// Nothing, indefinitely.
    Stuck,
}

impl Mangle {
    /// Returns whether it changes the text of an answer.
    pub(super) const fn edits(self) -> bool {
        matches!(self, Self::EmptyList | Self::BadPort)
    }
}

/// Returns the answer that takes the place of the server's.
pub(super) async fn before(mangle: Mangle, path: &str, is_write: bool) -> Option<Response<Body>> {
    let mangle = match mangle {
        Mangle::NoNamespaces if path.ends_with("/namespaces") => Mangle::Status(404),
        Mangle::NoWrites if is_write => Mangle::Status(503),
        other => other,
    };
    let (status, kind, text) = match mangle {
        Mangle::Status(code) => {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "the simulation refuses", "reason": reason(code), "code": code,
            });
            (code, "application/json", status.to_string())
        }
        Mangle::Garbage => (200, "text/html", "<html>It works!</html>".to_owned()),
        Mangle::Hollow if !is_write => (200, "application/json", r#"{"metadata":{}}"#.to_owned()),
        Mangle::Stuck => std::future::pending().await,
        Mangle::LateSlices(millis) => {
            if path.ends_with("/endpointslices") {
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            return None;
        }
        Mangle::Hollow
        | Mangle::Truncated { .. }
        | Mangle::EmptyList
        | Mangle::NoNamespaces
        | Mangle::NoWrites
        | Mangle::BadPort => return None,
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let kind = http::HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Some(response)
}

fn reason(code: u16) -> &'static str {
    match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    }
}

/// Returns what is left of the server's answer.
pub(super) async fn after(
    mangle: Mangle,
    is_watch: bool,
    response: Response<Body>,
) -> Response<Body> {
    match mangle {
        Mangle::Truncated { is_clean } => truncated(response, is_clean),
        Mangle::EmptyList => edited(is_watch, response, |list| list["items"] = json!([])).await,
        Mangle::BadPort => edited(is_watch, response, spoil).await,
        Mangle::Status(_)
        | Mangle::Garbage
        | Mangle::Hollow
        | Mangle::Stuck
        | Mangle::NoNamespaces
        | Mangle::NoWrites
        | Mangle::LateSlices(_) => response,
    }
}

fn truncated(response: Response<Body>, is_clean: bool) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    let first = body.into_data_stream().take(1);
    let half = first.map(|frame| {
        let frame = frame.unwrap_or_default();
        Ok(frame.slice(..frame.len() / 2))
    });
    let end = (!is_clean).then_some(Err(Broken("connection reset by peer")));
    Response::from_parts(head, Body::from_stream(half.chain(stream::iter(end))))
}

fn spoil(list: &mut Value) {
    let is_service = list["kind"] == "ServiceList";
    let first = list["items"].get_mut(0).filter(|_| is_service);
    if let Some(first) = first {
        first["spec"]["ports"][0]["port"] = 70_000.into();
    }
}

async fn edited(
    is_watch: bool,
    response: Response<Body>,
    edit: impl FnOnce(&mut Value),
) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let kind = head.headers.get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|it| it.as_bytes().starts_with(b"application/json"));
    if !is_json || is_watch {
        return Response::from_parts(head, body);
    }
    let Ok(whole) = body.collect().await else {
        return Response::from_parts(head, Body::empty());
    };
    let whole = whole.to_bytes();
    let list = serde_json::from_slice::<Value>(&whole).ok();
    let list = list.filter(|it| it["items"].is_array());
    let whole = match list {
        Some(mut list) => {
            edit(&mut list);
            Bytes::from(list.to_string())
        }
        None => whole,
    };
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(whole))
}
