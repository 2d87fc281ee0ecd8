//! Problems of plans: metrics, log and Events, which only the writer has.

use std::collections::BTreeSet;

use reflector_planner::{MirrorKey, Problem};

use super::StatusReporter;
use crate::events::ProblemEvent;
use crate::metrics::{Labels, of_problem};

impl StatusReporter {
    /// A plan has these problems, about a mirror that may exist.
    pub(crate) fn planned(&mut self, key: &MirrorKey, uid: Option<&str>, problems: Vec<Problem>) {
        let now: BTreeSet<_> = problems.into_iter().collect();
        let before = self.problems.remove(key).unwrap_or_default();
        for problem in now.difference(&before) {
            self.digest.came(problem);
            if self.leads {
                self.announcer.announce(ProblemEvent::of(problem, key, uid));
                self.metrics.problems.get_or_create(&label(problem)).inc();
            }
        }
        for problem in before.difference(&now) {
            self.digest.went(problem);
            if self.leads {
                self.announcer
                    .withdraw(&ProblemEvent::of(problem, key, uid));
                self.metrics.problems.get_or_create(&label(problem)).dec();
            }
        }
        if !now.is_empty() {
            self.problems.insert(key.clone(), now);
        }
    }

    /// Records whether this process writes. State that only a writer has is in the metrics of that
    /// one alone, and in its Events.
    pub(crate) fn leads(&mut self, leads: bool) {
        if std::mem::replace(&mut self.leads, leads) == leads {
            return;
        }
        if leads {
            self.conditions
                .all()
                .for_each(|it| self.announcer.announce(it));
        } else {
            self.announcer.withdraw_all();
        }
        for (key, problems) in &self.problems {
            for problem in problems {
                let gauge = self.metrics.problems.get_or_create(&label(problem));
                if leads {
                    gauge.inc();
                    self.announcer
                        .announce(ProblemEvent::of(problem, key, None));
                } else {
                    gauge.dec();
                }
            }
        }
    }
}

fn label(problem: &Problem) -> Labels<2> {
    of_problem(&problem.source, problem.cause.reason())
}
