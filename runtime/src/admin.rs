//! Liveness, readiness and metrics over HTTP.
//!
//! Probes answer as Kubernetes' own do: `ok`, or one line per check.

mod guard;
mod host;
mod readiness;
mod review;
mod serve;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use prometheus_client::registry::Registry;

pub use guard::Guard;
pub use host::own_host;
pub use readiness::{Flag, Readiness, asks_for_details};
pub use serve::{MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, MAX_HEAD, serve, within_machine};

const PLAIN: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/livez`, `/healthz` and `/readyz`.
pub fn probes(readiness: Readiness) -> Router {
    Router::new()
        .route(
            "/livez",
            get(async |query| probe(&Readiness::default(), "livez", &query)),
        )
        .route(
            "/healthz",
            get(async |query| probe(&Readiness::default(), "healthz", &query)),
        )
        .route("/readyz", get(readyz))
        .with_state(readiness)
}

/// `/metrics`.
pub fn metrics(metrics: Arc<Registry>) -> Router {
    Router::new()
        .route("/metrics", get(exposition))
        .with_state(metrics)
}

/// Returns the registered metrics as OpenMetrics text.
pub fn encode(metrics: &Registry) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
    }
}

async fn readyz(State(readiness): State<Readiness>, query: RawQuery) -> Response {
    probe(&readiness, "readyz", &query)
}

async fn exposition(State(metrics): State<Arc<Registry>>) -> Response {
    encode(&metrics)
}

fn probe(readiness: &Readiness, endpoint: &str, RawQuery(query): &RawQuery) -> Response {
    let verbose = asks_for_details(query.as_deref());
    let (status, body) = readiness.report(endpoint, verbose);
    (status, [(header::CONTENT_TYPE, PLAIN)], body).into_response()
}

#[cfg(test)]
mod tests;
