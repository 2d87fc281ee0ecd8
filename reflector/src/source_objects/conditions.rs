//! The status of a Source: conditions and counts, as the API server is to have them.
//!
//! While nothing changes, the same status comes out, so that nothing is written.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};
use proto_types::escape;
use serde_json::{Map, Value, json};

use super::{Mirrored, propagation};
use crate::config::Verdict;
use crate::config::crd::MAX_MESSAGE;
use crate::status::{FeedStatus, SourceStatus, Status};

/// Condition, but for the time of its last transition.
struct Condition {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

/// Reason of a source that another cluster answers for.
const MISMATCH: &str = "ClusterIdentityMismatch";

/// Conditions of a source that is not followed.
const OF_FOLLOWED: [&str; 4] = ["Reachable", "Synced", "IdentityVerified", "Degraded"];

/// Clocks and ages are rounded: a time this close to the former one is the same.
const SAME_TIME: SignedDuration = SignedDuration::from_secs(90);

/// Returns the status of a Source, or `None` while its source is not known to the controller.
pub(super) fn status(
    verdict: &Verdict,
    (status, mirrored): (&Status, &Mirrored),
    before: &Value,
    now: Timestamp,
) -> Option<Value> {
    let mut fields = Map::new();
    let mut conditions = vec![accepted(verdict)];
    if verdict.in_effect.is_some() {
        let mut sources = status.sources.iter();
        let source = sources.find(|it| *it.name == *verdict.name)?;
        conditions.extend(followed(source, status));
        fields = counts(source, status, mirrored);
        fields.extend(contact(source, before, now));
    } else {
        conditions.extend(OF_FOLLOWED.map(|kind| {
            condition(
                kind,
                "Unknown",
                "NotAccepted",
                "the Source is not in effect",
            )
        }));
    }
    let generation = verdict.generation;
    let conditions = conditions.into_iter();
    let conditions = conditions.map(|it| it.written(generation, before, now));
    let conditions: Vec<_> = conditions.collect();
    fields.insert("conditions".to_owned(), conditions.into());
    fields.insert("observedGeneration".to_owned(), generation.into());
    Some(fields.into())
}

/// Part in which two statuses differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    /// Times of propagation alone.
    Propagation,
    /// Messages, and perhaps times of propagation.
    Words,
    /// Conditions or counts.
    State,
}

/// Returns the part in which two statuses that are not equal differ.
pub(super) fn difference(one: &Value, other: &Value) -> Difference {
    let timeless = |it: &Value| {
        let mut it = it.clone();
        propagation::remove(&mut it);
        it
    };
    let wordless = |mut it: Value| {
        for condition in it["conditions"].as_array_mut().into_iter().flatten() {
            condition["message"] = Value::Null;
        }
        it
    };
    let (one, other) = (timeless(one), timeless(other));
    if one == other {
        Difference::Propagation
    } else if wordless(one) == wordless(other) {
        Difference::Words
    } else {
        Difference::State
    }
}

/// Returns whether a source was just started and not all of it is read yet.
pub(super) fn is_starting(status: &Value) -> bool {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    // A connected watch may be ahead of the first list.
    conditions.any(|it| it["reason"] == CONNECTING || it["reason"] == UNSYNCED)
}

const CONNECTING: &str = "Connecting";

const UNSYNCED: &str = "Unsynced";

fn accepted(verdict: &Verdict) -> Condition {
    let Some(refusal) = &verdict.refusal else {
        return condition("Accepted", "True", "Accepted", "the spec is in effect");
    };
    let message = match verdict.in_effect {
        Some(generation) => format!(
            "{}; until then the spec of generation {generation} stays in effect",
            refusal.message
        ),
        None => refusal.message.clone(),
    };
    condition("Accepted", "False", refusal.reason, &message)
}

fn followed(source: &SourceStatus, status: &Status) -> [Condition; 4] {
    let lost = source.feeds.iter().find_map(|it| it.last_error.as_deref());
    let is_new = |it: &FeedStatus| it.age_seconds.is_none() && it.last_error.is_none();
    let reachable = match lost {
        Some(why) => condition("Reachable", "False", "Disconnected", why),
        None if source.feeds.iter().any(is_new) => {
            condition("Reachable", "Unknown", CONNECTING, "no response yet")
        }
        None => condition(
            "Reachable",
            "True",
            "Connected",
            "all watches are connected",
        ),
    };
    [
        reachable,
        synced(source, lost),
        identity(source, status),
        degraded(source, status),
    ]
}

fn synced(source: &SourceStatus, lost: Option<&str>) -> Condition {
    let unsynced = source.feeds.iter().find(|it| it.state != "synced");
    match (unsynced, lost) {
        (None, None) => {
            let message = "the mirrors follow the current data of the source";
            condition("Synced", "True", "Synced", message)
        }
        (None, Some(_)) => {
            let message = "the source is disconnected; mirrors stay as they are";
            condition("Synced", "False", "Disconnected", message)
        }
        (Some(it), _) => {
            let (resource, state) = (&it.resource, &it.state);
            let reason = match state.as_str() {
                "stale" => "Stale",
                _ => UNSYNCED,
            };
            condition(
                "Synced",
                "False",
                reason,
                &format!("{resource} are {state}"),
            )
        }
    }
}

fn identity(source: &SourceStatus, status: &Status) -> Condition {
    const KIND: &str = "IdentityVerified";
    let mut problems = status.problems.iter();
    let problem = problems.find(|it| it.source == source.name && it.reason == MISMATCH);
    match (problem, &source.cluster, &source.cluster_unknown) {
        (Some(problem), _, _) => condition(KIND, "False", MISMATCH, &problem.message),
        (None, Some(cluster), _) => {
            let message = format!("the UID of its namespace kube-system is {cluster}");
            condition(KIND, "True", "Verified", &message)
        }
        (None, None, Some(why)) => condition(KIND, "Unknown", "NotReported", why),
        (None, None, None) => condition(KIND, "Unknown", CONNECTING, "no response yet"),
    }
}

fn degraded(source: &SourceStatus, status: &Status) -> Condition {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in status.problems.iter().filter(|it| it.source == source.name) {
        *reasons.entry(&problem.reason).or_default() += 1;
    }
    let held = n_held(source, status);
    if 0 < held {
        *reasons.entry("DeletionHeld").or_default() += held;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(reason, n)| (std::cmp::Reverse(*n), *reason));
    let Some((first, _)) = reasons.first() else {
        return condition("Degraded", "False", "AsExpected", "there is no problem");
    };
    let words = reasons.iter().map(|(reason, n)| format!("{reason}: {n}"));
    let words = words.collect::<Vec<_>>().join(", ");
    let message = format!("{words}; docs/troubleshooting.md has a remedy for each reason");
    condition("Degraded", "True", first, &message)
}

fn n_held(source: &SourceStatus, status: &Status) -> usize {
    let held = status.held.iter().filter(|it| it.source == source.name);
    held.map(|it| it.deletions).sum()
}

fn counts(source: &SourceStatus, status: &Status, mirrored: &Mirrored) -> Map<String, Value> {
    let services = source.feeds.iter().filter(|it| it.resource == "services");
    let problems = status.problems.iter().filter(|it| it.source == source.name);
    let mirrored = mirrored.get(&*source.name).copied().unwrap_or_default();
    let mut counts = Map::new();
    let mut count = |field: &str, n: usize| counts.insert(field.to_owned(), n.into());
    count("exported", services.map(|it| it.objects).max().unwrap_or(0));
    count("mirrored", mirrored);
    count("heldDeletions", n_held(source, status));
    count("problems", problems.count());
    if let Some(cluster) = &source.cluster {
        counts.insert("cluster".to_owned(), cluster.as_str().into());
    }
    counts
}

/// Returns the time of the last message of a source that is not reachable.
fn contact(source: &SourceStatus, before: &Value, now: Timestamp) -> Option<(String, Value)> {
    const FIELD: &str = "lastContactTime";
    let lost = source.feeds.iter().filter(|it| it.last_error.is_some());
    let age = lost.filter_map(|it| it.age_seconds).max()?;
    let time = now.checked_sub(Duration::from_secs(age)).ok()?;
    let time = time.round(Unit::Minute).ok()?;
    let former = before[FIELD]
        .as_str()
        .and_then(|it| it.parse::<Timestamp>().ok());
    let former = former.filter(|it| time.duration_since(*it).abs() <= SAME_TIME);
    let time = former.unwrap_or(time);
    Some((FIELD.to_owned(), time.to_string().into()))
}

fn condition(kind: &'static str, status: &'static str, reason: &str, message: &str) -> Condition {
    Condition {
        kind,
        status,
        reason: reason.to_owned(),
        message: escape::lines(message).chars().take(MAX_MESSAGE).collect(),
    }
}

impl Condition {
    /// Returns the condition with the time at which its status changed last.
    fn written(self, generation: i64, before: &Value, now: Timestamp) -> Value {
        let former = before["conditions"].as_array();
        let mut former = former.into_iter().flatten();
        let former = former.find(|it| it["type"] == self.kind && it["status"] == self.status);
        let since = former.and_then(|it| it["lastTransitionTime"].as_str());
        let now = || now.round(Unit::Second).unwrap_or(now).to_string();
        json!({
            "type": self.kind,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": generation,
            "lastTransitionTime": since.map_or_else(now, str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests;
