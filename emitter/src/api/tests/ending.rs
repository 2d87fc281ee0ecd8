//! How watches end that could have gone on.

use http_body_util::BodyExt;
use proto_types::ResourceVersion;
use runtime::watcher::Event;

use crate::health::UpstreamHealth;

use super::{Arc, Body, Duration, Lab, Request, Stream};

#[tokio::test]
async fn shutdown_ends_watches_cleanly() {
    let lab = Lab::with(&["a"]);
    let mut watch = lab.watch("resourceVersion=100").await;
    lab.shutdown.cancel();
    assert_eq!(watch.line().await, None);
}

#[tokio::test]
async fn shutdown_leaves_a_bookmark_to_resume_from_where_that_is_allowed() {
    let lab = Lab::with(&["a"]);
    let mut watch = lab.watch("resourceVersion=100&allowWatchBookmarks=1").await;
    lab.tell(Event::Progress(ResourceVersion::new(150)));
    lab.shutdown.cancel();
    assert_eq!(watch.events().await, ["BOOKMARK @150"]);
    assert_eq!(watch.line().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_ahead_gets_no_bookmark() {
    let lab = Lab::with(&["a"]);
    let path =
        "/api/v1/services?watch=1&resourceVersion=200&allowWatchBookmarks=1&timeoutSeconds=130";
    let request = Request::get(path).body(Body::empty()).unwrap();
    let (_, _, mut body) = lab.send(request).await;
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_tells_whether_the_upstream_is_disconnected() {
    let lab = Lab::with(&["a"]);
    let health = Arc::new(UpstreamHealth::default());
    health.mark_disconnected("services", "no connection".to_owned());
    let path = "/api/v1/services?watch=1&resourceVersion=100&allowWatchBookmarks=1";
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Arc::clone(&health));
    let (_, _, body) = lab.send(request).await;
    let mut watch = Stream(body);
    let is_marked = |line: Option<String>| {
        line.unwrap()
            .contains(r#""annotations":{"heliograph.dev/upstream":"disconnected"}"#)
    };
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(is_marked(watch.line().await));
    health.mark_connected("services");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(!is_marked(watch.line().await));
}
