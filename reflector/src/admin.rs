//! The admin port: what every program has, `/status`, `/explain`, and the pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use prometheus_client::registry::Registry;
use proto_types::{ObjectKey, escape};
use reflector_planner::Explanation;
use reflector_planner::inspect::{Found, Member, Search};
use runtime::Readiness;
use runtime::admin::{Guard, own_host};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clusterset;
use crate::page;
use crate::source_objects::Mirrored;
use crate::status::Status;

/// Where to ask how things are.
#[derive(Clone)]
pub(crate) struct Questions {
    /// The controller of mirrors and global Services.
    pub(crate) controller: mpsc::Sender<Question>,
    /// The controller of the clusterset, where there is one.
    pub(crate) cluster_set: Option<mpsc::Sender<clusterset::Question>>,
}

impl Questions {
    /// Returns where to ask, and where each of the two controllers is asked.
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

    /// Asks the controller. Nothing is answered by one that ends.
    pub(crate) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.controller.send(question(sender)).await.ok()?;
        receiver.await.ok()
    }

    /// Asks how things are, in the clusterset too.
    pub(crate) async fn status(&self) -> Option<Status> {
        let mut status = self.ask(Question::Status).await?;
        if let Some((set, problems)) = self.ask_set(clusterset::Question::Status).await {
            status.cluster_set = Some(Box::new(set));
            if status.leads {
                status.problems.extend(problems);
            }
        }
        Some(status)
    }

    async fn ask_set<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> clusterset::Question,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let set = self.cluster_set.as_ref()?;
        set.send(question(sender)).await.ok()?;
        receiver.await.ok()
    }
}

/// What the controller can be asked.
#[derive(Debug)]
pub(crate) enum Question {
    /// How things are.
    Status(oneshot::Sender<Status>),
    /// Number of mirror Services of each source.
    Mirrored(oneshot::Sender<Mirrored>),
    /// Why a Service is as it is.
    Explain(ObjectKey, oneshot::Sender<Vec<Explanation>>),
    /// Services that a search finds.
    Find(Search, oneshot::Sender<Found>),
    /// Members of a local Service, each with at most that many endpoints.
    Members(ObjectKey, usize, oneshot::Sender<Vec<Member>>),
}

/// `/livez`, `/readyz`, `/metrics`, `/status`, `/explain`, `/imports` and the pages.
///
/// Probes are for everybody, the rest for those whom the guard admits.
pub(crate) fn router(
    readiness: Readiness,
    metrics: Arc<Registry>,
    questions: Questions,
    guard: Guard,
    shutdown: CancellationToken,
) -> Router {
    let status = Router::new()
        .route("/status", get(status))
        .route("/explain/{namespace}/{name}", get(explain))
        .route("/imports/{namespace}/{name}", get(import))
        .with_state(questions.clone())
        .merge(page::router(questions, Arc::clone(&metrics), shutdown));
    let guarded = runtime::admin::metrics(metrics).merge(status);
    runtime::admin::probes(readiness).merge(guard.protect(own_host(guarded)))
}

async fn status(State(questions): State<Questions>) -> Response {
    respond(questions.status().await)
}

async fn explain(
    State(questions): State<Questions>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let service = ObjectKey::new(&namespace, &name);
    let explanations = questions.ask(|asker| Question::Explain(service, asker));
    respond(explanations.await)
}

/// Explains an import; `null` where there is no clusterset.
async fn import(
    State(questions): State<Questions>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let import = ObjectKey::new(&namespace, &name);
    let question = |asker| clusterset::Question::Explain(import, asker);
    respond(Some(questions.ask_set(question).await.flatten()))
}

fn respond(answer: Option<impl Serialize>) -> Response {
    match answer {
        Some(answer) => {
            let json = escape::json(&answer).expect("text and numbers encode");
            let json = json.to_string();
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response(),
    }
}
