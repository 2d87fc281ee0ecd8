//! Reasons of a 401. They are in the log and the metrics, and not in the answer: a client
//! that is not known learns nothing about what would be accepted.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jsonwebtoken::errors::{Error, ErrorKind};
use parking_lot::Mutex;
use proto_types::escape;
use rustls::CertificateError;
use serde_json::Value;
use tokio::time::Instant;
use tracing::warn;

/// Maximum length of a token in bytes; longer ones are not read.
pub(super) const MAX_TOKEN: usize = 16 << 10;

/// Reason for which credentials are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// There are none.
    NoCredentials,
    /// The time in which they are valid is over.
    Expired,
    /// The time in which they are valid has not begun.
    NotYetValid,
    /// The token is for another audience.
    WrongAudience,
    /// The issuer does not have the key of the signature.
    UnknownKey,
    /// The signature is not that of the key.
    InvalidSignature,
    /// It is no token, or lacks a claim.
    Malformed,
    /// Its subject is one that the issuer must not name.
    ReservedSubject,
    /// No token file, issuer or API server accepts the token.
    UnknownToken,
    /// The API server that reviews tokens rejects it.
    Rejected,
    /// The certificate does not lead to the CA of clients.
    UntrustedCertificate,
    /// The certificate has no common name.
    NoCommonName,
    /// The API server that reviews tokens gave no answer.
    NotReviewed,
}

/// One credential that is not accepted.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// By which method it was checked.
    pub(super) method: &'static str,
    pub(super) reason: Reason,
    /// More of the reason.
    pub(super) details: String,
}

/// Writes reasons to the log, each once a minute.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<Subject, Told>>);

/// Key of a log entry: equal ones are logged once in a period.
type Subject = (&'static str, Reason, Option<IpAddr>, Option<String>);

/// Time at which a reason was written, and its occurrences since then.
#[derive(Debug)]
struct Told {
    at: Instant,
    n_since: u32,
}

/// Reasons that are remembered. Beyond it, new ones are counted in the metrics alone.
const MAX_SUBJECTS: usize = 256;

const PERIOD: Duration = Duration::from_mins(1);

/// Claims come from outside: longer ones are cut.
const MAX_CLAIM: usize = 256;

impl Reason {
    /// Every reason, for documentation and tests.
    #[cfg(test)]
    pub(super) const ALL: [Self; 13] = [
        Self::NoCredentials,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongAudience,
        Self::UnknownKey,
        Self::InvalidSignature,
        Self::Malformed,
        Self::ReservedSubject,
        Self::UnknownToken,
        Self::Rejected,
        Self::UntrustedCertificate,
        Self::NoCommonName,
        Self::NotReviewed,
    ];

    /// Returns its name in metrics and log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NoCredentials => "NoCredentials",
            Self::Expired => "Expired",
            Self::NotYetValid => "NotYetValid",
            Self::WrongAudience => "WrongAudience",
            Self::UnknownKey => "UnknownKey",
            Self::InvalidSignature => "InvalidSignature",
            Self::Malformed => "Malformed",
            Self::ReservedSubject => "ReservedSubject",
            Self::UnknownToken => "UnknownToken",
            Self::Rejected => "Rejected",
            Self::UntrustedCertificate => "UntrustedCertificate",
            Self::NoCommonName => "NoCommonName",
            Self::NotReviewed => "NotReviewed",
        }
    }
}

impl Cause {
    /// A token of a configured issuer that is not valid.
    pub(super) fn of_issuer(reason: Reason, details: impl fmt::Display) -> Self {
        Self {
            method: "issuer",
            reason,
            details: details.to_string(),
        }
    }

    /// A client certificate that is not accepted.
    pub(super) fn of_certificate(error: &rustls::Error) -> Self {
        let reason = match error {
            rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Reason::Expired,
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => Reason::NotYetValid,
            _ => Reason::UntrustedCertificate,
        };
        Self {
            method: "certificate",
            reason,
            details: error.to_string(),
        }
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        let reason = match error.kind() {
            ErrorKind::ExpiredSignature => Reason::Expired,
            ErrorKind::ImmatureSignature => Reason::NotYetValid,
            ErrorKind::InvalidAudience => Reason::WrongAudience,
            ErrorKind::InvalidSignature => Reason::InvalidSignature,
            _ => Reason::Malformed,
        };
        Self::of_issuer(reason, error)
    }
}

impl Complaints {
    /// Writes why a request is answered 401, without its credentials.
    pub(super) fn log(&self, cause: &Cause, token: Option<&str>, address: Option<IpAddr>) {
        let claims = token.and_then(claims);
        let claim = |name: &str| claims.as_ref().and_then(|it| printed(&it[name]));
        let issuer = claim("iss");
        let subject = (cause.method, cause.reason, address, issuer.clone());
        let Some(n_before) = self.is_new(subject) else {
            return;
        };
        let address = address.map(|it| it.to_string());
        warn!(
            reason = cause.reason.name(),
            method = cause.method,
            client = address,
            issuer,
            audience = claim("aud"),
            subject = claim("sub"),
            not_before = claim("nbf"),
            expires = claim("exp"),
            details = %escape::text(&cause.details),
            n_before,
            "request answered 401"
        );
    }

    /// Returns how often it occurred since it was last written, if it is to be written now.
    fn is_new(&self, subject: Subject) -> Option<u32> {
        let mut told = self.0.lock();
        if let Some(it) = told.get_mut(&subject)
            && it.at.elapsed() < PERIOD
        {
            it.n_since = it.n_since.saturating_add(1);
            return None;
        }
        let n_before = told.remove(&subject).map_or(0, |it| it.n_since);
        if MAX_SUBJECTS <= told.len() {
            told.retain(|_, it| it.at.elapsed() < PERIOD);
        }
        if MAX_SUBJECTS <= told.len() {
            return None;
        }
        let at = Instant::now();
        told.insert(subject, Told { at, n_since: 0 });
        Some(n_before)
    }
}

/// The claims of a token, of which nothing is verified.
pub(super) fn claims(token: &str) -> Option<Value> {
    if MAX_TOKEN < token.len() {
        return None;
    }
    runtime::client::claims(token)
}

/// A claim as it is written to the log.
fn printed(claim: &Value) -> Option<String> {
    let text = match claim {
        Value::Null => return None,
        Value::String(it) => it.clone(),
        Value::Number(seconds) => {
            let seconds = seconds.as_f64().unwrap_or_default();
            let time = jiff::Timestamp::from_second(seconds as i64);
            time.map_or_else(|_| seconds.to_string(), |it| it.to_string())
        }
        other => other.to_string(),
    };
    let text: String = text.chars().take(MAX_CLAIM).collect();
    Some(escape::text(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reason_is_written_once_a_minute_with_its_count() {
        let complaints = Complaints::default();
        let subject = |name: &str| ("issuer", Reason::Expired, None, Some(name.to_owned()));
        assert_eq!(complaints.is_new(subject("a")), Some(0));
        assert_eq!(complaints.is_new(subject("a")), None);
        assert_eq!(complaints.is_new(subject("b")), Some(0));
        tokio::time::advance(PERIOD).await;
        assert_eq!(complaints.is_new(subject("a")), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn invented_issuers_fill_no_memory() {
        let complaints = Complaints::default();
        let written = (0..10_000)
            .filter(|n| {
                let subject = ("issuer", Reason::UnknownToken, None, Some(n.to_string()));
                complaints.is_new(subject).is_some()
            })
            .count();
        assert_eq!(written, MAX_SUBJECTS);
        assert_eq!(complaints.0.lock().len(), MAX_SUBJECTS);
    }

    #[test]
    fn claims_are_printed_escaped_and_in_bounds() {
        let of = |claim: Value| printed(&claim);
        assert_eq!(
            of(json!(1_700_000_000)).as_deref(),
            Some("2023-11-14T22:13:20Z")
        );
        assert_eq!(of(json!(["a", "b"])).as_deref(), Some(r#"["a","b"]"#));
        assert_eq!(of(json!("\u{1b}[2J")).as_deref(), Some("\\u{1b}[2J"));
        assert_eq!(of(json!("x".repeat(1000))).unwrap().len(), MAX_CLAIM);
        assert!(of(json!(1e300)).unwrap().len() < MAX_CLAIM * 2);
        assert_eq!(of(Value::Null), None);
    }

    #[test]
    fn each_reason_is_in_the_page() {
        let page = include_str!("../../../docs/access.md");
        for reason in Reason::ALL {
            let row = format!("| `{}` |", reason.name());
            assert!(page.contains(&row), "docs/access.md has no row {row}");
        }
    }
}
