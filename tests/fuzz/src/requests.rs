//! Requests: each is answered, in the form that it says, and lets in only who may.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use emitter::access::{Access, Credentials, Parts, Settings};
use emitter::api::{self, Api};
use emitter::attributes::Attributes;
use emitter::documents::Documents;
use emitter::metrics::Metrics;
use emitter::watch_cache::WatchCache;
use emitter_cache::{Fields, Limits};
use http::{HeaderMap, HeaderValue, Request, Uri, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use proto_types::{RawObject, Resource, ResourceVersion};
use runtime::watcher::{Event, Listing};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) const QUERIES: &[&str] = &[
    "limit=1&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIvYVx1MDAwMCJ9",
    "labelSelector=a%20in%20(x,,y)&fieldSelector=metadata.name%3Dweb",
    "resourceVersion=100&resourceVersionMatch=Exact",
    "resourceVersion=99&resourceVersionMatch=NotOlderThan&sendInitialEvents=true",
    "timeoutSeconds=1&timeout=1s&pretty=true&export=1&includeObject=None",
    "&",
    ";",
    "%",
    "%ff",
    "+",
    "=",
    "limit=-1",
    "&limit=",
    "shardSelector=x",
];

pub(crate) const ACCEPTS: &[&str] = &[
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    "application/yaml;q=0.5, */*;q=0.1",
    "application/json;stream=watch;as=PartialObjectMetadata",
    "text/html",
    "*/*",
    ";",
    ",",
    "=",
    "\"",
    "q=NaN",
    " ",
    "application/*",
];

pub(crate) const BEARERS: &[&str] = &[
    "Bearer west-token",
    "bearer  west-token",
    "Basic d2VzdDp0b2tlbg==",
    "Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6Im9uZSJ9.eyJpc3MiOiJodHRwczovL3dlc3QiLCJhdWQiOlsiYSJdLCJzdWIiOiJ4IiwiZXhwIjo5OTk5OTk5OTk5fQ.AAAA",
    "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL3dlc3QiLCJhdWQiOiJhIiwic3ViIjoieCIsImV4cCI6OTk5OTk5OTk5OX0.",
    "Bearer ",
    "..",
    ".",
    "=",
    "eyJhbGciOiJIUzI1NiJ9",
    "\t",
];

/// An emitter without sockets, on a clock of its own.
struct Lab {
    runtime: Runtime,
    served: Emitter,
}

/// Router of an emitter, and the consumers that it knows.
pub(crate) struct Emitter {
    pub(crate) router: Router,
    pub(crate) metrics: Arc<Metrics>,
    access: Arc<Access>,
    _directory: tempfile::TempDir,
}

thread_local! {
    static LAB: Lab = Lab::new();
}

const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","use":"sig","kid":"one","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

impl Lab {
    fn new() -> Self {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // Waiting for a resource version of the future takes no time.
        let runtime = runtime.enable_all().start_paused(true);
        let runtime = runtime.build().expect("a runtime");
        let _guard = runtime.enter();
        let served = emitter();
        drop(_guard);
        Self { runtime, served }
    }

    /// Sends what a socket would let through, and looks at the answer.
    fn check(&self, uri: &str, accept: &[u8]) {
        let Ok(accept) = HeaderValue::from_bytes(accept) else {
            return;
        };
        let request = Request::get(uri).header(header::ACCEPT, accept.clone());
        let Ok(request) = request.body(Body::empty()) else {
            return;
        };
        let (status, media_type, body) = self.runtime.block_on(async {
            let response = self.served.router.clone().oneshot(request).await;
            let (parts, body) = response.expect("it never fails").into_parts();
            let media_type = parts.headers.get(header::CONTENT_TYPE).cloned();
            let body = body.collect();
            let body = tokio::time::timeout(Duration::from_secs(60), body).await;
            let body = body.expect("it ends").expect("it is whole").to_bytes();
            (parts.status.as_u16(), media_type, body)
        });
        let said = || format!("{uri} [{accept:?}]: {status} {media_type:?} {body:?}");
        let known = [200, 304, 400, 404, 406, 410, 422, 500, 503, 504];
        assert!(known.contains(&status), "{}", said());
        let media_type = media_type.as_ref().and_then(|it| it.to_str().ok());
        // A watch that begins is answered by lines.
        let mut lines =
            serde_json::Deserializer::from_slice(&body).into_iter::<serde::de::IgnoredAny>();
        let is_json = lines.all(|line| line.is_ok());
        let is_written = match media_type.unwrap_or_default() {
            "application/json" => is_json,
            "application/vnd.kubernetes.protobuf" => body.starts_with(b"k8s\0"),
            "application/yaml" => !body.is_empty(),
            "text/plain; charset=utf-8" => body.as_ref() == b"404 page not found\n",
            other => other.starts_with("application/json;"),
        };
        assert!(is_written, "{}", said());
    }
}

/// An emitter whose upstream has told of some Services. Needs the runtime around it.
pub(crate) fn emitter() -> Emitter {
    runtime::client::install_crypto();
    let caches = Resource::ALL.map(|resource| {
        let cache = WatchCache::new(resource, Fields::All, Limits::default());
        cache.ingest(Event::Listed(listing(resource)), Timestamp::UNIX_EPOCH);
        Arc::new(cache)
    });
    let nowhere = kube::Config::new(Uri::from_static("http://127.0.0.1:1"));
    let client = kube::Client::try_from(nowhere).expect("a client");
    let metrics = Metrics::register(&mut Registry::default());
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let access = Access::open(Parts {
        settings,
        certificates: None,
        client: client.clone(),
        owners: Arc::default(),
        caches: caches.to_vec(),
        metrics: Arc::clone(&metrics),
    });
    let api = Api {
        caches: caches.to_vec(),
        documents: Documents::new(client),
        metrics: Arc::clone(&metrics),
        shutdown: CancellationToken::new(),
    };
    Emitter {
        router: api::router(Arc::new(api)),
        metrics,
        access: access.expect("files that are right"),
        _directory: directory,
    }
}

fn listing(resource: Resource) -> Listing {
    let names = resource.names();
    let object = |name: &str| {
        let json = format!(
            r#"{{"kind":"{}","apiVersion":"{}","metadata":{{"name":"{name}","namespace":"demo","uid":"{name}","resourceVersion":"7","labels":{{"a":"x"}}}}}}"#,
            names.kind, names.api_version
        );
        RawObject::parse(resource, &json.into()).expect("an object")
    };
    Listing::confirmed(
        ResourceVersion::new(100),
        ["web", "shop", "a"].map(object).to_vec(),
    )
}

fn settings(directory: &std::path::Path) -> Settings {
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let keys = file("keys.json", KEYS);
    let policy = format!(
        "{{issuers: [{{issuer: 'https://west', audiences: [a], keys: {{file: {keys:?}}}, userPrefix: ''}}], consumers: []}}"
    );
    Settings {
        tokens: Some(file("tokens", "west-token,west,1\n")),
        policy: Some(file("policy", &policy)),
        ..Settings::default()
    }
}

/// Any query is answered; a watch that begins, ends in time.
pub(crate) fn queries(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else {
        return;
    };
    LAB.with(|lab| {
        lab.check(
            &format!("/api/v1/services?watch=0&{query}"),
            b"application/json",
        );
        lab.check(
            &format!("/api/v1/namespaces/demo/services/web?{query}"),
            b"*/*",
        );
        // The first of two counts.
        let watch = format!("watch=1&timeoutSeconds=1&{query}");
        let endpoints = "/apis/discovery.k8s.io/v1/endpointslices";
        lab.check(
            &format!("{endpoints}?{watch}&x"),
            b"application/json;as=Table;v=v1;g=meta.k8s.io",
        );
    });
}

/// Any header that a socket lets through is answered.
pub(crate) fn accepts(data: &[u8]) {
    LAB.with(|lab| {
        for path in [
            "/api/v1/services",
            "/api/v1/namespaces/demo/services/web",
            "/api",
            "/nowhere",
        ] {
            lab.check(path, data);
        }
    });
}

/// Only the one token that is in the file is known.
pub(crate) fn bearer_tokens(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, value.clone());
    let credentials = Credentials::of(&headers, Vec::new(), None);
    let attributes = Attributes {
        verb: "get".to_owned(),
        path: "/version".to_owned(),
        target: None,
    };
    LAB.with(|lab| {
        let token = credentials.token.clone();
        let right = lab
            .runtime
            .block_on(lab.served.access.right(credentials, attributes));
        match right {
            Ok(right) => {
                assert_eq!(token.as_deref(), Some("west-token"), "{value:?} lets in");
                assert_eq!(right.user.name, "west");
            }
            Err(_) => assert_ne!(token.as_deref(), Some("west-token"), "{value:?} is refused"),
        }
    });
}
