//! Failures of requests, in words that a user can act on.

use std::fmt;
use std::time::Duration;

use proto_types::resource::ApiResource;

/// A watcher lost its server, and will try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Attempted request.
    pub verb: Verb,
    /// On which resource.
    pub resource: &'static ApiResource,
    /// In which namespace; in all if absent.
    pub namespace: Option<String>,
    /// Cause.
    pub cause: FailureCause,
    /// Delay before the next attempt.
    pub retry_in: Duration,
}

/// Request of a watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Lists it.
    List,
    /// Watches it.
    Watch,
}

/// Cause of a failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailureCause {
    /// Refused, reset, unresolved, or not trusted.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The server does not accept the credentials (401), or there were none to send.
    #[error("the credentials do not work: {0}")]
    Unauthorized(String),
    /// The client is not allowed to do it (403).
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The server does not serve the resource (404).
    #[error("not served there, or nothing but a Kubernetes API server answers: {0}")]
    NotServed(String),
    /// Too many requests (429).
    #[error("the server asks to come back later: {0}")]
    Throttled(String),
    /// The server failed (5xx, or an error within a watch).
    #[error("the server failed ({status}): {message}")]
    Server {
        /// The HTTP status code.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// The server is of another cluster than the one that is followed.
    #[error("another cluster answers: {0}")]
    Replaced(String),
    /// A server that does not report its cluster identity, although one is expected.
    #[error("cluster identity unavailable: {0}")]
    Unidentified(String),
    /// A server on the way is disconnected from its upstream: what it lacks may exist.
    #[error("the server is disconnected from its upstream: {0}")]
    Disconnected(String),
    /// A list that was not compared with the API server: what it lacks may exist.
    #[error("the list is not confirmed: the API server did not respond in time")]
    Unconfirmed,
    /// A list that is older than an earlier one, from a replica that cannot confirm it.
    #[error("the list is older than an earlier one, and is not confirmed: a stale replica")]
    Stale,
    /// A list that is older than an earlier one, as after the restore of a backup.
    #[error("the list is older than an earlier one; it is accepted if others confirm it")]
    Older,
    /// Any other answer that is none.
    #[error("the server refused the request ({status}): {message}")]
    Refused {
        /// The HTTP status code.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// The server has not reached a resource version that another replica reported.
    #[error("the server lags behind: {0}")]
    Behind(String),
    /// The server's history does not reach from a list to the watch after it (410).
    #[error("the server forgets changes before they can be read")]
    Expired,
    /// A list and the watch after it were of different views, as of two emitters with
    /// different selectors behind one address.
    #[error("the server shows something else in each answer: do all behind it export the same?")]
    OtherView,
    /// The connection broke within an answer.
    #[error("the connection broke: {0}")]
    Cut(String),
    /// A watch ended as soon as it began.
    #[error("the server ended the watch as soon as it began")]
    Brief,
    /// A watch showed no sign of life.
    #[error("the connection is dead: nothing came for {0:?}")]
    Silent(Duration),
    /// An answer did not begin, or a list did not end, in time.
    #[error("no answer within {0:?}")]
    Slow(Duration),
    /// An answer is not what a Kubernetes API server sends.
    #[error("the answer is not that of a Kubernetes API server: {0}")]
    Garbage(String),
    /// An answer exceeds its limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// An answer exceeds a budget.
    #[error("it has more than the budget allows ({0})")]
    OverBudget(String),
    /// The watcher panicked on what the server sent.
    #[error("the reader panicked, which is a bug of this program: {0}")]
    Panicked(String),
}

impl Failure {
    /// The cause as a label of a metric, or the reason of a condition.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.cause.reason()
    }

    /// The failure with a remedy, if the cause has none.
    #[must_use]
    pub fn with_remedy(&self) -> String {
        match self.cause.remedy() {
            Some(remedy) => format!("{self}; {remedy}"),
            None => self.to_string(),
        }
    }

    /// Returns the cause without the message of the server, for clients that must not learn about
    /// what is behind it.
    #[must_use]
    pub fn outline(&self) -> String {
        let words = self.cause.to_string();
        let outline = words.split_once(": ").map(|(outline, _)| outline);
        let outline = outline.unwrap_or(&words);
        format!("cannot {} {}: {outline}", self.verb, self.resource)
    }
}

impl FailureCause {
    /// The cause in one word.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "Unreachable",
            Self::Unauthorized(_) => "Unauthorized",
            Self::Forbidden(_) => "Forbidden",
            Self::NotServed(_) => "NotFound",
            Self::Throttled(_) => "TooManyRequests",
            Self::Server { .. } => "ServerError",
            Self::Replaced(_) => "ClusterIdentityMismatch",
            Self::Unidentified(_) => "ClusterIdentityUnavailable",
            Self::Disconnected(_) => "UpstreamDisconnected",
            Self::Unconfirmed => "ListUnconfirmed",
            Self::Stale => "StaleReplica",
            Self::Older => "OlderList",
            Self::Refused { .. } => "RequestRejected",
            Self::Behind(_) => "ResourceVersionTooLarge",
            Self::Expired => "Expired",
            Self::OtherView => "ViewChanged",
            Self::Cut(_) => "ConnectionClosed",
            Self::Brief => "WatchClosedEarly",
            Self::Silent(_) => "IdleTimeout",
            Self::Slow(_) => "Timeout",
            Self::Garbage(_) => "InvalidResponse",
            Self::TooLarge(_) => "ResponseTooLarge",
            Self::OverBudget(_) => "BudgetExceeded",
            Self::Panicked(_) => "Panicked",
        }
    }
}

/// Remedy for failures on the way to the server.
const WAY: &str = "check the address, and the way to it: DNS, proxy, NetworkPolicy, firewall, load \
                   balancer";

impl FailureCause {
    /// Returns the remedy, if the cause does not name it and does not end without one.
    fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            // The message about a certificate has its own remedy.
            Self::Unreachable(why) if why.contains("certificate") => return None,
            Self::Unreachable(why) if why.contains("corrupt message") => {
                "the server does not answer by TLS there: check the port, and https:// or http://"
            }
            Self::Unreachable(_) => WAY,
            Self::Unauthorized(_) => {
                "renew the token or the client certificate, compare the clocks, and check that the \
                 server accepts them (issuers and consumers of an emitter's access configuration)"
            }
            Self::Forbidden(_) => {
                "grant it to that user in the source cluster, by RBAC or by the access configuration \
                 of an emitter"
            }
            Self::NotServed(_) => {
                "check the path of the address, and that the server has this API group and version"
            }
            Self::Refused { message, .. } if message.contains("HTTPS server") => {
                "write the address with https://"
            }
            Self::Refused { .. } | Self::Garbage(_) => {
                "check that a kube-apiserver or an emitter listens at this address, and no proxy \
                 answers in its place"
            }
            Self::Slow(_) | Self::Silent(_) => {
                "look at the server, and at what is between: load balancer, firewall, proxy"
            }
            Self::Server { .. } => "look at the log of the server",
            Self::Disconnected(_) => {
                "look at the API server of the source cluster, and at the log of the emitter"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            resource,
            namespace,
            cause,
            retry_in: _,
        } = self;
        match namespace {
            Some(namespace) => write!(
                f,
                "cannot {verb} {resource} in namespace {namespace}: {cause}"
            ),
            None => write!(f, "cannot {verb} {resource}: {cause}"),
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Watch => "watch",
        })
    }
}

#[cfg(test)]
mod tests {
    use proto_types::Resource;

    use super::*;

    #[test]
    fn an_outline_has_none_of_the_servers_words() {
        let failure = |cause| Failure {
            verb: Verb::Watch,
            resource: Resource::Services.names(),
            namespace: Some("secret".to_owned()),
            cause,
            retry_in: Duration::ZERO,
        };
        for (cause, outline) in [
            (
                FailureCause::Unreachable("10.0.0.1:6443: refused".to_owned()),
                "cannot watch services: no connection",
            ),
            (
                FailureCause::Server {
                    status: 500,
                    message: "etcd: no leader".to_owned(),
                },
                "cannot watch services: the server failed (500)",
            ),
            (
                FailureCause::Silent(Duration::from_secs(9)),
                "cannot watch services: the connection is dead",
            ),
            (
                FailureCause::Brief,
                "cannot watch services: the server ended the watch as soon as it began",
            ),
        ] {
            assert_eq!(failure(cause).outline(), outline);
        }
    }
}
