//! Answers: the headers that clients depend on, and refusals.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use bytes::Bytes;
use emitter_cache::{ResourceDescriptor, protobuf};
use http::{HeaderValue, StatusCode, header};
use proto_types::Status;

use super::accept::Format;
use super::{Payload, RequestContext, accept, compute, discovery, gzip};

/// An answer of some media type.
pub fn with_type(
    asked: &RequestContext,
    code: StatusCode,
    media_type: &'static str,
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    headers.insert("audit-id", asked.audit_id.clone());
    response
}

/// A JSON document, indented if requested.
pub fn document(asked: &RequestContext, code: StatusCode, json_text: impl Into<Bytes>) -> Response {
    let text: Bytes = json_text.into();
    body(asked, code, Format::Json, [&text[..], b"\n"].concat())
}

/// An answer that was encoded as JSON, with its newline, or as protobuf.
pub(super) fn body(
    asked: &RequestContext,
    code: StatusCode,
    format: Format,
    encoded: Vec<u8>,
) -> Response {
    let written = written(format, asked.pretty, asked.accepted.gzip, encoded);
    answer(asked, code, format, written)
}

/// A body as it is sent.
enum Written {
    Plain(Bytes),
    Compressed(Bytes),
}

fn written(format: Format, pretty: bool, gzip: bool, encoded: Vec<u8>) -> Written {
    let body = match format {
        // Plain documents end with a newline, indented ones do not.
        Format::Json if pretty => super::pretty::indent(&encoded),
        Format::Json | Format::Protobuf => encoded,
        Format::Yaml => super::yaml::of_json(&encoded),
    };
    match gzip && gzip::pays(body.len()) {
        true => Written::Compressed(gzip::compress(&[&body])),
        false => Written::Plain(body.into()),
    }
}

fn answer(asked: &RequestContext, code: StatusCode, format: Format, written: Written) -> Response {
    let media_type = format.media_type();
    let (bytes, is_compressed) = match written {
        Written::Plain(bytes) => (bytes, false),
        Written::Compressed(bytes) => (bytes, true),
    };
    let mut response = with_type(asked, code, media_type, bytes.clone());
    response.extensions_mut().insert(Payload(bytes));
    match is_compressed {
        true => gzip::mark(response),
        false => response,
    }
}

/// The same for a body that may be large: it is written apart.
pub(super) async fn large_body(
    asked: &RequestContext,
    code: StatusCode,
    format: Format,
    encoded: Vec<u8>,
) -> Response {
    let (pretty, gzip) = (asked.pretty, asked.accepted.gzip);
    let write = move || written(format, pretty, gzip, encoded);
    let written = compute::apart(asked, write).await;
    answer(asked, code, format, written)
}

/// A refusal.
pub fn refusal(asked: &RequestContext, status: &Status) -> Response {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = status.to_json() + "\n";
    let mut response = match accept::of_refusals(asked.accept.as_deref()) {
        Some(Format::Protobuf) => body(asked, code, Format::Protobuf, protobuf::status(status)),
        Some(format) => body(asked, code, format, json.into_bytes()),
        // A client that accepts none of the formats must be a person.
        None => {
            let text = super::pretty::indent(json.as_bytes());
            with_type(asked, code, Format::Json.media_type(), text)
        }
    };
    let details = status.details.as_ref();
    if let Some(seconds) = details.and_then(|details| details.retry_after_seconds) {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// An answer about a resource, with the warning that reading a deprecated one brings,
/// also where the answer is a refusal.
pub(super) fn about(
    asked: &RequestContext,
    form: &ResourceDescriptor,
    answer: Result<Response, Status>,
) -> Response {
    let mut response = answer.unwrap_or_else(|status| refusal(asked, &status));
    if let Some(warning) = form.warning {
        let warning = HeaderValue::try_from(format!("299 - \"{warning}\""));
        let headers = response.headers_mut();
        headers.insert(header::WARNING, warning.expect("warnings are plain text"));
    }
    response
}

/// A discovery document, in the requested form.
pub fn discovered(
    asked: &RequestContext,
    plain: impl FnOnce() -> String,
    aggregated: impl FnOnce() -> String,
) -> Response {
    if !accept::wants_aggregated_discovery(asked.accept.as_deref()) {
        return document(asked, StatusCode::OK, plain());
    }
    let body = aggregated();
    let etag = discovery::etag(&body);
    let mut response = with_type(asked, StatusCode::OK, discovery::AGGREGATED, body);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    headers.insert(header::ETAG, etag.clone());
    if asked.known.as_ref() == Some(&etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    response
}

/// Returns the response of a kube-apiserver for a document that it lacks.
pub(super) fn nothing_found(asked: &RequestContext) -> Response {
    let mut response = with_type(asked, StatusCode::NOT_FOUND, "", Body::empty());
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

/// The same routes, with the headers of a kube-apiserver's probes.
pub fn as_probes(routes: Router) -> Router {
    routes.layer(middleware::from_fn(with_headers))
}

async fn with_headers(request: Request, next: Next) -> Response {
    let id = RequestContext::new(&request).audit_id;
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache, private"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("audit-id", id);
    response
}

/// Returns the response of the HTTP server of Go for a path that is not served.
pub fn page_not_found(asked: &RequestContext) -> Response {
    let mut response = with_type(
        asked,
        StatusCode::NOT_FOUND,
        "text/plain; charset=utf-8",
        "404 page not found\n",
    );
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
