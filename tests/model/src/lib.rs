//! Exhaustive model of the protocol of evidence: one source cluster with two emitter replicas,
//! a relay, a reflector and two objects.
//!
//! Every program decides by [`proto_types::evidence::evaluate`], the function that production
//! uses. A model takes the function as a value, so that a test can plant a defect in it.
//! [`stateright`] visits every state that the faults of a [`Budget`] can reach.
//!
//! Assumptions: an etcd restore breaks the watches of all emitters, and they notice it: it
//! stops the API server, so that connections to it close. A server does not open a watch from
//! a resource version that it has not reached (an emitter ends it by a bookmark at once).

mod fleet;
mod node;
mod truth;

use proto_types::evidence::{Evidence, Known, Ruling, evaluate};
use stateright::{Model, Property};

pub use fleet::{Budget, Fleet, Server, Step};

/// Decision about an answer.
pub type Judge = fn(&Known, &Evidence) -> Ruling;

/// Fleet in which no more than these faults happen.
#[derive(Clone)]
pub struct Protocol {
    /// Decision function.
    pub judge: Judge,
    /// Faults.
    pub budget: Budget,
}

impl Protocol {
    /// Fleet that decides as production does.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self {
            judge: evaluate,
            budget,
        }
    }
}

impl Model for Protocol {
    type State = Fleet;
    type Action = Step;

    fn init_states(&self) -> Vec<Fleet> {
        vec![Fleet::new(self.budget)]
    }

    fn actions(&self, fleet: &Fleet, steps: &mut Vec<Step>) {
        steps.extend(fleet.steps());
    }

    fn next_state(&self, fleet: &Fleet, step: Step) -> Option<Fleet> {
        let mut next = fleet.clone();
        next.take(step, self.judge);
        (next != *fleet).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no wrong delete", |_, fleet: &Fleet| {
                !fleet.has_deleted_wrongly()
            }),
            Property::always("eventually right", |model: &Self, fleet: &Fleet| {
                fleet.clone().heals(model.judge)
            }),
        ]
    }
}

#[cfg(test)]
mod tests;
