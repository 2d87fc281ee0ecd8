//! Queries to the controllers, which own the state.

use std::collections::HashMap;

use proto_types::ObjectKey;
use reflector_planner::Explanation;
use reflector_planner::inspect::{Found, Member, Search};
use tokio::sync::{mpsc, oneshot};

use crate::clusterset;
use crate::status::Status;

/// Number of mirror Services by source.
pub(crate) type Mirrored = HashMap<Box<str>, usize>;

/// Channels to the controllers, for requests of the admin port.
#[derive(Clone)]
pub(crate) struct QueryChannels {
    /// The controller of mirrors and global Services.
    pub(crate) controller: mpsc::Sender<Question>,
    /// The controller of the clusterset, where there is one.
    pub(crate) cluster_set: Option<mpsc::Sender<clusterset::Question>>,
}

impl QueryChannels {
    /// Creates the channels; returns the receivers of the two controllers.
    pub(crate) fn new(
        has_cluster_set: bool,
    ) -> (
        Self,
        mpsc::Receiver<Question>,
        mpsc::Receiver<clusterset::Question>,
    ) {
        let (controller, asked) = mpsc::channel(1);
        let (set, asked_of_set) = mpsc::channel(1);
        let questions = Self {
            controller,
            cluster_set: has_cluster_set.then_some(set),
        };
        (questions, asked, asked_of_set)
    }

    /// Sends a question to the controller; returns `None` if it is shutting down.
    pub(crate) async fn query<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.controller.send(question(sender)).await.ok()?;
        receiver.await.ok()
    }

    /// Returns the status, with that of the clusterset.
    pub(crate) async fn status(&self) -> Option<Status> {
        let mut status = self.query(Question::Status).await?;
        if let Some(answered) = self.query_cluster_set(clusterset::Question::Status).await {
            let clusterset::Answered {
                status: set,
                held,
                problems,
            } = answered;
            status.cluster_set = Some(Box::new(set));
            status.held.extend(held);
            if status.leads {
                status.problems.extend(problems);
            }
        }
        Some(status)
    }

    /// Asks the controller of the clusterset, if there is one.
    pub(crate) async fn query_cluster_set<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> clusterset::Question,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let set = self.cluster_set.as_ref()?;
        set.send(question(sender)).await.ok()?;
        receiver.await.ok()
    }
}

/// Question to the controller.
#[derive(Debug)]
pub(crate) enum Question {
    /// Status of the reflector.
    Status(oneshot::Sender<Status>),
    /// Number of mirror Services of each source.
    Mirrored(oneshot::Sender<Mirrored>),
    /// Explanation of the state of a Service.
    Explain(ObjectKey, oneshot::Sender<Vec<Explanation>>),
    /// Services that a search finds.
    Find(Search, oneshot::Sender<Found>),
    /// Members of a local Service, each with at most that many endpoints.
    Members(ObjectKey, usize, oneshot::Sender<Vec<Member>>),
}
