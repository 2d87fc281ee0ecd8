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

use crate::page;
use crate::status::Status;

/// Where to ask the controller how things are.
pub(crate) type Questions = mpsc::Sender<Question>;

/// What the controller can be asked.
#[derive(Debug)]
pub(crate) enum Question {
    /// How things are.
    Status(oneshot::Sender<Status>),
    /// Why a Service is as it is.
    Explain(ObjectKey, oneshot::Sender<Vec<Explanation>>),
    /// Services that a search finds.
    Find(Search, oneshot::Sender<Found>),
    /// Members of a local Service, each with at most that many endpoints.
    Members(ObjectKey, usize, oneshot::Sender<Vec<Member>>),
}

/// `/livez`, `/readyz`, `/metrics`, `/status`, `/explain` and the pages.
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
        .with_state(questions.clone())
        .merge(page::router(questions, Arc::clone(&metrics), shutdown));
    let guarded = runtime::admin::metrics(metrics).merge(status);
    runtime::admin::probes(readiness).merge(guard.protect(own_host(guarded)))
}

async fn status(State(questions): State<Questions>) -> Response {
    answer(&questions, Question::Status).await
}

async fn explain(
    State(questions): State<Questions>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let service = ObjectKey::new(&namespace, &name);
    answer(&questions, |asker| Question::Explain(service, asker)).await
}

/// Asks the controller. Nothing is answered by one that ends.
pub(crate) async fn ask<T>(
    questions: &Questions,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    questions.send(question(sender)).await.ok()?;
    receiver.await.ok()
}

async fn answer<T: Serialize>(
    questions: &Questions,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Response {
    match ask(questions, question).await {
        Some(answer) => {
            let json = escape::json(&answer).expect("text and numbers encode");
            let json = json.to_string();
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response(),
    }
}
