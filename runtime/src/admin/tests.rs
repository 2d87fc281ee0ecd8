use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use prometheus_client::metrics::counter::Counter;
use tower::ServiceExt;

use super::*;

#[track_caller]
fn is_probe(answer: &(u16, String, String), status: u16, body: &str) {
    assert_eq!(answer, &(status, PLAIN.to_owned(), body.to_owned()));
}

async fn get(router: &Router, path: &str) -> (u16, String, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let content_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
    let (status, content_type) = (response.status().as_u16(), content_type.to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (
        status,
        content_type,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn a_program_that_is_not_ready_is_alive() {
    let readiness = Readiness::default();
    let flag = readiness.flag("services", "not listed yet");
    let router = router(readiness, Arc::default());
    is_probe(&get(&router, "/livez").await, 200, "ok");
    is_probe(
        &get(&router, "/healthz?verbose").await,
        200,
        "[+]ping ok\nhealthz check passed\n",
    );
    is_probe(
        &get(&router, "/readyz").await,
        500,
        "[+]ping ok\n[-]services failed: not listed yet\nreadyz check failed\n",
    );
    flag.raise();
    is_probe(&get(&router, "/readyz").await, 200, "ok");
}

#[tokio::test]
async fn metrics_are_open_metrics_text() {
    let mut metrics = Registry::default();
    let counter: Counter = Counter::default();
    metrics.register("events", "Events that were read", counter.clone());
    counter.inc();
    let router = router(Readiness::default(), Arc::new(metrics));
    let (status, content_type, body) = get(&router, "/metrics").await;
    assert_eq!((status, content_type.as_str()), (200, OPEN_METRICS));
    assert!(body.contains("events_total 1\n"), "{body}");
    assert!(body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn serving_ends_at_shutdown() {
    let listener = crate::listen::bind(([127, 0, 0, 1], 0).into(), "--admin");
    let listener = listener.unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let router = router(Readiness::default(), Arc::default());
    serve(listener, router, shutdown).await.unwrap();
}
