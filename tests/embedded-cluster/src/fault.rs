//! The ways to fail.

use std::fmt;
use std::time::Duration;

use parking_lot::RwLock;
use proto_types::Status;

use crate::Kind;

/// What is done with an object or a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Read one.
    Get,
    /// Read all.
    List,
    /// Follow all.
    Watch,
    /// Write a new one.
    Create,
    /// Write one again.
    Update,
    /// Write a part of one.
    Patch,
    /// Remove one.
    Delete,
    /// Remove all.
    DeleteCollection,
}

impl Verb {
    /// Whether it changes something.
    #[must_use]
    pub const fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        })
    }
}

/// What a request is about; nothing for paths that are no resource.
pub(crate) type Subject = (Verb, Kind);

/// A way to fail, until it is healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens: connections are refused, and those that were are cut.
    Refuse,
    /// Connections are accepted and requests are never answered. Open watches go on.
    Hang,
    /// As if the network lost all packets: what is connected stays so and falls silent
    /// for good, and new requests are never answered.
    HalfOpen,
    /// Requests are refused with that status.
    Answer {
        /// The HTTP status code.
        code: u16,
        /// When to come back, in seconds.
        retry_after: Option<u32>,
    },
    /// Answers are what no API server writes, and so are the lines of open watches.
    Garbage,
    /// An answer ends in the middle of what it has to say; a watch at its next event.
    Cut,
    /// Lists are answered, and have nothing in them.
    EmptyLists,
    /// Everything takes its time.
    Slow {
        /// Before an answer begins.
        latency: Duration,
        /// As it goes on; zero for as fast as can be.
        bytes_per_second: u32,
    },
}

/// A fault, and which requests meet it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scoped {
    /// The fault.
    pub fault: Fault,
    /// The verbs; empty for all.
    pub verbs: Vec<Verb>,
    /// The kinds; empty for all.
    pub kinds: Vec<Kind>,
}

impl Fault {
    /// Requests are refused with that status, and nothing said of when to come back.
    #[must_use]
    pub const fn status(code: u16) -> Self {
        Self::Answer {
            code,
            retry_after: None,
        }
    }

    /// The same, for some verbs only. What concerns connections knows no verbs.
    #[must_use]
    pub fn for_verbs(self, verbs: &[Verb]) -> Scoped {
        Scoped {
            verbs: verbs.to_vec(),
            ..self.into()
        }
    }

    /// The same, for some kinds only. What concerns connections knows no kinds.
    #[must_use]
    pub fn for_kinds(self, kinds: &[Kind]) -> Scoped {
        Scoped {
            kinds: kinds.to_vec(),
            ..self.into()
        }
    }
}

impl Scoped {
    /// The same, for some kinds only.
    #[must_use]
    pub fn for_kinds(mut self, kinds: &[Kind]) -> Self {
        self.kinds = kinds.to_vec();
        self
    }

    fn meets(&self, subject: Option<Subject>) -> bool {
        let Some((verb, kind)) = subject else {
            return self.verbs.is_empty() && self.kinds.is_empty();
        };
        let verbs = self.verbs.is_empty() || self.verbs.contains(&verb);
        verbs && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }
}

impl From<Fault> for Scoped {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            verbs: Vec::new(),
            kinds: Vec::new(),
        }
    }
}

/// The faults of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Faults(RwLock<Vec<Scoped>>);

impl Faults {
    pub(crate) fn add(&self, fault: Scoped) {
        self.0.write().push(fault);
    }

    pub(crate) fn clear(&self) {
        self.0.write().clear();
    }

    /// What such a request meets.
    pub(crate) fn met(&self, subject: Option<Subject>) -> Vec<Fault> {
        let faults = self.0.read();
        let met = faults.iter().filter(|it| it.meets(subject));
        met.map(|it| it.fault.clone()).collect()
    }
}

/// The refusal with that code, as a kube-apiserver words it.
pub(crate) fn refusal(code: u16, retry_after: Option<u32>) -> Status {
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "forbidden: told to refuse"),
        404 => (
            "NotFound",
            "the server could not find the requested resource",
        ),
        409 => (
            "Conflict",
            "the operation cannot be fulfilled: told to conflict",
        ),
        410 => (
            "Expired",
            "The resourceVersion for the provided list is too old.",
        ),
        429 => (
            "TooManyRequests",
            "Too many requests, please try again later.",
        ),
        500 => ("InternalError", "Internal error occurred: told to fail"),
        503 => (
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        504 => (
            "Timeout",
            "Timeout: request did not complete within the allotted timeout",
        ),
        _ => ("", "told to refuse"),
    };
    let status = Status::failure(code, reason, message);
    match retry_after {
        Some(seconds) => status.about(proto_types::status::Details {
            retry_after_seconds: Some(seconds),
            ..Default::default()
        }),
        None => status,
    }
}
