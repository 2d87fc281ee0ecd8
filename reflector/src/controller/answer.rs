//! Answers about the state: status, explanations, and Services that are looked for.

use reflector_planner::{explain, inspect};

use super::Controller;
use crate::queries::Question;
use crate::source_objects::mirrored;

impl Controller {
    /// Answers a question; the receiver may have left.
    pub(super) fn answer(&self, question: Question) {
        match question {
            Question::Status(asker) => {
                let leads = self.leadership.holds();
                let mut status = self.report.status(&self.index, self.queue.len(), leads);
                status.identify(self.following.identities());
                status.write_error.clone_from(&self.unavailable);
                let lease = self.leadership.lease();
                (status.writer, status.lease_error) = (lease.holder, lease.error);
                let _ = asker.send(status);
            }
            Question::Mirrored(asker) => drop(asker.send(mirrored(&self.index))),
            Question::Explain(service, asker) => {
                let mut explanations = explain(&self.index, &service);
                for explanation in &mut explanations {
                    explanation.reasons.extend(self.why_not_written());
                }
                let _ = asker.send(explanations);
            }
            Question::Find(search, asker) => drop(asker.send(inspect::find(&self.index, &search))),
            Question::Members(service, n, asker) => {
                let _ = asker.send(inspect::members(&self.index, &service, n));
            }
        }
    }
}
