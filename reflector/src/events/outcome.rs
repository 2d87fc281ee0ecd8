//! Result of writing an Event.

use http::StatusCode;
use kube::core::Status;

/// Outcome of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Exists,
    Forbidden,
    Refused,
    Unavailable,
    Dropped,
}

impl Outcome {
    /// Returns what a refusal means.
    pub(super) fn of(status: &Status) -> Self {
        match StatusCode::from_u16(status.code) {
            Ok(StatusCode::CONFLICT) => Self::Exists,
            // Nothing is created there any more, with any permission.
            Ok(StatusCode::FORBIDDEN) if is_terminating(status) => Self::Refused,
            Ok(StatusCode::FORBIDDEN) => Self::Forbidden,
            Ok(StatusCode::TOO_MANY_REQUESTS) => Self::Unavailable,
            Ok(code) if code.is_server_error() => Self::Unavailable,
            Ok(_) | Err(_) => Self::Refused,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Exists => "exists",
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Dropped => "dropped",
        }
    }
}

/// Returns whether a namespace is refused because it is being deleted.
fn is_terminating(status: &Status) -> bool {
    let details = status.details.iter();
    let mut causes = details.flat_map(|it| &it.causes);
    causes.any(|it| it.reason == "NamespaceTerminating")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_ends_is_no_missing_permission() {
        let of = |details: &str| {
            let status = format!(r#"{{"code": 403, "message": "", "reason": ""{details}}}"#);
            Outcome::of(&serde_json::from_str(&status).unwrap())
        };
        assert_eq!(of(""), Outcome::Forbidden);
        let ending = r#", "details": {"causes": [{"reason": "NamespaceTerminating"}]}"#;
        assert_eq!(of(ending), Outcome::Refused);
    }
}
