//! Writes the status of Sources: on change only, rarely, and by the leader alone.

use std::collections::HashMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use http::Method;
use jiff::Timestamp;
use proto_types::resource::ApiResource;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::conditions::Difference;
use super::record::Recorder;
use super::{Known, Mirrored, Set, conditions, propagation};
use crate::config::{ObjectKind, RecordKey, Verdict};
use crate::queries::{QueryChannels, Question};
use crate::status::Status;
use crate::write::{Failure, Writer};

const KIND: ObjectKind = ObjectKind::Source;

const NAMES: &ApiResource = KIND.names();

/// Interval at which statuses are compared.
const LOOK: Duration = Duration::from_secs(2);

/// Time between two writes for one Source.
const REST: Duration = Duration::from_secs(10);

/// The same where words alone have changed.
const REST_OF_WORDS: Duration = Duration::from_secs(60);

/// The same where times of propagation alone have changed. Each leader waits as long.
const REST_OF_PROPAGATION: Duration = Duration::from_secs(600);

/// Time for which sources that were just started keep the status that they have.
const START: Duration = Duration::from_secs(30);

/// Time for which the first status of a spec waits for the first lists of the source.
const FIRST: Duration = Duration::from_secs(5);

/// Writes at once.
const WIDTH: usize = 4;

/// Writer of statuses.
pub(super) struct Publisher {
    path: String,
    namespace: String,
    set: watch::Receiver<Set>,
    verdicts: watch::Receiver<Vec<Verdict>>,
    writer: Writer,
    questions: QueryChannels,
    recorder: Option<Recorder>,
    /// Time since which this process is the leader.
    leads_since: Option<Instant>,
    /// `true` if everything that was known at that time is planned.
    has_settled: bool,
    /// Time of the last write of each Source, by UID.
    written: HashMap<Box<str>, Instant>,
    /// Generations without a status, and since when, by UID.
    new: HashMap<Box<str>, (i64, Instant)>,
    complaint: Option<String>,
}

/// A status that is to be written.
struct Due {
    uid: Box<str>,
    path: String,
    body: String,
}

impl Publisher {
    pub(super) fn new(
        (namespace, record): (&str, Option<RecordKey>),
        (set, verdicts): (watch::Receiver<Set>, watch::Receiver<Vec<Verdict>>),
        writer: Writer,
        questions: QueryChannels,
    ) -> Self {
        Self {
            path: NAMES.collection(Some(namespace)),
            namespace: namespace.to_owned(),
            recorder: record.map(|key| Recorder::new(KIND, &key, writer.clone())),
            set,
            verdicts,
            writer,
            questions,
            leads_since: None,
            has_settled: false,
            written: HashMap::new(),
            new: HashMap::new(),
            complaint: None,
        }
    }

    /// Compares and writes indefinitely.
    pub(super) async fn run(mut self) {
        loop {
            sleep(LOOK).await;
            if !self.writer.leadership.holds() {
                (self.leads_since, self.has_settled) = (None, false);
                continue;
            }
            self.leads_since = self.leads_since.or_else(|| Some(Instant::now()));
            if let Some(recorder) = &mut self.recorder {
                let record = self.set.borrow().record();
                recorder.keep(record).await;
            }
            if self.verdicts.borrow().is_empty() {
                continue;
            }
            let Some((status, mirrored)) = self.request_status().await else {
                continue;
            };
            // Plans find problems, and are made after the lists.
            self.has_settled |= status.is_synced() && status.waiting == 0;
            let due = self.due(&status, &mirrored);
            self.write(due).await;
        }
    }

    async fn request_status(&self) -> Option<(Status, Mirrored)> {
        let status = self.questions.status().await?;
        Some((status, self.questions.query(Question::Mirrored).await?))
    }

    fn due(&mut self, status: &Status, mirrored: &Mirrored) -> Vec<Due> {
        let set = self.set.borrow();
        let verdicts = self.verdicts.borrow();
        let objects = set.objects.as_ref();
        let (now, time) = (Instant::now(), Timestamp::now());
        self.written
            .retain(|_, it| now.duration_since(*it) < REST_OF_PROPAGATION);
        let mut due = Vec::new();
        for verdict in &*verdicts {
            let known = objects.and_then(|it| it.get(&verdict.name));
            let known = known.filter(|it| it.uid == verdict.uid);
            let is_missing = set.declared.is_missing(&verdict.name);
            let Some(known) = known.filter(|_| !is_missing) else {
                continue;
            };
            note_new(&mut self.new, verdict, known, now);
            let before = &known.status;
            let wanted = conditions::status(verdict, (status, mirrored), before, time);
            let Some(mut wanted) = wanted else {
                continue;
            };
            if verdict.in_effect.is_some() {
                let recent = self.writer.metrics.recent().of(&verdict.name);
                propagation::add(&mut wanted, recent, before);
            }
            if self.is_due(verdict, known, &wanted, now) {
                due.push(self.request(verdict, known, &wanted));
            }
        }
        due
    }

    fn is_due(&self, verdict: &Verdict, known: &Known, wanted: &Value, now: Instant) -> bool {
        let before = &known.status;
        if before == wanted {
            return false;
        }
        let new_since = self.new.get(&verdict.uid).map(|(_, since)| *since);
        if new_since.is_some_and(|it| conditions::is_starting(wanted) && now < it + FIRST) {
            return false;
        }
        let is_new = new_since.is_some();
        let is_start = self.leads_since.is_none_or(|it| now < it + START);
        if !is_new && is_start && !self.has_settled {
            return false;
        }
        let last = self.written.get(&verdict.uid).copied();
        let rests = rest(
            conditions::difference(before, wanted),
            last,
            self.leads_since,
        );
        rests.is_none_or(|it| it <= now)
    }

    fn request(&self, verdict: &Verdict, known: &Known, wanted: &Value) -> Due {
        let name = &verdict.name;
        let body = json!({
            "apiVersion": NAMES.api_version,
            "kind": NAMES.kind,
            "metadata": {
                "namespace": self.namespace,
                "name": name,
                "uid": known.uid,
                "resourceVersion": known.resource_version,
            },
            "spec": known.spec,
            "status": wanted,
        });
        Due {
            uid: verdict.uid.clone(),
            path: format!("{}/{name}/status", self.path),
            body: body.to_string(),
        }
    }

    async fn write(&mut self, due: Vec<Due>) {
        let writer = &self.writer;
        let writes = due.into_iter().map(async |it| {
            let answer = writer.request(Method::PUT, &it.path, it.body.into()).await;
            (it.uid, it.path, answer.err())
        });
        let done: Vec<_> = stream::iter(writes).buffer_unordered(WIDTH).collect().await;
        for (uid, path, failure) in done {
            self.written.insert(uid, Instant::now());
            match failure {
                None => debug!(path, "wrote a status"),
                // What it was computed from has changed, and is computed again.
                Some(Failure::Conflict(why)) => debug!(path, why, "did not write a status"),
                Some(failure) => {
                    let why = failure.to_string();
                    if self.complaint.as_ref() != Some(&why) {
                        warn!(path, why, "cannot write the status of a Source, retrying");
                        self.complaint = Some(why);
                    }
                }
            }
        }
    }
}

/// Returns the time until which a Source rests after its last write, if there was one.
fn rest(
    difference: Difference,
    last: Option<Instant>,
    leads_since: Option<Instant>,
) -> Option<Instant> {
    match difference {
        Difference::State => last.map(|it| it + REST),
        Difference::Words => last.map(|it| it + REST_OF_WORDS),
        Difference::Propagation => last.max(leads_since).map(|it| it + REST_OF_PROPAGATION),
    }
}

/// Notes since when the generation of a Source has no status.
fn note_new(
    new: &mut HashMap<Box<str>, (i64, Instant)>,
    verdict: &Verdict,
    known: &Known,
    now: Instant,
) {
    let generation = verdict.generation;
    if known.status["observedGeneration"] == generation {
        new.remove(&verdict.uid);
    } else if new.get(&verdict.uid).is_none_or(|it| it.0 != generation) {
        new.insert(verdict.uid.clone(), (generation, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_propagation_alone_are_written_rarely() {
        let now = Instant::now();
        let at = |seconds: u64| Some(now + Duration::from_secs(seconds));
        for (difference, last, leads_since, expected) in [
            (Difference::State, None, at(0), None),
            (Difference::State, at(3), at(0), at(13)),
            (Difference::Words, None, at(0), None),
            (Difference::Words, at(3), at(0), at(63)),
            // A new leader does not have the time of the last write.
            (Difference::Propagation, None, at(2), at(602)),
            (Difference::Propagation, at(3), at(2), at(603)),
            (Difference::Propagation, None, None, None),
        ] {
            let found = rest(difference, last, leads_since);
            assert_eq!(found, expected, "{difference:?}");
        }
    }
}
