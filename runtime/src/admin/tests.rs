use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
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
    let router = probes(readiness);
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
    let router = super::metrics(Arc::new(metrics));
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
    let router = probes(Readiness::default());
    serve(listener, router, shutdown).await.unwrap();
}

/// A server on a loopback port, until the token is dropped.
struct Lab {
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    _tasks: tokio::task::JoinSet<std::io::Result<()>>,
}

impl Lab {
    fn new(router: Router) -> Self {
        let listener = crate::listen::bind(([127, 0, 0, 1], 0).into(), "--admin").unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve(listener, router, shutdown.clone()));
        Self {
            address,
            shutdown,
            _tasks: tasks,
        }
    }

    async fn ask(&self, head: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        client
    }

    async fn answer(&self, head: &str) -> String {
        let mut text = String::new();
        let mut client = self.ask(head).await;
        // A connection that is reset has no answer.
        let _ = client.read_to_string(&mut text).await;
        text
    }
}

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn half_sent_heads_do_not_fill_the_port() {
    let lab = Lab::new(probes(Readiness::default()));
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS_PER_ADDRESS {
        held.push(lab.ask("GET /livez HTTP/1.1\r\n").await);
    }
    while !lab.answer(LIVEZ).await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    held.pop();
    while !lab.answer(LIVEZ).await.starts_with("HTTP/1.1 200") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    lab.shutdown.cancel();
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let lab = Lab::new(probes(Readiness::default()));
    let head = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(MAX_HEAD));
    let told = lab.answer(&head).await;
    assert!(!told.contains(" 200 "), "{told}");
}

mod guarded;
