//! Problems as Events beside the mirrors, where `kubectl describe` shows them.
//!
//! `events.k8s.io/v1`, because it has a `reportingController` where core/v1 has a free text, and is
//! all that new API servers document; kubectl shows both alike. The name of an Event is made of its
//! content, so that the same Event, after a restart or from another replica, is refused as a
//! duplicate: nothing must be read or patched, and the right to create is enough.
//!
//! Nothing waits for an Event: there is a limit to their number, and what is above it is in the
//! log, the metrics and `/status` alone. A problem that ends before its Event is written gets
//! none; where Events are forbidden, those of problems that last are written later.

mod event;
mod outcome;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use parking_lot::Mutex;
use proto_types::ObjectKey;
use proto_types::multicluster::Version;
use reflector_planner::{MirrorKey, Problem, SourceName};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::event::{event, now};
use self::outcome::Outcome;
use crate::config::RecordKey;
use crate::leader_election::Leadership;
use crate::metrics::Metrics;

/// Content of an Event, and the object that it is about.
#[derive(Debug, Clone)]
pub(crate) struct ProblemEvent {
    /// The object.
    pub(crate) subject: Subject,
    /// The reason, for machines.
    pub(crate) reason: String,
    /// Message with the remedy.
    pub(crate) note: String,
    /// `true` if the operator must act.
    pub(crate) is_warning: bool,
}

/// Object of an Event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// A mirror, which may not exist.
    Mirror {
        /// Key of the local Service.
        key: MirrorKey,
        /// Its uid, if it exists.
        uid: Option<Box<str>>,
    },
    /// An object of the Multi-Cluster Services API in the local cluster.
    Export {
        /// API version.
        version: Version,
        /// `true` for a ServiceImport, `false` for a ServiceExport.
        is_import: bool,
        /// Namespace and name.
        key: ObjectKey,
        /// Its uid, if it exists.
        uid: Option<Box<str>>,
    },
    /// A source. Its Events are about the record of the sources' clusters.
    Source(SourceName),
}

impl ProblemEvent {
    /// Returns whether its Event has the same content about the same object.
    fn is_same(&self, other: &Self) -> bool {
        self.note == other.note && self.subject.is_same(&other.subject)
    }

    /// A problem of a mirror.
    pub(crate) fn of(problem: &Problem, key: &MirrorKey, uid: Option<&str>) -> Self {
        let (key, uid) = (key.clone(), uid.map(Into::into));
        Self {
            subject: Subject::Mirror { key, uid },
            reason: problem.cause.reason().to_owned(),
            note: problem.to_string(),
            is_warning: true,
        }
    }
}

impl Subject {
    /// The namespace of its Events.
    fn namespace<'a>(&'a self, record: Option<&'a RecordKey>) -> Option<&'a str> {
        match self {
            Self::Mirror { key, .. } => Some(key.object().namespace()),
            Self::Export { key, .. } => Some(key.namespace()),
            Self::Source(_) => record.map(|it| it.namespace.as_str()),
        }
    }

    /// Returns whether it is the same object, also where a mirror was made again.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mirror { key, .. }, Self::Mirror { key: other, .. }) => key == other,
            (
                Self::Export { is_import, key, .. },
                Self::Export {
                    is_import: is_other_import,
                    key: other,
                    ..
                },
            ) => (is_import, key) == (is_other_import, other),
            (Self::Source(source), Self::Source(other)) => source == other,
            (Self::Mirror { .. } | Self::Export { .. } | Self::Source(_), _) => false,
        }
    }
}

/// Takes problem events without blocking the caller.
#[derive(Debug, Clone)]
pub(crate) struct EventRecorder {
    pending: Arc<Pending>,
    metrics: Metrics,
}

/// Notices whose Events are not written yet, in their order.
#[derive(Debug, Default)]
struct Pending {
    notices: Mutex<VecDeque<Attempted>>,
    added: Notify,
}

/// A notice, and how many attempts at its Event have failed.
#[derive(Debug)]
struct Attempted {
    notice: ProblemEvent,
    n_failed: u32,
}

/// Makes Events of notices.
pub(crate) struct EventWriter {
    /// The local cluster.
    pub(crate) client: kube::Client,
    /// Name of the reporting process.
    pub(crate) instance: String,
    /// Object of Events about sources; `None` if there is no record.
    record: Option<RecordKey>,
    /// Leadership; only the leader writes Events.
    pub(crate) leadership: Leadership,
    pending: Arc<Pending>,
    metrics: Metrics,
    pace: WriteInterval,
    /// Namespaces in which Events are not allowed, and until when no other attempt is made.
    /// They stay until one is, so that each is in the log once.
    muted: HashMap<String, Instant>,
}

/// So many at once, and then so many per second.
#[derive(Debug)]
struct WriteInterval {
    /// Time at which the burst is full again.
    full_at: Instant,
}

// What kube's own recorders allow at once for one object.
const BURST: u32 = 25;
// A mass of problems is one cause, and its first Events show it: more would only
// compete with the mirrors for the API server.
const INTERVAL: Duration = Duration::from_millis(500);
// Two minutes of work at that pace.
const BACKLOG: usize = 256;
// One request a minute is little, and a granted permission has its effect soon.
const MUTE: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;
const RETRY: Duration = Duration::from_secs(5);

/// Both ends of the way that notices take.
pub(crate) fn announcements(
    client: kube::Client,
    (instance, record): (String, Option<RecordKey>),
    leadership: Leadership,
    metrics: Metrics,
) -> (EventRecorder, EventWriter) {
    let pending = Arc::new(Pending::default());
    let announcer = EventRecorder {
        pending: Arc::clone(&pending),
        metrics: metrics.clone(),
    };
    let announcements = EventWriter {
        client,
        instance,
        record,
        leadership,
        pending,
        metrics,
        pace: WriteInterval::new(),
        muted: HashMap::new(),
    };
    (announcer, announcements)
}

impl Pending {
    /// Adds a notice behind the others, if there is room.
    fn add(&self, attempted: Attempted, metrics: &Metrics) {
        let mut notices = self.notices.lock();
        if BACKLOG <= notices.len() {
            return count(metrics, Outcome::Dropped);
        }
        notices.push_back(attempted);
        self.added.notify_one();
    }
}

impl EventRecorder {
    /// Announces soon, or not at all where there is too much to announce.
    pub(crate) fn announce(&self, notice: ProblemEvent) {
        let n_failed = 0;
        let attempted = Attempted { notice, n_failed };
        self.pending.add(attempted, &self.metrics);
    }

    /// Takes a notice back whose Event is not written yet: its problem has ended.
    pub(crate) fn withdraw(&self, notice: &ProblemEvent) {
        let mut notices = self.pending.notices.lock();
        notices.retain(|it| !it.notice.is_same(notice));
    }

    /// Takes all notices back: another process announces from now on.
    pub(crate) fn withdraw_all(&self) {
        self.pending.notices.lock().clear();
    }
}

impl EventWriter {
    /// Announces until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let announce = async {
            loop {
                self.has_some().await;
                self.pace.wait().await;
                // What ended in the meantime is not there any more.
                if let Some(attempted) = self.take() {
                    self.announce(attempted).await;
                }
            }
        };
        tokio::select! {
            () = announce => {}
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }

    /// Waits until there is a notice whose Event may be written.
    async fn has_some(&self) {
        loop {
            let added = self.pending.added.notified();
            let (has_some, muted_until) = {
                let notices = self.pending.notices.lock();
                let until = notices.iter().map(|it| self.muted_until(&it.notice));
                let until: Vec<_> = until.collect();
                (until.contains(&None), until.into_iter().flatten().min())
            };
            match (has_some, muted_until) {
                (true, _) => return,
                (false, None) => added.await,
                (false, Some(until)) => drop(timeout_at(until, added).await),
            }
        }
    }

    /// The first notice whose Event may be written now.
    fn take(&self) -> Option<Attempted> {
        let mut notices = self.pending.notices.lock();
        let at = notices
            .iter()
            .position(|it| self.muted_until(&it.notice).is_none())?;
        notices.remove(at)
    }

    /// Until when no Event is written in the namespace of a notice.
    fn muted_until(&self, notice: &ProblemEvent) -> Option<Instant> {
        let namespace = notice.subject.namespace(self.record.as_ref());
        let until = *namespace.and_then(|it| self.muted.get(it))?;
        (Instant::now() < until).then_some(until)
    }

    async fn announce(&mut self, mut attempted: Attempted) {
        let notice = &attempted.notice;
        let reporter = (self.instance.as_str(), self.record.as_ref());
        let Some(event) = event(notice, reporter, &now()) else {
            // What a source sent as a namespace does not become part of a path.
            count(&self.metrics, Outcome::Refused);
            return;
        };
        let (outcome, why) = self.create(&event).await;
        count(&self.metrics, outcome);
        let namespace = event["metadata"]["namespace"].as_str();
        let namespace = namespace.unwrap_or_default();
        match outcome {
            Outcome::Forbidden => {
                if self.mute(namespace) {
                    let remedy = if why.contains("cannot create resource") {
                        "grant create on events.k8s.io events"
                    } else {
                        "see why"
                    };
                    warn!(namespace, why, remedy, "no Events are written");
                }
                self.pending.add(attempted, &self.metrics);
            }
            Outcome::Refused => debug!(why, note = notice.note, "no Event"),
            Outcome::Unavailable => {
                debug!(why, "no Event");
                tokio::time::sleep(RETRY).await;
                attempted.n_failed += 1;
                if attempted.n_failed < ATTEMPTS {
                    self.pending.add(attempted, &self.metrics);
                }
            }
            Outcome::Created | Outcome::Exists => drop(self.muted.remove(namespace)),
            Outcome::Dropped => {}
        }
    }

    /// Writes no Events in a namespace for a while; returns whether that is new.
    fn mute(&mut self, namespace: &str) -> bool {
        let until = Instant::now() + MUTE;
        self.muted.insert(namespace.to_owned(), until).is_none()
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
            Ok(Err(kube::Error::Api(status))) => (Outcome::of(&status), status.message.clone()),
            Ok(Err(error)) => (Outcome::Unavailable, error.to_string()),
            Err(elapsed) => (Outcome::Unavailable, elapsed.to_string()),
        }
    }
}

fn count(metrics: &Metrics, outcome: Outcome) {
    let result = outcome.as_str();
    let labels = [("result", result.into())];
    metrics.events.get_or_create(&labels).inc();
}

impl WriteInterval {
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
