//! One line for many problems of a kind: a source that fails has thousands at once.

use std::collections::BTreeMap;

use reflector_planner::{Problem, SourceName};
use tracing::{info, warn};

/// Problems that began and ended since the last report.
#[derive(Debug, Default)]
pub(crate) struct ProblemLog {
    came: Batches,
    went: Batches,
}

type Batches = BTreeMap<(SourceName, &'static str), Batch>;

/// Problems of one source and reason.
#[derive(Debug)]
struct Batch {
    first: Problem,
    /// The objects of the next ones.
    others: Vec<String>,
    n_others: usize,
}

// Enough to see what they have in common.
const MAX_NAMED: usize = 5;

impl ProblemLog {
    /// A problem came.
    pub(crate) fn came(&mut self, problem: &Problem) {
        add(&mut self.came, problem);
    }

    /// A problem went.
    pub(crate) fn went(&mut self, problem: &Problem) {
        add(&mut self.went, problem);
    }

    /// Tells the log, one line for each source and reason.
    pub(crate) fn log(&mut self) {
        for ((source, reason), batch) in std::mem::take(&mut self.came) {
            let n = batch.n_others + 1;
            warn!(%source, reason, n, "{batch}");
        }
        for ((source, reason), batch) in std::mem::take(&mut self.went) {
            let n = batch.n_others + 1;
            info!(%source, reason, n, "no more: {batch}");
        }
    }
}

fn add(batches: &mut Batches, problem: &Problem) {
    let kind = (problem.source.clone(), problem.cause.reason());
    let Some(batch) = batches.get_mut(&kind) else {
        let batch = Batch {
            first: problem.clone(),
            others: Vec::new(),
            n_others: 0,
        };
        batches.insert(kind, batch);
        return;
    };
    batch.n_others += 1;
    if batch.others.len() < MAX_NAMED {
        batch.others.push(problem.object.to_string());
    }
}

impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            first,
            others,
            n_others,
        } = self;
        first.fmt(f)?;
        if 0 < *n_others {
            let more = if others.len() < *n_others {
                ", ..."
            } else {
                ""
            };
            write!(f, " (and {n_others} more: {}{more})", others.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::ProblemLog;
    use proto_types::ObjectKey;
    use reflector_planner::{Problem, ProblemCause};

    fn problem(object: &str, cause: ProblemCause) -> Problem {
        Problem {
            source: "east".parse().unwrap(),
            object: ObjectKey::parse(object).unwrap(),
            cause,
        }
    }

    #[test]
    fn a_thousand_of_a_kind_are_one_line_with_the_first_names() {
        let mut digest = ProblemLog::default();
        for i in 0..1000 {
            digest.came(&problem(
                &format!("demo/web-{i}"),
                ProblemCause::SourceRemoved,
            ));
        }
        let namespace = "demo".into();
        digest.came(&problem(
            "demo/x",
            ProblemCause::NamespaceNotFound { namespace },
        ));
        let lines: Vec<_> = digest.came.values().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0],
            "Service demo/x of source east: not mirrored, because namespace demo does not exist \
             here; create it, or set createNamespace: true for the source"
        );
        assert!(lines[1].starts_with("Service demo/web-0 of source east: its mirror stays"));
        assert!(lines[1].ends_with(
            " (and 999 more: demo/web-1, demo/web-2, demo/web-3, demo/web-4, demo/web-5, ...)"
        ));
        digest.log();
        assert!(digest.came.is_empty());
    }
}
