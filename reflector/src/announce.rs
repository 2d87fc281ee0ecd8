//! Problems as Events beside the mirrors, where `kubectl describe` shows them.
//!
//! `events.k8s.io/v1`, because it says who reports (`reportingController`) where core/v1
//! has a free text, and is all that new API servers document; kubectl shows both alike.
//! An Event's name is made of what it says, so that saying it again, after a restart or
//! from another replica, is refused as a duplicate: nothing must be read or patched, and
//! the right to create is enough.
//!
//! Nobody waits for an Event: there is a limit to their number, and what is above it is
//! told by log, metrics and `/status` alone.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use http::{Request, StatusCode};
use proto_types::name::DnsLabel;
use reflector_planner::{LocalKey, Problem, SourceName};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::config::RecordKey;
use crate::lease::Leadership;
use crate::metrics::Metrics;

/// What is announced, and of what.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    /// The object.
    pub(crate) subject: Subject,
    /// The reason, for machines.
    pub(crate) reason: String,
    /// What happened, and what helps.
    pub(crate) note: String,
    /// Whether somebody has to act.
    pub(crate) is_warning: bool,
}

/// What a notice is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// A mirror, which may not exist.
    Mirror {
        /// Where it is.
        key: LocalKey,
        /// Its uid, if it exists.
        uid: Option<Box<str>>,
    },
    /// A source. Its Events are about the record of the sources' clusters.
    Source(SourceName),
}

impl Notice {
    /// A problem of a mirror.
    pub(crate) fn of(problem: &Problem, key: &LocalKey, uid: Option<&str>) -> Self {
        let (key, uid) = (key.clone(), uid.map(Into::into));
        Self {
            subject: Subject::Mirror { key, uid },
            reason: problem.cause.reason().to_owned(),
            note: problem.to_string(),
            is_warning: true,
        }
    }
}

/// Takes notices, and never lets anyone wait.
#[derive(Debug, Clone)]
pub(crate) struct Announcer {
    sender: mpsc::Sender<Notice>,
    metrics: Metrics,
}

/// Makes Events of notices.
pub(crate) struct Announcements {
    /// The local cluster.
    pub(crate) client: kube::Client,
    /// Which process reports.
    pub(crate) instance: String,
    /// What Events of sources are about; none where there is no record.
    record: Option<RecordKey>,
    /// Whether it may write.
    pub(crate) leadership: Leadership,
    notices: mpsc::Receiver<Notice>,
    metrics: Metrics,
    pace: Pace,
    /// Namespaces in which Events are not allowed, and until when no other attempt is made.
    muted: HashMap<String, Instant>,
}

/// So many at once, and then so many per second.
#[derive(Debug)]
struct Pace {
    /// When the burst would be full again.
    full_at: Instant,
}

/// What came of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Created,
    Exists,
    Forbidden,
    Refused,
    Unavailable,
    Dropped,
}

const CONTROLLER: &str = "heliograph.dev/reflector";
// What kube's own recorders allow at once for one object.
const BURST: u32 = 25;
// A mass of problems is one cause, and its first Events show it: more would only
// compete with the mirrors for the API server.
const INTERVAL: Duration = Duration::from_millis(500);
// Two minutes of work at that pace.
const BACKLOG: usize = 256;
// Rights change seldom, and not without somebody who looks.
const MUTE: Duration = Duration::from_mins(10);
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;
const RETRY: Duration = Duration::from_secs(5);
// The API's limit of a note.
const MAX_NOTE: usize = 1024;
// With the hash it fits the name of an object.
const MAX_READABLE: usize = 200;

/// Both ends of the way that notices take.
pub(crate) fn announcements(
    client: kube::Client,
    (instance, record): (String, Option<RecordKey>),
    leadership: Leadership,
    metrics: Metrics,
) -> (Announcer, Announcements) {
    let (sender, notices) = mpsc::channel(BACKLOG);
    let announcer = Announcer {
        sender,
        metrics: metrics.clone(),
    };
    let announcements = Announcements {
        client,
        instance,
        record,
        leadership,
        notices,
        metrics,
        pace: Pace::new(),
        muted: HashMap::new(),
    };
    (announcer, announcements)
}

impl Announcer {
    /// Announces soon, or not at all where there is too much to announce.
    pub(crate) fn announce(&self, notice: Notice) {
        if self.sender.try_send(notice).is_err() {
            count(&self.metrics, Outcome::Dropped);
        }
    }
}

impl Announcements {
    /// Announces until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let announce = async {
            while let Some(notice) = self.notices.recv().await {
                if self.is_muted(&notice) || !self.leadership.holds() {
                    count(&self.metrics, Outcome::Dropped);
                    continue;
                }
                self.pace.wait().await;
                self.announce(&notice).await;
            }
        };
        tokio::select! {
            () = announce => {}
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }

    fn is_muted(&self, notice: &Notice) -> bool {
        let namespace = match &notice.subject {
            Subject::Mirror { key, .. } => Some(key.object().namespace()),
            Subject::Source(_) => self.record.as_ref().map(|it| it.namespace.as_str()),
        };
        let until = namespace.and_then(|it| self.muted.get(it));
        until.is_some_and(|it| Instant::now() < *it)
    }

    async fn announce(&mut self, notice: &Notice) {
        let reporter = (self.instance.as_str(), self.record.as_ref());
        let Some(event) = event(notice, reporter, &now()) else {
            // What a source sent as a namespace does not become part of a path.
            count(&self.metrics, Outcome::Refused);
            return;
        };
        for attempt in 1..=ATTEMPTS {
            let (outcome, why) = self.create(&event).await;
            count(&self.metrics, outcome);
            match outcome {
                Outcome::Forbidden => {
                    let namespace = event["metadata"]["namespace"].as_str();
                    let namespace = namespace.unwrap_or_default();
                    warn!(
                        namespace,
                        why, "no Events are written: grant create on events.k8s.io events"
                    );
                    let until = Instant::now() + MUTE;
                    self.muted.insert(namespace.to_owned(), until);
                }
                Outcome::Refused => debug!(why, note = notice.note, "no Event"),
                Outcome::Unavailable if attempt < ATTEMPTS => {
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                Outcome::Unavailable => debug!(why, "no Event"),
                Outcome::Created | Outcome::Exists | Outcome::Dropped => {}
            }
            return;
        }
    }

    async fn create(&self, event: &Value) -> (Outcome, String) {
        let namespace = event["metadata"]["namespace"].as_str().unwrap_or_default();
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(event.to_string().into_bytes());
        let request = match request {
            Ok(request) => request,
            Err(error) => return (Outcome::Refused, error.to_string()),
        };
        if !self.leadership.holds() {
            return (Outcome::Dropped, String::new());
        }
        let answer = timeout(TIMEOUT, self.client.request_text(request)).await;
        match answer {
            Ok(Ok(_)) => (Outcome::Created, String::new()),
            Ok(Err(kube::Error::Api(status))) => (outcome(status.code), status.message.clone()),
            Ok(Err(error)) => (Outcome::Unavailable, error.to_string()),
            Err(elapsed) => (Outcome::Unavailable, elapsed.to_string()),
        }
    }
}

fn outcome(code: u16) -> Outcome {
    match StatusCode::from_u16(code) {
        Ok(StatusCode::CONFLICT) => Outcome::Exists,
        Ok(StatusCode::FORBIDDEN) => Outcome::Forbidden,
        Ok(StatusCode::TOO_MANY_REQUESTS) => Outcome::Unavailable,
        Ok(code) if code.is_server_error() => Outcome::Unavailable,
        Ok(_) | Err(_) => Outcome::Refused,
    }
}

/// The Event, or nothing where its namespace is not one, or nothing that it could be about.
fn event(
    notice: &Notice,
    (instance, record): (&str, Option<&RecordKey>),
    now: &str,
) -> Option<Value> {
    let (namespace, regarding, action) = match &notice.subject {
        Subject::Mirror { key, uid } => {
            let object = key.object();
            let namespace: DnsLabel = object.namespace().parse().ok()?;
            let mut regarding = json!({
                "apiVersion": "v1",
                "kind": "Service",
                "namespace": namespace.as_str(),
                "name": object.name(),
            });
            if let Some(uid) = uid {
                regarding["uid"] = json!(uid);
            }
            (namespace, regarding, "Mirror")
        }
        Subject::Source(_) => {
            let RecordKey { namespace, name } = record?;
            let regarding = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "namespace": namespace.as_str(),
                "name": name,
            });
            (namespace.clone(), regarding, "Follow")
        }
    };
    let kind = if notice.is_warning {
        "Warning"
    } else {
        "Normal"
    };
    Some(json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": namespace.as_str(), "name": name(notice)},
        "eventTime": now,
        "type": kind,
        "reason": notice.reason,
        "action": action,
        "note": cut(&notice.note, MAX_NOTE),
        "regarding": regarding,
        "reportingController": CONTROLLER,
        "reportingInstance": cut(instance, 128),
    }))
}

/// The same for the same words about the same object.
fn name(notice: &Notice) -> String {
    let mut hasher = DefaultHasher::new();
    (&notice.subject, &notice.note).hash(&mut hasher);
    let about = match &notice.subject {
        Subject::Mirror { key, .. } => key.object().name().to_owned(),
        Subject::Source(source) => format!("source-{source}"),
    };
    format!("{}.{:016x}", cut(&about, MAX_READABLE), hasher.finish())
}

fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

fn count(metrics: &Metrics, outcome: Outcome) {
    let result = outcome.as_str();
    let labels = [("result", result.into())];
    metrics.events.get_or_create(&labels).inc();
}

impl Outcome {
    const fn as_str(self) -> &'static str {
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

impl Pace {
    fn new() -> Self {
        Self {
            full_at: Instant::now(),
        }
    }

    async fn wait(&mut self) {
        self.full_at = self.full_at.max(Instant::now()) + INTERVAL;
        sleep_until(self.full_at - INTERVAL * BURST).await;
    }
}

#[cfg(test)]
mod tests;
