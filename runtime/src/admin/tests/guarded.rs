//! Paths that are not for everybody who reaches the port.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kube::client::Body as ClientBody;
use serde_json::{Value, json};

use super::*;

fn guarded(guard: Guard) -> Router {
    let status = Router::new()
        .route("/status", axum::routing::get(async || "all"))
        .route(
            "/explain/{namespace}/{name}",
            axum::routing::get(async || "all"),
        );
    let metrics = super::super::metrics(Arc::default());
    probes(Readiness::default()).merge(guard.protect(status.merge(metrics)))
}

async fn ask(router: &Router, peer: Option<&str>, path: &str, token: Option<&str>) -> u16 {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    if let Some(peer) = peer {
        let peer = serve::Peer(peer.parse().unwrap());
        request.extensions_mut().insert(peer);
    }
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let response = router.clone().oneshot(request).await.unwrap();
    response.status().as_u16()
}

const AWAY: Option<&str> = Some("10.0.0.1");

#[tokio::test]
async fn protected_paths_are_for_the_machine_itself_or_for_a_token_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    std::fs::write(&file, "secret\n\nother\n").unwrap();
    let router = guarded(Guard::new(Some(file)));
    for path in ["/status", "/metrics", "/explain/a/b"] {
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(ask(&router, Some(peer), path, None).await, 200, "{peer}");
        }
        // What a sidecar passes on comes from another loopback address.
        for peer in [AWAY, None, Some("127.0.0.6"), Some("::ffff:10.0.0.1")] {
            assert_eq!(ask(&router, peer, path, None).await, 401, "{peer:?}");
        }
        for (token, code) in [("secret", 200), ("other", 200), ("", 401), ("secre", 401)] {
            assert_eq!(ask(&router, AWAY, path, Some(token)).await, code, "{token}");
        }
    }
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(ask(&router, AWAY, path, None).await, 200, "{path}");
    }
    let lab = Lab::new(router);
    let told = lab
        .answer("GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert!(told.ends_with("all"), "{told}");
}

/// An API server that knows the tokens `reader` and `stranger`.
fn api_server(n_asked: &Arc<AtomicUsize>) -> kube::Client {
    let n_asked = Arc::clone(n_asked);
    let service = tower::service_fn(move |request: Request<ClientBody>| {
        n_asked.fetch_add(1, Ordering::Relaxed);
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            let review: Value = serde_json::from_slice(&body).unwrap();
            let spec = &review["spec"];
            let status = match review["kind"].as_str() {
                Some("TokenReview") => match spec["token"].as_str() {
                    Some("invented") | None => json!({"authenticated": false}),
                    Some(name) => json!({"authenticated": true, "user": {
                        "username": name, "groups": ["g"], "extra": {"scope": ["s"]}}}),
                },
                _ => {
                    assert_eq!(spec["groups"], json!(["g"]));
                    assert_eq!(spec["extra"], json!({"scope": ["s"]}));
                    let attributes = &spec["nonResourceAttributes"];
                    assert_eq!(attributes["verb"], "get");
                    let is_allowed = spec["user"] == "reader" && attributes["path"] == "/metrics";
                    json!({"allowed": is_allowed})
                }
            };
            let answer = json!({"status": status}).to_string();
            let answer = http::Response::new(ClientBody::from(answer.into_bytes()));
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(answer)
        }
    });
    kube::Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn users_read_what_the_api_server_allows_them() {
    let n_asked = Arc::default();
    let router = guarded(Guard::default().with_reviews(api_server(&n_asked)));
    assert_eq!(ask(&router, AWAY, "/metrics", Some("reader")).await, 200);
    assert_eq!(ask(&router, AWAY, "/status", Some("reader")).await, 403);
    assert_eq!(ask(&router, AWAY, "/metrics", Some("stranger")).await, 403);
    assert_eq!(n_asked.load(Ordering::Relaxed), 6);
    let begin = tokio::time::Instant::now();
    assert_eq!(ask(&router, AWAY, "/metrics", Some("invented")).await, 401);
    assert_eq!(
        begin.elapsed(),
        Duration::from_secs(1),
        "it may not ask at once"
    );
    assert_eq!(ask(&router, AWAY, "/livez", Some("invented")).await, 200);
    assert_eq!(n_asked.load(Ordering::Relaxed), 7);
}

#[tokio::test(start_paused = true)]
async fn invented_tokens_of_one_address_keep_nobody_else_out() {
    let n_asked = Arc::default();
    let router = guarded(Guard::default().with_reviews(api_server(&n_asked)));
    let flood = (0..50).map(|_| ask(&router, AWAY, "/metrics", Some("invented")));
    let honest = async {
        tokio::task::yield_now().await;
        ask(&router, Some("10.0.0.2"), "/metrics", Some("reader")).await
    };
    let (codes, honest) = tokio::join!(futures::future::join_all(flood), honest);
    assert_eq!(honest, 200);
    let n_busy = codes.iter().filter(|it| **it == 429).count();
    assert_eq!((n_busy, codes.len()), (48, 50));
    assert_eq!(n_asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_missing_permission_is_told() {
    let service = tower::service_fn(async |_: Request<ClientBody>| {
        let mut answer = http::Response::new(ClientBody::empty());
        *answer.status_mut() = StatusCode::FORBIDDEN;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(answer)
    });
    let client = kube::Client::new(service, "default");
    let router = guarded(Guard::default().with_reviews(client));
    let mut request = Request::get("/metrics").body(Body::empty()).unwrap();
    let value = "Bearer x".parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 401);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let told = String::from_utf8_lossy(&body).into_owned();
    assert!(told.contains("may not create a TokenReview"), "{told}");
}
