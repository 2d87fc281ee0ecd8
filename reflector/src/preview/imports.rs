//! Imports of a clusterset, as a configuration would make them.

use std::collections::BTreeMap;
use std::fmt;

use reflector_clusterset::explain::state;
use reflector_clusterset::{ClusterId, ImportAction, ImportPreview, previews};
use serde::Serialize;

use crate::clusterset::Read;
use crate::status::ClusterStatus;

/// Imports that would be written, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Imports {
    /// All clusters of the set.
    clusters: Vec<ClusterStatus>,
    /// Imports with writes, conflicts or problems.
    imports: Vec<ImportPreview>,
}

impl Imports {
    /// Returns the imports of clusters as they were read.
    pub(super) fn of(read: Read) -> Self {
        let Read {
            set,
            version,
            failures,
        } = read;
        let status = |id: &ClusterId, failures: &BTreeMap<ClusterId, String>| {
            let known = set.clusters().get(id);
            ClusterStatus {
                name: id.as_str().to_owned(),
                state: known.map_or("unsynced", state).to_owned(),
                exports: known
                    .and_then(|it| it.exports.data())
                    .map_or(0, |it| it.len()),
                last_error: failures.get(id).cloned(),
            }
        };
        let ids = set.clusters().keys();
        Self {
            clusters: ids.map(|it| status(it, &failures)).collect(),
            imports: previews(set, version, &crate::clusterset::now()),
        }
    }

    /// Returns the verbs of all writes.
    pub(super) fn actions(&self) -> impl Iterator<Item = &str> {
        let writes = self.imports.iter().flat_map(|it| &it.actions);
        writes.map(|it| it.action.as_str())
    }

    /// Returns whether a cluster was not read.
    pub(super) fn is_lost(&self) -> bool {
        self.clusters.iter().any(|it| it.state != "synced")
    }

    pub(super) fn has_problem(&self) -> bool {
        self.n_problems() != 0
    }

    /// Returns the number of problems, and of conflicts of other clusters.
    pub(super) fn n_problems(&self) -> usize {
        let of =
            |it: &ImportPreview| it.explanation.problems.len() + it.explanation.conflicts.len();
        self.imports.iter().map(of).sum()
    }
}

impl fmt::Display for Imports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for it in &self.clusters {
            let ClusterStatus {
                name,
                state,
                exports,
                last_error,
            } = it;
            match last_error {
                Some(why) => writeln!(f, "Cluster {name} is {state}: {why}")?,
                None => writeln!(f, "Cluster {name} is {state}, {exports} ServiceExports")?,
            }
        }
        for it in &self.imports {
            let explanation = &it.explanation;
            writeln!(
                f,
                "\nServiceImport {}, {}",
                explanation.import, explanation.host
            )?;
            for ImportAction {
                action,
                kind,
                object,
            } in &it.actions
            {
                writeln!(f, "  {action:7} {kind} {object}")?;
            }
            for said in explanation.clusters.iter().filter(|it| it.exported) {
                writeln!(f, "  cluster {}: {}", said.cluster, said.says)?;
            }
            for conflict in &explanation.conflicts {
                writeln!(f, "  {conflict}")?;
            }
            for problem in &explanation.problems {
                writeln!(f, "  {}: {}", problem.reason, problem.message)?;
            }
        }
        Ok(())
    }
}
