//! One request to the local API server, and its response.

use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use proto_types::Status;
use proto_types::object::Fields;
use runtime::client::retry_after;

use super::Writer;
use super::error::{WriteError, chain};

// An API server ends a request itself after a minute; one that takes half of it is
// in trouble, and another attempt is as good.
const TIMEOUT: Duration = Duration::from_secs(30);
// The limit of etcd is 1.5 MB.
const MAX_ANSWER: usize = 16 << 20;

impl Writer {
    /// The body of a successful response.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, WriteError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| WriteError::Unavailable(format!("{path}: {error}")))?;
        let exchange = async {
            let response = self.client.send(request).await;
            let response = response.map_err(|error| WriteError::Unavailable(chain(&error)))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| WriteError::Unavailable(error.to_string()))?;
            Ok((head, body.to_bytes()))
        };
        if !self.leadership.holds() {
            return Err(WriteError::StandingBy);
        }
        let exchange = tokio::time::timeout(TIMEOUT, exchange);
        let answer = tokio::select! {
            answer = exchange => answer,
            () = self.leadership.clone().ended() => return Err(WriteError::StandingBy),
        };
        let late = |_| Err(WriteError::Unavailable(format!("no answer in {TIMEOUT:?}")));
        let (head, body) = answer.unwrap_or_else(late)?;
        let code = head.status;
        let is_object = serde_json::from_slice::<Fields<'_>>(&body).is_ok();
        // A proxy between the reflector and the API server can neither store nor remove.
        if !is_object && (code.is_success() || code == StatusCode::NOT_FOUND) {
            let text = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
            let why = format!("{code}, but not from an API server: {text}");
            return Err(WriteError::Unavailable(why));
        }
        if code.is_success() {
            return Ok(body);
        }
        let is_busy = is_busy(&head, &body);
        let status = status(&head, &body);
        match is_busy {
            true => Err(WriteError::Busy(status)),
            false => Err(WriteError::Status(code, status)),
        }
    }
}

/// Returns whether the server as a whole has no capacity. Priority and fairness answers
/// 429 with a line of text, before anything reads the object. An answer about an object is
/// a `Status`, which an admission webhook can choose down to its code and delay.
fn is_busy(head: &Parts, body: &[u8]) -> bool {
    let is_retried = matches!(
        head.status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    is_retried
        && retry_after(&head.headers).is_some()
        && serde_json::from_slice::<Fields<'_>>(body).is_err()
}

/// Reads the reason of a rejection. A server with too many requests answers by a header and a line
/// of text.
fn status(head: &Parts, body: &[u8]) -> Status {
    let mut status: Status = serde_json::from_slice(body).unwrap_or_else(|_| {
        let (code, text) = (head.status, String::from_utf8_lossy(body));
        Status::failure(code.as_u16(), "", format!("{code}: {}", text.trim()))
    });
    if let Some(after) = retry_after(&head.headers) {
        let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX);
        let details = status.details.get_or_insert_default();
        details.retry_after_seconds = Some(seconds);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_without_a_status_is_about_the_server() {
        let text = "Too many requests, please try again later.\n".to_owned();
        let webhook = Status::too_many_requests("admission webhook \"x\" denied it", 300);
        for (code, header, body, expected) in [
            (429, Some("1"), text.clone(), true),
            (503, Some("1"), text.clone(), true),
            (429, None, text.clone(), false),
            (400, Some("1"), text, false),
            (429, Some("300"), webhook.to_json(), false),
            (503, Some("300"), webhook.to_json(), false),
        ] {
            let mut response = http::Response::builder().status(code);
            if let Some(header) = header {
                response = response.header(header::RETRY_AFTER, header);
            }
            let (head, ()) = response.body(()).unwrap().into_parts();
            assert_eq!(is_busy(&head, body.as_bytes()), expected, "{code} {body}");
        }
    }

    #[test]
    fn how_long_to_wait_is_said_by_the_body_or_by_the_header_which_wins() {
        let of = |seconds: u32| {
            let throttled = Status::too_many_requests("later", seconds);
            throttled.to_json()
        };
        let text = "Too many requests, please try again later.\n";
        for (header, body, expected) in [
            (None, text.to_owned(), None),
            (Some("7"), text.to_owned(), Some(7)),
            (None, of(3), Some(3)),
            (Some("7"), of(3), Some(7)),
            (Some("soon"), of(3), Some(3)),
        ] {
            let mut response = http::Response::builder().status(429);
            if let Some(header) = header {
                response = response.header(header::RETRY_AFTER, header);
            }
            let (head, ()) = response.body(()).unwrap().into_parts();
            let status = status(&head, body.as_bytes());
            let details = status.details.unwrap_or_default();
            assert_eq!(details.retry_after_seconds, expected, "{header:?} {body}");
        }
    }
}
