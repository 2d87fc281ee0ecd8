//! The API without a socket: requests in, answers out.

use std::time::Duration;

use axum::body::Body;
use emitter_cache::view_filter::ServiceIndex;
use emitter_cache::{Fields, Limits};
use http_body_util::BodyExt;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use proto_types::{RawObject, Resource, ResourceVersion};
use runtime::watcher::{Event, Listing};
use tower::ServiceExt;

use super::{
    Api, Arc, CancellationToken, Documents, HeaderMap, Metrics, Request, Router, StatusCode,
    WatchCache, router,
};

mod arbitrary;
mod documents;
mod ending;
mod exports;
mod granted;
mod large;
mod protobuf;
mod resuming;
mod slow;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// An emitter's API in front of an upstream that the test plays.
struct Lab {
    router: Router,
    services: Arc<WatchCache>,
    slices: Arc<WatchCache>,
    owners: Arc<ServiceIndex>,
    shutdown: CancellationToken,
}

impl Lab {
    /// Nothing has been listed yet.
    fn unsynced() -> Self {
        Self::serving(&[])
    }

    /// The same, with further caches.
    fn serving(further: &[Arc<WatchCache>]) -> Self {
        runtime::client::install_crypto();
        let caches = Resource::ALL
            .map(|resource| Arc::new(WatchCache::new(resource, Fields::All, Limits::default())));
        let owners = Arc::default();
        let served = [&caches, further].concat();
        crate::watch_cache::join(&caches[0], &served[1..], &owners);
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = kube::Client::try_from(nowhere).unwrap();
        let shutdown = CancellationToken::new();
        let api = Api {
            caches: served,
            documents: Documents::new(client),
            metrics: Metrics::register(&mut Registry::default()),
            shutdown: shutdown.clone(),
        };
        Self {
            router: router(Arc::new(api)),
            services: Arc::clone(&caches[0]),
            slices: Arc::clone(&caches[1]),
            owners,
            shutdown,
        }
    }

    /// Services of these names have been listed at resource version 100.
    fn with(names: &[&str]) -> Self {
        let lab = Self::unsynced();
        let objects = names
            .iter()
            .zip(1..)
            .map(|(name, revision)| service(name, revision));
        lab.list(100, objects.collect());
        lab
    }

    fn list(&self, revision: u64, objects: Vec<RawObject>) {
        let listing = Listing::confirmed(ResourceVersion::new(revision), objects);
        self.tell(Event::Listed(listing));
    }

    fn tell(&self, event: Event) {
        self.services.ingest(event, Timestamp::now());
    }

    async fn send(&self, request: Request) -> (StatusCode, HeaderMap, Body) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self
            .send(Request::get(path).body(Body::empty()).unwrap())
            .await;
        (status.as_u16(), text(body).await)
    }

    async fn watch(&self, query: &str) -> Stream {
        let path = format!("/api/v1/services?watch=1&{query}");
        let (status, _, body) = self
            .send(Request::get(path).body(Body::empty()).unwrap())
            .await;
        assert_eq!(status, 200);
        Stream(body)
    }
}

/// An open watch.
struct Stream(Body);

impl Stream {
    async fn line(&mut self) -> Option<String> {
        let frame = tokio::time::timeout(Duration::from_secs(5), self.0.frame());
        let frame = frame.await.expect("a frame comes in time")?.unwrap();
        let data = frame.into_data().unwrap();
        Some(String::from_utf8(data.to_vec()).unwrap())
    }

    /// Event type and object name, for each of the next lines.
    async fn events<const N: usize>(&mut self) -> [String; N] {
        let mut events = [const { String::new() }; N];
        for event in &mut events {
            let line = self.line().await.expect("the watch goes on");
            let json: serde_json::Value = serde_json::from_str(&line).unwrap();
            let name = json["object"]["metadata"]["name"]
                .as_str()
                .unwrap_or_default();
            let revision = json["object"]["metadata"]["resourceVersion"]
                .as_str()
                .unwrap_or("-");
            let event_type = json["type"].as_str().unwrap();
            *event = format!("{event_type} {name}@{revision}");
        }
        events
    }
}

fn service(name: &str, revision: u64) -> RawObject {
    labelled(name, revision, "x")
}

fn labelled(name: &str, revision: u64, tier: &str) -> RawObject {
    let json = format!(
        r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"demo","uid":"{name}","resourceVersion":"{revision}","labels":{{"tier":"{tier}"}}}},"spec":{{"type":"ClusterIP"}}}}"#
    );
    RawObject::parse(Resource::Services, &json.into()).unwrap()
}

async fn text(body: Body) -> String {
    let bytes = body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_list_is_made_of_the_upstreams_bytes() {
    let lab = Lab::with(&["web"]);
    let (code, body) = lab.get("/api/v1/namespaces/demo/services").await;
    assert_eq!(code, 200);
    assert_eq!(
        body,
        concat!(
            r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"100"},"items":["#,
            r#"{"metadata":{"name":"web","namespace":"demo","uid":"web","resourceVersion":"1","labels":{"tier":"x"}},"spec":{"type":"ClusterIP"}}]}"#,
            "\n"
        )
    );
    let (code, body) = lab.get("/api/v1/namespaces/other/services").await;
    assert_eq!((code, body.contains(r#""items":[]"#)), (200, true));
}

#[tokio::test]
async fn one_object_is_found_or_not() {
    let lab = Lab::with(&["web"]);
    let (code, body) = lab.get("/api/v1/namespaces/demo/services/web").await;
    assert_eq!(
        (code, body.starts_with(r#"{"kind":"Service","#)),
        (200, true)
    );
    let (code, body) = lab.get("/api/v1/namespaces/demo/services/db").await;
    assert_eq!(code, 404);
    assert!(body.contains(r#"services \"db\" not found"#), "{body}");
}

#[tokio::test]
async fn before_the_first_list_everybody_is_asked_to_come_back() {
    let lab = Lab::unsynced();
    for path in [
        "/api/v1/services",
        "/api/v1/services?watch=1",
        "/api/v1/namespaces/a/services/b",
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (status, headers, _) = lab.send(request).await;
        assert_eq!(
            (status.as_u16(), headers["retry-after"].to_str().unwrap()),
            (429, "1"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn pages_lead_through_a_list_of_one_moment() {
    let lab = Lab::with(&["a", "b", "c"]);
    let (_, first) = lab.get("/api/v1/services?limit=2").await;
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    let token = first["metadata"]["continue"].as_str().unwrap();

    lab.tell(Event::Applied(service("bb", 101)));
    let (_, second) = lab
        .get(&format!("/api/v1/services?limit=2&continue={token}"))
        .await;
    let second: serde_json::Value = serde_json::from_str(&second).unwrap();
    assert_eq!(second["metadata"]["resourceVersion"], "100");
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
    assert_eq!(second["items"][0]["metadata"]["name"], "c");

    let (code, _) = lab.get("/api/v1/services?limit=2&continue=garbage").await;
    assert_eq!(code, 400);
}

#[tokio::test]
async fn a_revision_that_never_comes_is_too_large() {
    let lab = Lab::with(&["web"]);
    let (code, body) = lab.get("/api/v1/services?resourceVersion=101").await;
    assert_eq!(code, 504);
    assert!(
        body.contains("Too large resource version: 101, current: 100"),
        "{body}"
    );
    let (code, _) = lab
        .get("/api/v1/services?resourceVersion=99&resourceVersionMatch=Exact")
        .await;
    assert_eq!(code, 410);
}

#[tokio::test]
async fn a_watch_tells_the_state_and_then_the_changes() {
    let lab = Lab::with(&["a", "b"]);
    let mut watch = lab
        .watch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1")
        .await;
    let state = watch.events().await;
    assert_eq!(state, ["ADDED a@1", "ADDED b@2", "BOOKMARK @100"]);
    lab.tell(Event::Applied(service("a", 101)));
    lab.tell(Event::Deleted(service("b", 102)));
    assert_eq!(watch.events().await, ["MODIFIED a@101", "DELETED b@102"]);
}

#[tokio::test]
async fn a_watch_resumes_where_it_was() {
    let lab = Lab::with(&["a"]);
    lab.tell(Event::Applied(service("a", 101)));
    lab.tell(Event::Applied(service("c", 103)));
    let mut watch = lab.watch("resourceVersion=101").await;
    assert_eq!(watch.events().await, ["ADDED c@103"]);
    let mut late = lab.watch("resourceVersion=200").await;
    lab.tell(Event::Applied(service("a", 150)));
    lab.tell(Event::Applied(service("a", 201)));
    assert_eq!(late.events().await, ["MODIFIED a@201"]);
}

#[tokio::test]
async fn leaving_a_selector_is_a_deletion() {
    let lab = Lab::with(&[]);
    let mut watch = lab
        .watch("labelSelector=tier%3Da&resourceVersion=100")
        .await;
    lab.tell(Event::Applied(labelled("web", 101, "a")));
    lab.tell(Event::Applied(labelled("web", 102, "b")));
    lab.tell(Event::Applied(labelled("web", 103, "b")));
    lab.tell(Event::Applied(labelled("web", 104, "a")));
    let events = watch.events().await;
    assert_eq!(
        events,
        ["ADDED web@101", "DELETED web@102", "ADDED web@104"]
    );
}

#[tokio::test]
async fn history_that_is_gone_is_told_within_the_stream() {
    let lab = Lab::with(&["a"]);
    let mut watch = lab.watch("resourceVersion=5").await;
    let line = watch.line().await.unwrap();
    assert!(
        line.contains(r#""type":"ERROR""#) && line.contains(r#""code":410"#),
        "{line}"
    );
    assert_eq!(watch.line().await, None);
}

#[tokio::test]
async fn another_history_ends_every_watch_with_gone() {
    let lab = Lab::with(&["a"]);
    let mut watch = lab.watch("resourceVersion=100").await;
    lab.list(50, Vec::new());
    let line = watch.line().await.unwrap();
    assert!(line.contains(r#""code":410"#), "{line}");
    assert_eq!(watch.line().await, None);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_by_the_minute_and_before_the_end() {
    let lab = Lab::with(&["a"]);
    let begin = tokio::time::Instant::now();
    let path =
        "/api/v1/services?watch=1&resourceVersion=100&allowWatchBookmarks=true&timeoutSeconds=130";
    let (_, _, mut body) = lab
        .send(Request::get(path).body(Body::empty()).unwrap())
        .await;
    let mut at = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.unwrap().into_data().unwrap();
        assert!(frame.starts_with(br#"{"type":"BOOKMARK""#));
        at.push(begin.elapsed().as_secs());
    }
    assert_eq!(at, [60, 120, 128]);
    assert_eq!(begin.elapsed().as_secs(), 130);
}

#[tokio::test]
async fn tables_carry_their_columns_once() {
    let lab = Lab::with(&["a", "b"]);
    let watch = Request::get("/api/v1/services?watch=1&resourceVersion=0").header("accept", TABLE);
    let (_, _, body) = lab.send(watch.body(Body::empty()).unwrap()).await;
    let mut watch = Stream(body);
    let first = watch.line().await.unwrap();
    assert!(
        first.contains(r#""columnDefinitions":[{"name":"Name""#),
        "{first}"
    );
    let second = watch.line().await.unwrap();
    assert!(second.contains(r#""columnDefinitions":null"#), "{second}");
}

#[tokio::test]
async fn nothing_can_be_written() {
    let lab = Lab::with(&["a"]);
    for method in ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
        let request = Request::builder()
            .method(method)
            .uri("/api/v1/namespaces/demo/services/a");
        let (status, _, body) = lab.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status.as_u16(), 405, "{method}");
        let refused = text(body).await.contains("MethodNotAllowed");
        assert_eq!(
            refused,
            method != "HEAD",
            "{method}: the answer to HEAD has no body"
        );
    }
}

#[tokio::test]
async fn unknown_paths_are_refused_as_a_kube_apiserver_refuses_them() {
    let lab = Lab::with(&[]);
    let (code, body) = lab.get("/api/v1/pods").await;
    assert_eq!(code, 404);
    assert!(body.contains(r#""message":"the server could not find the requested resource""#));
    assert!(body.contains(r#""details":{}"#), "{body}");
    assert_eq!(
        lab.get("/apis/apps/v1").await,
        (404, "404 page not found\n".to_owned())
    );
    // A 404 would be kubectl's answer for whatever is not found in that namespace.
    let (code, body) = lab.get("/api/v1/namespaces/demo").await;
    assert_eq!(code, 403, "{body}");
}

#[tokio::test]
async fn reading_endpoints_brings_a_warning() {
    let lab = Lab::unsynced();
    let warns = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (_, headers, _) = lab.send(request).await;
        headers.contains_key("warning")
    };
    assert!(warns("/api/v1/endpoints").await);
    assert!(warns("/api/v1/endpoints?limit=abc").await);
    assert!(!warns("/api/v1/endpoints?timeout=xyz").await);
    assert!(!warns("/api/v1/services").await);
}

#[tokio::test]
async fn a_whole_list_is_encoded_once_for_all_who_ask() {
    let lab = Lab::with(&["a"]);
    let view = emitter_cache::View {
        scope: emitter_cache::Scope::Cluster,
        labels: "".parse().unwrap(),
        fields: "".parse().unwrap(),
        encoding: emitter_cache::Encoding::Object,
        grant: emitter_cache::ViewFilter::default(),
    };
    let now = Timestamp::now();
    let first = lab.services.list(&view, now).items;
    let second = lab.services.list(&view, now).items;
    assert_eq!(first.as_ptr(), second.as_ptr());
    lab.tell(Event::Applied(service("b", 101)));
    let third = lab.services.list(&view, now);
    assert_ne!(first, third.items);
    assert_eq!(third.revision, ResourceVersion::new(101));
}
