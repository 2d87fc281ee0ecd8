//! Records the names of objects that are sources, so that a restart finds the evidence of deletions.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::Set;
use super::definition::path;
use crate::config::{ObjectKind, RecordKey};
use crate::write::{Failure, Writer};

/// Time after a write that failed.
const RETRY: Duration = Duration::from_secs(10);

/// Interval at which records are compared.
const LOOK: Duration = Duration::from_secs(2);

/// Records ClusterProfiles while this process is the leader, if there is a place for a record.
pub(super) async fn run(record: Option<RecordKey>, set: watch::Receiver<Set>, writer: Writer) {
    let Some(key) = record else {
        return;
    };
    let mut recorder = Recorder::new(ObjectKind::ClusterProfile, &key, writer);
    loop {
        sleep(LOOK).await;
        if recorder.writer.leadership.holds() {
            let record = set.borrow().record();
            recorder.keep(record).await;
        }
    }
}

/// Writer of an annotation of the record of the sources' clusters.
pub(super) struct Recorder {
    kind: ObjectKind,
    path: String,
    writer: Writer,
    /// Content of the record, if it is known.
    written: Option<String>,
    next: Instant,
    has_warned: bool,
}

impl Recorder {
    pub(super) fn new(kind: ObjectKind, key: &RecordKey, writer: Writer) -> Self {
        Self {
            kind,
            path: path(key),
            writer,
            written: None,
            next: Instant::now(),
            has_warned: false,
        }
    }

    /// Writes the record, if it differs.
    pub(super) async fn keep(&mut self, record: Option<String>) {
        let Some(record) = record.filter(|it| self.written.as_ref() != Some(it)) else {
            return;
        };
        if Instant::now() < self.next {
            return;
        }
        match self.write(&record).await {
            Ok(()) => {
                (self.written, self.has_warned) = (Some(record), false);
            }
            Err(failure) => {
                self.next = Instant::now() + RETRY;
                let (path, why) = (&self.path, failure.to_string());
                match failure {
                    // The record of the clusters is written at the same time.
                    Failure::Conflict(_) => debug!(path, why, "did not record the objects"),
                    _ if self.has_warned => {}
                    _ => {
                        warn!(
                            path,
                            why,
                            "cannot record the {}, retrying",
                            self.kind.plural()
                        );
                        self.has_warned = true;
                    }
                }
            }
        }
    }

    async fn write(&self, record: &str) -> Result<(), Failure> {
        let map = self.request(Method::GET, String::new()).await?;
        let mut map: Value =
            serde_json::from_slice(&map).map_err(|it| Failure::Unavailable(it.to_string()))?;
        let before = map["metadata"]["annotations"][self.kind.recorded()].as_str();
        if before == Some(record) || before.is_none() && record == "{}" {
            return Ok(());
        }
        map["metadata"]["annotations"][self.kind.recorded()] = json!(record);
        self.request(Method::PUT, map.to_string()).await.map(drop)
    }

    async fn request(&self, method: Method, body: String) -> Result<bytes::Bytes, Failure> {
        self.writer.request(method, &self.path, body.into()).await
    }
}
