//! Errors of writes, and their meaning.

use http::StatusCode;
use proto_types::Status;

/// Error of a request.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The server answered: no.
    Status(StatusCode, Status),
    /// The server has no capacity for any request.
    Busy(Status),
    /// There is no namespace, and the server does not create it.
    Namespace(String),
    /// The server did not answer.
    Unavailable(String),
    /// Another replica is the leader.
    StandingBy,
}

impl WriteError {
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::StandingBy => "standby",
            Self::Status(StatusCode::CONFLICT, _) => "conflict",
            Self::Status(StatusCode::NOT_FOUND, _) => "not_found",
            Self::Busy(_) | Self::Status(StatusCode::TOO_MANY_REQUESTS, _) => "throttled",
            Self::Namespace(_) | Self::Status(..) => "rejected",
        }
    }
}

/// Returns whether the server, and not the object, is the reason.
///
/// An API server answers 500 `InternalError` also where it is about the object: no address
/// is left for it, or a webhook that judges it cannot be called.
pub(super) fn is_transient(code: StatusCode, status: &Status) -> bool {
    let is_internal = code == StatusCode::INTERNAL_SERVER_ERROR && status.reason == "InternalError";
    (code.is_server_error() && !is_internal)
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
