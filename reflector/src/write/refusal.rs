//! Why a request has no result, and what that means.

use http::StatusCode;
use proto_types::Status;

/// Why a request has no result.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server answered: no.
    Status(StatusCode, Status),
    /// There is no namespace, and the server does not create it.
    Namespace(String),
    /// The server did not answer.
    Unavailable(String),
    /// Somebody else writes.
    StandingBy,
}

impl Refusal {
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::StandingBy => "standby",
            Self::Status(StatusCode::CONFLICT, _) => "conflict",
            Self::Status(StatusCode::NOT_FOUND, _) => "not_found",
            Self::Status(StatusCode::TOO_MANY_REQUESTS, _) => "throttled",
            Self::Namespace(_) | Self::Status(..) => "rejected",
        }
    }
}

/// Whether the server, and not the object, is the reason.
pub(super) fn is_transient(code: StatusCode) -> bool {
    code.is_server_error()
        || matches!(
            code,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT
        )
}

/// An error with its reasons: hyper hides the interesting one at the end.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = source.source();
    }
    text
}
