//! Answers about the clusterset: its status, and why an import is as it is.

use proto_types::ObjectKey;
use reflector_clusterset::api::Version;
use reflector_clusterset::{ClusterSet, ImportExplanation, ImportProblem, actions, explain, plan};

use super::controller::{Controller, now};
use super::question::{Answered, Question};
use super::report;
use crate::status::{ClusterSetStatus, ClusterStatus, ProblemStatus};

/// Explains an import by the state of the clusterset.
pub(super) fn explained(
    set: &ClusterSet,
    version: Option<Version>,
    key: &ObjectKey,
) -> Option<ImportExplanation> {
    let plan = plan(set, key)?;
    let due = version.map(|version| actions(set, key, &plan, version, &now()));
    Some(explain(set, key, &plan, &due.unwrap_or_default()))
}

impl Controller {
    /// Answers a question; the receiver may have left.
    pub(super) fn answer(&self, question: Question) {
        match question {
            Question::Status(asker) => drop(asker.send(Answered {
                status: self.status(),
                held: report::held(&self.set),
                problems: self.problems_of_all(),
            })),
            Question::Explain(key, asker) => {
                drop(asker.send(explained(&self.set, self.version, &key)));
            }
        }
    }

    fn status(&self) -> ClusterSetStatus {
        let settings = self.set.settings();
        let clusters = self.set.clusters().iter().map(|(id, cluster)| {
            let failures = self.failures.iter();
            let mut of_this = failures.filter(|((cluster, _), _)| cluster == id);
            ClusterStatus {
                name: id.as_str().to_owned(),
                state: reflector_clusterset::explain::state(cluster).to_owned(),
                exports: cluster.exports.data().map_or(0, |it| it.len()),
                last_error: of_this.next().map(|(_, why)| why.clone()),
            }
        });
        ClusterSetStatus {
            name: settings.name.to_string(),
            cluster: settings.local.as_str().to_owned(),
            api_version: self.version.map(|it| it.as_str().to_owned()),
            imports: self.set.local().imports.data().map_or(0, |it| it.len()),
            queue_depth: self.queue.len(),
            clusters: clusters.collect(),
        }
    }

    fn problems_of_all(&self) -> Vec<ProblemStatus> {
        let source = self.set.settings().local.as_str();
        let problem = |key: &ObjectKey, it: &ImportProblem| ProblemStatus {
            reason: it.reason.clone(),
            object: key.to_string(),
            source: source.to_owned(),
            message: it.message.clone(),
        };
        let all = self.problems.iter();
        all.flat_map(|(key, problems)| problems.iter().map(move |it| problem(key, it)))
            .collect()
    }
}
