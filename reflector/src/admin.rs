//! The admin port: what every program has, `/status`, `/explain`, and the pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use prometheus_client::registry::Registry;
use proto_types::{ObjectKey, escape};
use runtime::Readiness;
use runtime::admin::{Guard, own_host};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::clusterset;
use crate::metrics::propagation::History;
use crate::page;
use crate::queries::{QueryChannels, Question};

/// `/livez`, `/readyz`, `/metrics`, `/status`, `/explain`, `/imports` and the pages.
///
/// Probes are open to all clients, the rest to those that the guard allows.
pub(crate) fn router(
    readiness: Readiness,
    (metrics, history): (Arc<Registry>, History),
    questions: QueryChannels,
    guard: Guard,
    shutdown: CancellationToken,
) -> Router {
    let status = Router::new()
        .route("/status", get(status))
        .route("/explain/{namespace}/{name}", get(explain))
        .route("/imports/{namespace}/{name}", get(import))
        .with_state(questions.clone())
        .merge(page::router(
            questions,
            (Arc::clone(&metrics), history),
            shutdown,
        ));
    let guarded = runtime::admin::metrics(metrics).merge(status);
    runtime::admin::probes(readiness).merge(guard.protect(own_host(guarded)))
}

async fn status(State(questions): State<QueryChannels>) -> Response {
    respond(questions.status().await)
}

async fn explain(
    State(questions): State<QueryChannels>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let service = ObjectKey::new(&namespace, &name);
    let explanations = questions.query(|asker| Question::Explain(service, asker));
    respond(explanations.await)
}

/// Explains an import; `null` where there is no clusterset.
async fn import(
    State(questions): State<QueryChannels>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let import = ObjectKey::new(&namespace, &name);
    let question = |asker| clusterset::Question::Explain(import, asker);
    respond(Some(questions.query_cluster_set(question).await.flatten()))
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
