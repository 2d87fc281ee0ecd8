//! The admin port: what every program has, and `/status`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use prometheus_client::registry::Registry;
use runtime::Readiness;
use tokio::sync::{mpsc, oneshot};

use crate::status::Status;

/// Where to ask the controller how things are.
pub(crate) type Questions = mpsc::Sender<oneshot::Sender<Status>>;

/// `/livez`, `/readyz`, `/metrics` and `/status`.
pub(crate) fn router(readiness: Readiness, metrics: Arc<Registry>, questions: Questions) -> Router {
    let status = Router::new()
        .route("/status", get(status))
        .with_state(questions);
    runtime::admin::router(readiness, metrics).merge(status)
}

async fn status(State(questions): State<Questions>) -> Response {
    let (sender, receiver) = oneshot::channel();
    let answer = match questions.send(sender).await {
        Ok(()) => receiver.await.ok(),
        Err(_) => None,
    };
    match answer {
        Some(status) => {
            let json = serde_json::to_string(&status).expect("text and numbers encode");
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response(),
    }
}
