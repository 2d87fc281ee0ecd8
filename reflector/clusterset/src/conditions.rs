//! Conditions of exports and imports.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::Invalid;
use crate::conflict::{self, Conflict};
use crate::id::ClusterId;

/// A condition without its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Type.
    pub condition_type: &'static str,
    /// Status.
    pub status: Status,
    /// Reason.
    pub reason: String,
    /// Message.
    pub message: String,
}

/// Status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `True`.
    True,
    /// `False`.
    False,
    /// `Unknown`.
    Unknown,
}

/// State of the local cluster's export, as its conditions report it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportState<'a> {
    /// The export cannot take effect.
    Invalid(Invalid<'a>),
    /// The namespace is closed for exports.
    ClosedNamespace,
    /// The export takes effect.
    Exported,
    /// The export takes effect in other clusters. The local import cannot be written.
    Failed(&'a str),
}

/// Longest reason that the API takes, in bytes.
const MAX_REASON: usize = 1024;

/// Longest message that the API takes, in bytes.
const MAX_MESSAGE: usize = 32_768;

impl Condition {
    fn new(condition_type: &'static str, status: Status, reason: &str, message: String) -> Self {
        Self {
            condition_type,
            status,
            reason: shortened(reason.to_owned(), MAX_REASON),
            message: shortened(message, MAX_MESSAGE),
        }
    }

    /// Returns whether an observed condition is equal.
    #[must_use]
    pub fn is_shown_by(&self, observed: &Value) -> bool {
        self.has_status_of(observed)
            && text(observed, "reason") == Some(&self.reason)
            && text(observed, "message").unwrap_or_default() == self.message
    }

    fn has_status_of(&self, observed: &Value) -> bool {
        text(observed, "status") == Some(self.status.as_str())
    }

    /// Returns the condition as JSON. The time of an observed condition stays while its
    /// status does.
    #[must_use]
    pub fn written(&self, observed: Option<&Value>, now: &str, generation: Option<i64>) -> Value {
        let kept = observed.filter(|it| self.has_status_of(it));
        let time = kept
            .and_then(|it| text(it, "lastTransitionTime"))
            .unwrap_or(now);
        let mut written = json!({
            "type": self.condition_type,
            "status": self.status.as_str(),
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": time,
        });
        if let Some(generation) = generation {
            written["observedGeneration"] = json!(generation);
        }
        written
    }
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Returns the condition of that type in a `status`.
#[must_use]
pub fn find<'a>(status: &'a Value, condition_type: &str) -> Option<&'a Value> {
    let conditions = status.get("conditions")?.as_array()?;
    conditions
        .iter()
        .find(|it| text(it, "type") == Some(condition_type))
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str()
}

fn shortened(mut text: String, limit: usize) -> String {
    if limit < text.len() {
        let end = (0..=limit - 3).rev().find(|it| text.is_char_boundary(*it));
        text.truncate(end.unwrap_or_default());
        text.push_str("...");
    }
    text
}

/// Returns the conditions of a ServiceExport. `unheard` are clusters of the set whose
/// exports were never listed: they may be in conflict.
#[must_use]
pub fn of_export(
    state: &ExportState<'_>,
    conflicts: &[Conflict],
    unheard: &BTreeSet<ClusterId>,
) -> Vec<Condition> {
    let mut conditions = vec![valid(state), ready(state)];
    conditions.extend(conflict(state, conflicts, unheard));
    conditions
}

fn valid(state: &ExportState<'_>) -> Condition {
    let (reason, message) = match state {
        ExportState::Invalid(Invalid::NoService) => (
            "NoService",
            "there is no Service of this name in this namespace; create it or delete this ServiceExport".to_owned(),
        ),
        ExportState::Invalid(Invalid::ExternalName) => (
            "InvalidServiceType",
            "a Service of type ExternalName has no endpoints and cannot be exported; change its type or delete this ServiceExport".to_owned(),
        ),
        ExportState::Invalid(Invalid::Managed) => (
            "InvalidServiceType",
            "the Service is itself a copy of another cluster's Service and is never exported again; export it in that cluster".to_owned(),
        ),
        ExportState::Invalid(Invalid::Unreadable(why)) => (
            "InvalidServiceType",
            format!("the Service cannot be read: {why}"),
        ),
        ExportState::Invalid(Invalid::Selectors(why)) => (
            "InvalidClusterSelector",
            format!("the cluster selectors cannot be evaluated: {why}; correct spec.clusterSelectors or the annotation {}", proto_types::label::CLUSTER_SELECTORS),
        ),
        ExportState::Invalid(Invalid::HeadlessSelectors) => (
            "InvalidServiceType",
            "a headless Service has no address that cluster selectors could apply to; remove the selectors or export a Service with a cluster IP".to_owned(),
        ),
        ExportState::ClosedNamespace | ExportState::Exported | ExportState::Failed(_) => {
            let message = "the Service can be exported".to_owned();
            return Condition::new("Valid", Status::True, "Valid", message);
        }
    };
    Condition::new("Valid", Status::False, reason, message)
}

fn ready(state: &ExportState<'_>) -> Condition {
    let condition =
        |status, reason, message: &str| Condition::new("Ready", status, reason, message.to_owned());
    match state {
        ExportState::Invalid(_) => condition(
            Status::False,
            "Pending",
            "not exported while the condition Valid is False",
        ),
        ExportState::ClosedNamespace => condition(
            Status::False,
            "Failed",
            "not exported: this namespace is closed for exports; add it to clusterSet.allowedNamespaces of each reflector",
        ),
        ExportState::Failed(why) => condition(Status::False, "Failed", why),
        ExportState::Exported => condition(
            Status::True,
            "Ready",
            "ready to be read by the other clusters of the clusterset",
        ),
    }
}

fn conflict(
    state: &ExportState<'_>,
    conflicts: &[Conflict],
    unheard: &BTreeSet<ClusterId>,
) -> Option<Condition> {
    match state {
        ExportState::Invalid(_) | ExportState::ClosedNamespace => return None,
        ExportState::Exported | ExportState::Failed(_) => {}
    }
    if !conflicts.is_empty() {
        let texts: Vec<_> = conflicts.iter().map(ToString::to_string).collect();
        let reasons = conflict::reasons(conflicts);
        let message = texts.join(". ");
        return Some(Condition::new("Conflict", Status::True, &reasons, message));
    }
    if unheard.is_empty() {
        let message = "all exports of this Service agree".to_owned();
        return Some(Condition::new(
            "Conflict",
            Status::False,
            "NoConflicts",
            message,
        ));
    }
    let names = names(unheard);
    let message =
        format!("the exports of clusters {names} were never read; whether they agree is not known");
    Some(Condition::new(
        "Conflict",
        Status::Unknown,
        "Pending",
        message,
    ))
}

/// State of an import, as its conditions report it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportState<'a> {
    /// The import can be used.
    Ready,
    /// The local API server rejected a write for it.
    Rejected(&'a str),
}

/// Reason of the condition `Stale` while a cluster's deletion is held.
pub const DELETION_HELD: &str = "DeletionHeld";

/// Returns the conditions of a ServiceImport. `silent` are exporting clusters that are
/// disconnected or were not listed since the start; the deletions of `held` are held.
#[must_use]
pub fn of_import(
    state: &ImportState<'_>,
    silent: &BTreeSet<ClusterId>,
    held: &BTreeSet<ClusterId>,
) -> Vec<Condition> {
    let ready = match state {
        ImportState::Ready => {
            let message = "the import can be used".to_owned();
            Condition::new("Ready", Status::True, "Ready", message)
        }
        ImportState::Rejected(why) => {
            let is_family = why.contains("ipFamil") || why.contains("IPFamil");
            let reason = if is_family {
                "IPFamilyNotSupported"
            } else {
                "Pending"
            };
            let message = format!("the API server rejected a write: {why}");
            Condition::new("Ready", Status::False, reason, message)
        }
    };
    let stale = if !held.is_empty() {
        let names = names(held);
        let message = format!(
            "clusters {names} do not have all of what they exported any more; it is kept until \
             another list confirms that"
        );
        Condition::new("Stale", Status::True, DELETION_HELD, message)
    } else if silent.is_empty() {
        let message = "all exporting clusters are connected".to_owned();
        Condition::new("Stale", Status::False, "AllConnected", message)
    } else {
        let names = names(silent);
        let message = format!("clusters {names} are disconnected; what they exported last is kept");
        Condition::new("Stale", Status::True, "ClustersDisconnected", message)
    };
    vec![ready, stale]
}

fn names(clusters: &BTreeSet<ClusterId>) -> String {
    let names: Vec<_> = clusters.iter().map(ClusterId::as_str).collect();
    names.join(", ")
}
