//! Requests that no client would send: each is answered, and as Kubernetes would.
//!
//! `PROPTEST_CASES` says how many of each, if 256 are not enough.

use std::sync::OnceLock;

use proptest::prelude::{Strategy, any, prop, proptest};
use proptest::{prop_assert, prop_oneof};
use tokio::runtime::Runtime;

use super::{Body, BodyExt, Lab, Request};

/// Pieces of what is meant something, and whatever else.
fn piece(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let words = prop::sample::select(words).prop_map(str::to_owned);
    prop_oneof![4 => words, 1 => any::<String>(), 1 => "[!-~]{0,12}"]
}

fn joined(words: &'static [&'static str], n_at_most: usize) -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(piece(words), 0..n_at_most);
    pieces.prop_map(|pieces| pieces.concat())
}

const PATHS: &[&str] = &[
    "/",
    "api",
    "apis",
    "v1",
    "watch",
    "namespaces",
    "services",
    "endpoints",
    "status",
    "a",
    "web",
    "discovery.k8s.io",
    "endpointslices",
    "..",
    "%2F",
    "%00",
    "%ff",
    "openapi",
];

const QUERIES: &[&str] = &[
    "labelSelector=",
    "fieldSelector=",
    "limit=",
    "continue=",
    "resourceVersion=",
    "timeout=",
    "&",
    "resourceVersionMatch=",
    "Exact",
    "NotOlderThan",
    "sendInitialEvents=",
    "true",
    "pretty=",
    "0",
    "1",
    "-1",
    "99999999999999999999",
    "a",
    "in",
    "(",
    ")",
    ",",
    "!",
    "%3D",
    "=",
    "metadata.name",
    "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIvYVx1MDAwMCJ9",
    ";",
    "+",
    "%",
    "%2C",
    "1s",
];

const ACCEPTS: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "*/*",
    ",",
    ";",
    "as=",
    "Table",
    "PartialObjectMetadata",
    "PartialObjectMetadataList",
    "g=meta.k8s.io",
    "v=v1",
    "q=",
    "0.5",
    "NaN",
    "-1",
    "stream=watch",
    "application/*",
    " ",
    "=",
    "\"",
];

async fn check(lab: &Lab, uri: String, accept: String) -> Result<(), String> {
    // What is no URI or no header is refused before it gets here.
    let Ok(request) = Request::get(&uri)
        .header("accept", &accept)
        .body(Body::empty())
    else {
        return Ok(());
    };
    let (status, headers, body) = lab.send(request).await;
    let media_type = headers["content-type"].to_str().unwrap_or_default();
    let body = body
        .collect()
        .await
        .map_err(|why| why.to_string())?
        .to_bytes();
    let is_json = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
    let is_written = match media_type {
        "application/json" => is_json,
        "application/vnd.kubernetes.protobuf" => body.starts_with(b"k8s\0"),
        "application/yaml" => !body.is_empty(),
        "text/plain; charset=utf-8" => body.as_ref() == b"404 page not found\n",
        _ => media_type.starts_with("application/json;"),
    };
    // A kube-apiserver says 500 to a resource version that is no number; here nobody is upstream.
    let is_known = matches!(
        status.as_u16(),
        200 | 304 | 400 | 404 | 406 | 410 | 422 | 500 | 503 | 504
    );
    match is_written && is_known {
        true => Ok(()),
        false => Err(format!("{uri} [{accept}]: {status} {media_type} {body:?}")),
    }
}

fn ask(uri: String, accept: String) -> Result<(), String> {
    static HERE: OnceLock<(Runtime, Lab)> = OnceLock::new();
    let (runtime, lab) = HERE.get_or_init(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // Waiting for a resource version of the future takes no time.
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let lab = runtime.block_on(async { Lab::with(&["web"]) });
        (runtime, lab)
    });
    runtime.block_on(check(lab, uri, accept))
}

proptest! {
    #[test]
    fn any_query_is_answered(query in joined(QUERIES, 12), accept in joined(ACCEPTS, 8)) {
        // A watch would not end.
        let asked = ask(format!("/api/v1/services?watch=0&{query}"), accept);
        prop_assert!(asked.is_ok(), "{}", asked.unwrap_err());
    }

    #[test]
    fn any_path_is_answered(path in joined(PATHS, 8)) {
        let asked = ask(format!("/{path}?watch=0"), String::new());
        prop_assert!(asked.is_ok(), "{}", asked.unwrap_err());
    }

    #[test]
    fn any_accept_header_is_answered(accept in joined(ACCEPTS, 16)) {
        for path in ["/api/v1/services", "/api/v1/namespaces/demo/services/web", "/api"] {
            let asked = ask(path.to_owned(), accept.clone());
            prop_assert!(asked.is_ok(), "{}", asked.unwrap_err());
        }
    }
}
