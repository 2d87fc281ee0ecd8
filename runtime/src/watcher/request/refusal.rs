//! Meaning of a rejected request, or of a missing response.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::Response;
use http_body_util::{BodyExt, Limited};
use kube::client::{AuthError, Body};
use proto_types::Status;

use super::{FailureCause, RequestError};
use crate::client::{InvalidToken, retry_after};
use crate::reasons::causes;

// A Status is a few hundred bytes; proxies send whole pages.
const BODY_BYTES: usize = 64 << 10;
// If the body is no Status, its beginning is shown.
const QUOTED_CHARS: usize = 200;

/// Returns the error of a request without a response.
pub(super) fn unsent(why: &kube::Error) -> RequestError {
    let message = innermost(why);
    if is_auth(why) {
        FailureCause::Unauthorized(message).into()
    } else {
        FailureCause::Unreachable(message).into()
    }
}

/// Returns the error of a response other than 200.
pub(super) async fn read(response: Response<Body>) -> RequestError {
    let (head, body) = response.into_parts();
    let body = match Limited::new(body, BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        // The code alone must do.
        Err(_) => bytes::Bytes::new(),
    };
    let status = serde_json::from_slice(&body).unwrap_or_else(|_| {
        let text: String = String::from_utf8_lossy(&body)
            .chars()
            .take(QUOTED_CHARS)
            .collect();
        Status::failure(head.status.as_u16(), "", text.trim())
    });
    let mut trouble = meaning(head.status.as_u16(), status);
    if let FailureCause::Unauthorized(message) = &mut trouble.cause
        && let Some(InvalidToken(why)) = head.extensions.get()
    {
        *message = format!("{message}: {why}");
    }
    trouble.retry_after = retry_after(&head.headers).or(trouble.retry_after);
    trouble
}

/// Returns the error that a `Status` means, in a response or in a watch event.
pub(in crate::watcher) fn meaning(code: u16, status: Status) -> RequestError {
    let details = status.details.unwrap_or_default();
    let is_behind = details
        .causes
        .iter()
        .any(|it| it.reason == "ResourceVersionTooLarge")
        || status.message.contains("Too large resource version");
    let message = if status.message.is_empty() {
        format!("status {code}")
    } else {
        status.message
    };
    let cause = match code {
        401 => FailureCause::Unauthorized(message),
        403 => FailureCause::Forbidden(message),
        404 => FailureCause::NotServed(message),
        410 => FailureCause::Expired,
        429 => FailureCause::Throttled(message),
        504 if is_behind => FailureCause::Behind(message),
        500.. => FailureCause::Server {
            status: code,
            message,
        },
        _ => FailureCause::Refused {
            status: code,
            message,
        },
    };
    let seconds = details.retry_after_seconds.map(u64::from);
    RequestError {
        cause,
        retry_after: seconds.map(Duration::from_secs),
    }
}

/// The part of an error with the cause; the errors around it have only the place.
pub(in crate::watcher) fn innermost(why: &(dyn Error + 'static)) -> String {
    let last = causes(why).last().unwrap_or(why);
    let kinds = causes(why).filter_map(|it| it.downcast_ref::<io::Error>());
    match kinds.last().map(io::Error::kind) {
        // Its own message is about an internal deadline.
        Some(io::ErrorKind::TimedOut) => "timed out".to_owned(),
        Some(io::ErrorKind::UnexpectedEof) => "the other side closed it".to_owned(),
        _ => untrusted(last).unwrap_or_else(|| last.to_string()),
    }
}

/// Returns the defect of a certificate, with the message of its verifier.
fn untrusted(why: &(dyn Error + 'static)) -> Option<String> {
    match why.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(judged)) => {
            Some(judged.0.to_string())
        }
        _ => None,
    }
}

fn is_auth(why: &kube::Error) -> bool {
    matches!(why, kube::Error::Auth(_)) || causes(why).any(|it| it.is::<AuthError>())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{CertificateError, OtherError};

    use super::{innermost, io};

    #[derive(Debug, thiserror::Error)]
    #[error("the certificate (CN=x) is not accepted")]
    struct Judged;

    #[test]
    fn a_judged_certificate_is_told_however_deep_it_is() {
        let other = OtherError(Arc::new(Judged));
        let tls = rustls::Error::InvalidCertificate(CertificateError::Other(other));
        let mut error = io::Error::new(io::ErrorKind::InvalidData, tls);
        for _ in 0..3 {
            assert_eq!(innermost(&error), "the certificate (CN=x) is not accepted");
            error = io::Error::other(error);
        }
    }

    #[test]
    fn a_time_limit_and_an_end_have_words_of_ours() {
        for (kind, words) in [
            (io::ErrorKind::TimedOut, "timed out"),
            (io::ErrorKind::UnexpectedEof, "the other side closed it"),
        ] {
            let error = io::Error::other(io::Error::new(kind, "deadline has elapsed"));
            assert_eq!(innermost(&error), words);
        }
        let error = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        assert_eq!(innermost(&error), "refused");
    }
}
