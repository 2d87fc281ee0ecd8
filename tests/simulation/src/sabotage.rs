//! Planted defects, to show that the simulation finds them.
//!
//! A defect is planted at the edge of a program: its requests leave, and answers reach it,
//! as if the program had the defect. So production code carries none of them, and one
//! build runs them all.

mod defect;
mod events;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};

pub use self::defect::Defect;
pub(crate) use self::events::changed_frame;
use parking_lot::Mutex;

use crate::network::Node;

/// A defect in a run, and how often it was met.
#[derive(Debug, Default)]
pub(crate) struct Sabotage {
    pub(crate) defect: Option<Defect>,
    n_met: AtomicU64,
    lists: Mutex<BTreeMap<String, Bytes>>,
    /// Objects of writes that were sent, by path.
    sent: Mutex<BTreeMap<String, Bytes>>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    pub(crate) is_list: bool,
    pub(crate) is_watch: bool,
    pub(crate) is_write: bool,
    pub(crate) is_local: bool,
    /// Whether a consumer asks, which has no defect.
    pub(crate) is_consumer: bool,
}

impl About {
    pub(crate) fn new<B>(request: &Request<B>, client: &Node, server: &Node) -> Self {
        let is_watch = request
            .uri()
            .query()
            .unwrap_or_default()
            .contains("watch=true");
        let path = request.uri().path();
        let is_get = request.method() == Method::GET;
        let ends = ["/services", "/endpointslices", "/endpoints"];
        Self {
            is_list: is_get && !is_watch && ends.iter().any(|it| path.ends_with(it)),
            is_watch,
            is_write: !is_get && !path.contains("/leases") && !path.contains("/events"),
            is_local: &**server == "api-local",
            is_consumer: client.starts_with("consumer-"),
        }
    }
}

impl Sabotage {
    pub(crate) fn new(defect: Option<Defect>) -> Self {
        Self {
            defect,
            ..Self::default()
        }
    }

    /// Returns whether it concerns who asks: a program or a consumer.
    pub(crate) fn concerns(&self, is_consumer: bool) -> bool {
        self.defect.is_some_and(Defect::is_of_serving) == is_consumer
    }

    /// Returns whether this is one of every `n` times.
    pub(crate) fn meets(&self, n: u64) -> bool {
        self.n_met.fetch_add(1, Ordering::Relaxed) % n == n - 1
    }

    /// Changes a request. Returns the answer that it gets without being sent.
    pub(crate) async fn request(
        &self,
        request: &mut Request<kube::client::Body>,
        about: About,
    ) -> Option<Response<Body>> {
        let reads = !about.is_local;
        match self.defect? {
            Defect::ResumesTooLate if about.is_watch && reads => {
                query(request, |name, value| match name {
                    "resourceVersion" => {
                        let version = value.parse::<u64>().unwrap_or_default();
                        Some((version + 5).to_string())
                    }
                    _ => Some(value.to_owned()),
                });
                None
            }
            Defect::SelectorIgnored if about.is_list || about.is_watch => {
                query(request, |name, value| {
                    let is_selector = name == "labelSelector" && reads;
                    (!is_selector).then(|| value.to_owned())
                });
                None
            }
            Defect::ResumesNow if about.is_watch && reads => {
                query(request, |name, value| match name {
                    "resourceVersion" => Some("0".to_owned()),
                    _ => Some(value.to_owned()),
                });
                None
            }
            _ if about.is_write && about.is_local => self.write(request).await,
            _ => None,
        }
    }

    /// Changes a write.
    async fn write(&self, request: &mut Request<kube::client::Body>) -> Option<Response<Body>> {
        let is_deletion = request.method() == Method::DELETE;
        match self.defect? {
            Defect::PreconditionsDropped => {
                unconditional(request).await;
                None
            }
            Defect::WritesForgotten if self.meets(3) => {
                let body = std::mem::replace(request.body_mut(), kube::client::Body::empty());
                let sent = body.collect().await.ok()?.to_bytes();
                let sent = serde_json::from_slice(&sent).unwrap_or_default();
                Some(answer(&sent))
            }
            Defect::FailuresAreSuccess if !is_deletion => {
                let body = std::mem::replace(request.body_mut(), kube::client::Body::empty());
                let sent = body.collect().await.ok()?.to_bytes();
                let path = request.uri().path().to_owned();
                self.sent.lock().insert(path, sent.clone());
                *request.body_mut() = sent.to_vec().into();
                None
            }
            Defect::UnmanagedWritten if is_deletion && self.meets(5) => {
                let path = request.uri().path();
                let bystander = path
                    .rsplit_once('/')
                    .map(|it| format!("{}/bystander", it.0));
                *request.uri_mut() = bystander?.parse().ok()?;
                *request.body_mut() = kube::client::Body::empty();
                None
            }
            Defect::SlicesLeft if is_deletion => {
                let is_slice = request.uri().path().contains("/endpointslices/");
                is_slice.then(|| answer(&json!({ "kind": "Status", "status": "Success" })))
            }
            _ => None,
        }
    }

    /// Changes the head of an answer.
    pub(crate) fn head(&self, headers: &mut HeaderMap) {
        match self.defect {
            Some(Defect::IdentityIgnored) => {
                set(headers, "heliograph-cluster-uid", "the-only-one");
            }
            Some(Defect::UpstreamIgnored | Defect::FloorDropped) => {
                set(headers, "heliograph-upstream", "connected");
                set(headers, "heliograph-read", "confirmed");
            }
            Some(Defect::ViewIgnored) => set(headers, "heliograph-view", "the-only-one"),
            _ => {}
        }
    }

    /// Changes the answer to a list or to another request that is no watch.
    pub(crate) async fn answer(
        &self,
        path: &str,
        about: About,
        response: Response<Body>,
    ) -> Response<Body> {
        let Some(defect) = self.defect else {
            return response;
        };
        let is_source_list = about.is_list && !about.is_local;
        match defect {
            Defect::IdentityIgnored if path.ends_with("/namespaces/kube-system") => {
                change(response, |it| it["metadata"]["uid"] = "the-only-one".into()).await
            }
            Defect::RefusedListIsEmpty if is_source_list && !response.status().is_success() => {
                empty(path)
            }
            Defect::FirstListForEver if is_source_list && response.status().is_success() => {
                let (head, body) = response.into_parts();
                let whole = body.collect().await.unwrap_or_default().to_bytes();
                let mut lists = self.lists.lock();
                let first = lists.entry(path.to_owned()).or_insert(whole);
                Response::from_parts(head, Body::from(first.clone()))
            }
            Defect::FloorDropped if is_source_list => {
                change(response, |it| self.pretend_newest(path, it)).await
            }
            Defect::RelistDeletes if is_source_list => {
                let is_first = self.lists.lock().insert(path.to_owned(), Bytes::new());
                let n = usize::from(is_first.is_some());
                change(response, |it| {
                    if let Some(items) = it["items"].as_array_mut() {
                        items.drain(..n.min(items.len()));
                    }
                })
                .await
            }
            Defect::LastOfListLost | Defect::ConsumerListShort
                if is_source_list && self.meets(5) =>
            {
                change(response, |it| {
                    if let Some(items) = it["items"].as_array_mut() {
                        items.pop();
                    }
                })
                .await
            }
            Defect::ReadinessLost if is_source_list && self.meets(10) => {
                change(response, not_ready).await
            }
            Defect::FailuresAreSuccess
                if about.is_write && about.is_local && !response.status().is_success() =>
            {
                let sent = self.sent.lock().remove(path);
                let sent = sent.and_then(|it| serde_json::from_slice(&it).ok());
                answer(&sent.unwrap_or_else(|| json!({ "kind": "Status", "status": "Success" })))
            }
            _ => response,
        }
    }
}

impl Sabotage {
    /// Gives a list the latest resource version that was seen.
    fn pretend_newest(&self, path: &str, list: &mut Value) {
        let version = &mut list["metadata"]["resourceVersion"];
        let number = |it: &str| it.parse::<u64>().unwrap_or_default();
        let mut seen = self.lists.lock();
        let newest = seen.entry(path.to_owned()).or_default();
        let former = number(&String::from_utf8_lossy(newest));
        let latest = former
            .max(number(version.as_str().unwrap_or_default()))
            .to_string();
        *newest = Bytes::from(latest.clone());
        *version = latest.into();
    }
}

fn not_ready(list: &mut Value) {
    let items = list["items"].as_array_mut().into_iter().flatten();
    for item in items {
        let endpoints = item["endpoints"].as_array_mut().into_iter().flatten();
        for endpoint in endpoints {
            endpoint["conditions"] = json!({ "ready": false });
        }
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &'static str) {
    let name = HeaderName::from_static(name);
    if headers.contains_key(&name) {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Changes the parameters of a request.
fn query<B>(request: &mut Request<B>, change: impl Fn(&str, &str) -> Option<String>) {
    let uri = request.uri();
    let parameters = uri.query().unwrap_or_default().split('&');
    let changed = parameters.filter_map(|it| {
        let (name, value) = it.split_once('=')?;
        Some(format!("{name}={}", change(name, value)?))
    });
    let changed: Vec<_> = changed.collect();
    let uri = format!("{}?{}", uri.path(), changed.join("&"));
    if let Ok(uri) = uri.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
}

/// Makes a write one that names no resource version and no uid.
async fn unconditional(request: &mut Request<kube::client::Body>) {
    let is_deletion = request.method() == Method::DELETE;
    let body = std::mem::replace(request.body_mut(), kube::client::Body::empty());
    let Ok(sent) = body.collect().await else {
        return;
    };
    let sent = sent.to_bytes();
    let Ok(mut object) = serde_json::from_slice::<Value>(&sent) else {
        return;
    };
    if is_deletion {
        return;
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        metadata.remove("uid");
    }
    *request.body_mut() = object.to_string().into_bytes().into();
}

fn answer(body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// An empty list at a resource version that no history has reached.
pub(crate) fn empty(path: &str) -> Response<Body> {
    let kind = match path.ends_with("/services") {
        true => "ServiceList",
        false => "EndpointSliceList",
    };
    answer(&json!({
        "kind": kind, "apiVersion": "v1", "metadata": { "resourceVersion": "1000000" },
        "items": [],
    }))
}

async fn change(response: Response<Body>, change: impl FnOnce(&mut Value)) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let Ok(whole) = body.collect().await else {
        return Response::from_parts(head, Body::empty());
    };
    let whole = whole.to_bytes();
    let Ok(mut value) = serde_json::from_slice::<Value>(&whole) else {
        return Response::from_parts(head, Body::from(whole));
    };
    change(&mut value);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(value.to_string()))
}
