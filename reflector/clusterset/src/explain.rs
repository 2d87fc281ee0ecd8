//! Explanation of an import: the state of each cluster, the problems, and the result.

use std::fmt;

use proto_types::ObjectKey;
use proto_types::label::RELEASE;
use reflector_planner::{HoldReason, ImportViolation};
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::cluster::{Cluster, Contribution, Invalid};
use crate::conditions::{Condition, DELETION_HELD, Status};
use crate::exports::{Exports, exports};
use crate::id::ClusterId;
use crate::merge;
use crate::name;
use crate::plan::{Desired, Plan, occupant};
use crate::reason::Reason;
use crate::state::ClusterSet;

/// Explanation of the state of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportExplanation {
    /// Namespace and name of the ServiceImport, and of the exports.
    pub import: String,
    /// Name that clients use.
    pub host: String,
    /// State of the import at each cluster of the set, the local one included.
    pub clusters: Vec<ClusterReport>,
    /// Writes that are due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub due: Vec<String>,
    /// Differences between exports of other clusters, with both values, the export that takes
    /// precedence and the remedy. Those of the local export are problems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<String>,
    /// Clusters that serve, where there is an order of them, and why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selection: String,
    /// Present problems.
    pub problems: Vec<ImportProblem>,
    /// The result, its cause and the remedy, in one sentence.
    pub conclusion: String,
}

/// State of an import at one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterReport {
    /// The cluster.
    pub cluster: String,
    /// State of the data: `synced`, `stale` or `unsynced`.
    pub state: String,
    /// `true` if it has a ServiceExport of the name, in effect or not.
    pub exported: bool,
    /// Description, as a clause.
    pub says: String,
    /// Number of its EndpointSlices.
    pub slices: usize,
    /// Number of their endpoints.
    pub endpoints: usize,
}

/// A problem of one export or import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportProblem {
    /// Reason.
    pub reason: String,
    /// Message with the object and the remedy.
    pub message: String,
}

/// Explains an import, also one that no cluster exports. `due` are the writes of the plan.
#[must_use]
pub fn explain(
    set: &ClusterSet,
    key: &ObjectKey,
    plan: &Plan,
    due: &[Action],
) -> ImportExplanation {
    let problems = problems(set, key, plan);
    let due: Vec<_> = due.iter().map(described).collect();
    let members = exports(set, key);
    let names = members.members.iter().map(|it| it.cluster.as_str());
    let oldest = members.members.first().map(|it| it.cluster);
    ImportExplanation {
        import: key.to_string(),
        host: format!("{}.{}.svc.clusterset.local", key.name(), key.namespace()),
        clusters: set
            .clusters()
            .iter()
            .map(|(id, cluster)| said(id, cluster, key, oldest == Some(id)))
            .collect(),
        conclusion: conclusion(set, key, (&names.collect::<Vec<_>>(), &due), &problems),
        conflicts: conflicts_of_others(&members, &problems),
        due,
        selection: plan.selection.to_string(),
        problems,
    }
}

/// Returns what is wrong with an export of the local cluster, or with its import.
#[must_use]
pub fn problems(set: &ClusterSet, key: &ObjectKey, plan: &Plan) -> Vec<ImportProblem> {
    let mut problems = refused(key, plan);
    let mut tell = |reason: Reason, kind: &str, why: &str| {
        problems.push(ImportProblem {
            reason: reason.as_str().to_owned(),
            message: format!("{kind} {key}: {why}"),
        });
    };
    let has_exports = !exports(set, key).members.is_empty();
    if let Some(why) = occupant(set, key).filter(|_| has_exports) {
        tell(Reason::ImportOccupied, "ServiceImport", &why);
    }
    if let Some(why) = set.rejection(key) {
        let why = format!("the local API server rejected a write: {why}; correct what it names");
        tell(Reason::ImportRejected, "ServiceImport", &why);
    }
    for it in &plan.unsupported {
        tell(Reason::FieldNotSupported, "ServiceImport", &it.to_string());
    }
    for it in plan.export.iter().flatten() {
        match (it.condition_type, it.status) {
            ("Valid", Status::False) => tell(Reason::ExportInvalid, "ServiceExport", &it.message),
            ("Conflict", Status::True) => {
                tell(Reason::ExportConflict, "ServiceExport", &it.message);
            }
            ("Ready", Status::False) if !set.is_allowed(key.namespace()) => {
                tell(Reason::ExportNotAllowed, "ServiceExport", &it.message);
            }
            _ => {}
        }
    }
    for (cluster, why) in set.held(key) {
        tell(
            Reason::DeletionHeld,
            "ServiceImport",
            &held(set, &cluster, why),
        );
    }
    if let Desired::Present(status) = &plan.import_status {
        let is_stale = |it: &&Condition| {
            (it.condition_type, it.status) == ("Stale", Status::True) && it.reason != DELETION_HELD
        };
        for it in status.conditions.iter().filter(is_stale) {
            tell(Reason::ImportStale, "ServiceImport", &it.message);
        }
    }
    problems
}

/// Returns the parts of exports that import policies do not admit.
fn refused(key: &ObjectKey, plan: &Plan) -> Vec<ImportProblem> {
    let problem = |(cluster, refusal): &(ClusterId, ImportViolation)| ImportProblem {
        reason: refusal.reason().to_owned(),
        message: format!(
            "ServiceImport {key}: cluster {cluster}: {}",
            refusal.of_import()
        ),
    };
    plan.refusals.iter().map(problem).collect()
}

/// Tells that a deletion by a cluster is held, until when, and what to do.
fn held(set: &ClusterSet, cluster: &ClusterId, why: HoldReason) -> String {
    let delay = why.delay(set.settings().deletion_hold);
    let why = describe_hold(why);
    format!(
        "what cluster {cluster} exported is kept: {why}; if that is right, annotate the \
         ServiceImport with {RELEASE}=true, or wait: it is deleted {delay} if another list of the \
         cluster lacks it too"
    )
}

/// Returns the reason of a hold as a clause.
#[must_use]
pub const fn describe_hold(why: HoldReason) -> &'static str {
    match why {
        HoldReason::ListEmpty => {
            "the last list of the cluster lacks everything that is imported from it"
        }
        HoldReason::ListShort => {
            "the lists of the cluster lack more than half of what is imported from it, within 5 \
             minutes"
        }
        HoldReason::ManyEvents => {
            "the cluster deleted more than half of what is imported from it, within 5 minutes"
        }
        HoldReason::EveryDeletion => {
            "every deletion is confirmed by another list (confirmDeletions)"
        }
    }
}

/// Returns the conflicts that are not among the problems of the local export.
fn conflicts_of_others(exports: &Exports<'_>, problems: &[ImportProblem]) -> Vec<String> {
    let is_conflict = |it: &ImportProblem| it.reason == Reason::ExportConflict.as_str();
    if problems.iter().any(is_conflict) {
        return Vec::new();
    }
    let merged = merge::merge(&exports.members);
    let conflicts = merged.into_iter().flat_map(|(_, conflicts)| conflicts);
    conflicts
        .map(|it| format!("{}: {it}", it.kind.reason()))
        .collect()
}

fn described(action: &Action) -> String {
    let verb = action.request.verb();
    format!("{verb} {} {}", action.resource.kind, action.key)
}

fn said(id: &ClusterId, cluster: &Cluster, key: &ObjectKey, is_oldest: bool) -> ClusterReport {
    let contribution = cluster.contribution(key);
    let exported = matches!(
        contribution,
        Contribution::Exported(..) | Contribution::Invalid(..)
    );
    let says = match contribution {
        Contribution::None => "has no ServiceExport of this name".to_owned(),
        Contribution::Unknown => "its exports or Services were not listed yet".to_owned(),
        Contribution::Held(why, _) => {
            let why = describe_hold(why);
            format!("does not export it any more, and the deletion is held: {why}")
        }
        Contribution::Invalid(_, why) => format!("its ServiceExport has no effect: {}", cause(why)),
        Contribution::Exported(export, _) if is_oldest => {
            format!("exports it since {}, and takes precedence", export.created)
        }
        Contribution::Exported(export, _) => format!("exports it since {}", export.created),
    };
    let slices = cluster.slices.data().into_iter().flat_map(|it| it.of(key));
    let (mut n_slices, mut n_endpoints) = (0, 0);
    for (_, spec) in slices {
        n_slices += 1;
        n_endpoints += spec.map_or(0, |it| it.endpoints.len());
    }
    ClusterReport {
        cluster: id.as_str().to_owned(),
        state: state(cluster).to_owned(),
        exported,
        says,
        slices: n_slices,
        endpoints: n_endpoints,
    }
}

fn cause(why: Invalid<'_>) -> String {
    match why {
        Invalid::NoService => "there is no Service of this name".to_owned(),
        Invalid::ExternalName => "the Service has type ExternalName".to_owned(),
        Invalid::Managed => "the Service is itself a copy of another cluster's Service".to_owned(),
        Invalid::Unreadable(why) => format!("the Service cannot be read: {why}"),
        Invalid::Selectors(why) => format!("its cluster selectors are invalid: {why}"),
        Invalid::HeadlessSelectors => {
            "it has cluster selectors, and the Service is headless".to_owned()
        }
    }
}

/// Returns how current the resource is that is known least.
#[must_use]
pub fn state(cluster: &Cluster) -> &'static str {
    let is_unlisted = cluster.exports.is_unlisted()
        || cluster.services.is_unlisted()
        || cluster.slices.is_unlisted();
    if is_unlisted {
        "unsynced"
    } else if cluster.is_stale() {
        "stale"
    } else {
        "synced"
    }
}

fn conclusion(
    set: &ClusterSet,
    key: &ObjectKey,
    (exporters, due): (&[&str], &[String]),
    problems: &[ImportProblem],
) -> String {
    if let Some(ImportProblem { message, .. }) = problems.first() {
        return message.clone();
    }
    let unheard = set
        .clusters()
        .iter()
        .filter(|(_, it)| state(it) == "unsynced");
    let unheard: Vec<_> = unheard.map(|(id, _)| id.as_str()).collect();
    if exporters.is_empty() && !unheard.is_empty() {
        return format!(
            "clusters {} were not listed yet, so whether {key} is exported is not known; see \
             heliograph status",
            unheard.join(", ")
        );
    }
    if exporters.is_empty() {
        return format!(
            "no cluster of the set exports {key}; create a ServiceExport of this name in the \
             namespace of the Service"
        );
    }
    let namespaces = set.local().namespaces.data();
    if !namespaces.is_some_and(|it| it.contains(key.namespace())) {
        return format!(
            "the local cluster has no namespace {}, so {key} is not imported; create it",
            key.namespace()
        );
    }
    if let Some(first) = due.first() {
        return format!("a write is due ({first}); ask again in a moment");
    }
    let exporters = exporters.join(", ");
    let derived = name::derived_service(key);
    format!(
        "{key} is imported as its clusters export it ({exporters}); if connections fail, check \
         CoreDNS for the zone clusterset.local, kube-proxy for Service {derived}, and the route \
         to the endpoints"
    )
}

impl ImportProblem {
    /// Returns whether it is one of the ServiceExport, and not of the ServiceImport.
    #[must_use]
    pub fn is_of_export(&self) -> bool {
        let of_exports = [
            Reason::ExportConflict,
            Reason::ExportInvalid,
            Reason::ExportNotAllowed,
        ];
        of_exports.iter().any(|it| it.as_str() == self.reason)
    }
}

impl ImportExplanation {
    /// Returns whether a cluster has a ServiceExport of the name, or something is wrong or due.
    #[must_use]
    pub fn has_export(&self) -> bool {
        let is_exported = self.clusters.iter().any(|it| it.exported);
        is_exported || !self.problems.is_empty() || !self.due.is_empty()
    }
}

impl fmt::Display for ImportExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ServiceImport {}, {}", self.import, self.host)?;
        for it in &self.clusters {
            write!(f, "  cluster {} ({}): {}", it.cluster, it.state, it.says)?;
            if it.exported {
                let (slices, endpoints) = (it.slices, it.endpoints);
                write!(f, "; {slices} EndpointSlices with {endpoints} endpoints")?;
            }
            writeln!(f)?;
        }
        if !self.selection.is_empty() {
            writeln!(f, "  {}", self.selection)?;
        }
        for due in &self.due {
            writeln!(f, "  due: {due}")?;
        }
        for conflict in &self.conflicts {
            writeln!(f, "  {conflict}")?;
        }
        for problem in &self.problems {
            writeln!(f, "  {}: {}", problem.reason, problem.message)?;
        }
        writeln!(f, "Conclusion: {}", self.conclusion)
    }
}
