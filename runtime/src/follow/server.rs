//! Requests to the server, and what its refusals mean.

mod refusal;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use proto_types::frame::List;
use proto_types::resource::Names;
use proto_types::{RawObject, Revision};

use super::view::ViewName;
use super::watch::Watch;
use super::{Cause, Guard, Limits, Scope, identity, view};

pub(super) use refusal::{innermost, meaning};

/// The server, as one reader sees it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) client: kube::Client,
    pub(super) scope: Arc<Scope>,
    pub(super) limits: Limits,
    pub(super) guard: Option<Guard>,
    /// How often it is asked where it tells no revision.
    pub(super) poll_every: Option<Duration>,
}

/// A page of a list, or all its pages together.
pub(super) struct Page {
    pub(super) revision: Revision,
    pub(super) objects: Vec<RawObject>,
    /// Which view it is of, if the server says so.
    pub(super) view: Option<ViewName>,
}

/// A cause, and the time that the server asked for.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) cause: Cause,
    pub(super) retry_after: Option<Duration>,
}

impl Trouble {
    pub(super) fn behind(revision: Revision) -> Self {
        Cause::Behind(format!("it is only at resource version {revision}")).into()
    }
}

impl From<Cause> for Trouble {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            retry_after: None,
        }
    }
}

impl Server {
    /// Lists everything: as it is now, or no older than that.
    pub(super) async fn list(self, at_least: Option<Revision>) -> Result<Page, Trouble> {
        let mut query = Query::of(&self.scope);
        if let Some(revision) = at_least {
            query.push("resourceVersion", &revision.to_string());
            query.push("resourceVersionMatch", "NotOlderThan");
        }
        self.pages_in_time(query).await
    }

    /// Lists what was at a revision.
    pub(super) async fn list_at(self, revision: Revision) -> Result<Page, Trouble> {
        let mut query = Query::of(&self.scope);
        query.push("resourceVersion", &revision.to_string());
        query.push("resourceVersionMatch", "Exact");
        self.pages_in_time(query).await
    }

    async fn pages_in_time(&self, query: Query) -> Result<Page, Trouble> {
        let limit = self.limits.list;
        tokio::time::timeout(limit, self.pages(query))
            .await
            .unwrap_or(Err(Cause::Slow(limit).into()))
    }

    async fn pages(&self, query: Query) -> Result<Page, Trouble> {
        let (mut whole, mut rest, mut cluster) = self.page(query).await?;
        while let Some(token) = rest {
            let mut query = Query::of(&self.scope);
            query.push("continue", &token);
            let (page, further, again) = self.page(query).await?;
            cluster = again;
            // All pages have one revision. Should they not, a watch from the
            // oldest repeats some changes, but misses none.
            whole.revision = whole.revision.min(page.revision);
            whole.objects.extend(page.objects);
            rest = further;
        }
        self.verify(cluster).await?;
        Ok(whole)
    }

    /// A page, where the next one starts, and which cluster it says it is of.
    async fn page(
        &self,
        query: Query,
    ) -> Result<(Page, Option<String>, Option<Box<str>>), Trouble> {
        let response = self.get(query).await?;
        let limit = self.limits.page_bytes;
        let cluster = identity::of_answer(response.headers());
        let view = view::of_answer(response.headers());
        let body = collect(response.into_body(), limit).await?;
        let page = parse(self.scope.resource, &body);
        let (page, rest) = page.map_err(|why| Trouble::from(Cause::Garbage(why)))?;
        let page = Page { view, ..page };
        if page.revision.is_zero() && self.poll_every.is_none() {
            let why = "a list at no resource version".to_owned();
            return Err(Cause::Garbage(why).into());
        }
        Ok((page, rest, cluster))
    }

    /// Watches what changes after that revision.
    pub(super) async fn watch(self, from: Revision) -> Result<Watch, Trouble> {
        let mut query = Query::of(&self.scope);
        query.push("watch", "true");
        query.push("allowWatchBookmarks", "true");
        query.push("resourceVersion", &from.to_string());
        query.push("timeoutSeconds", &watch_seconds().to_string());
        let response = self.get(query).await?;
        self.verify(identity::of_answer(response.headers())).await?;
        Ok(Watch::new(self.scope.resource, response, self.limits))
    }

    async fn get(&self, query: Query) -> Result<Response<Body>, Trouble> {
        let limit = self.limits.response;
        let answer = self.send(query.into_request(&self.scope));
        tokio::time::timeout(limit, answer)
            .await
            .unwrap_or(Err(Cause::Slow(limit).into()))
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Trouble> {
        let response = self.client.send(request).await;
        let response = response.map_err(|why| refusal::unsent(&why))?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        Err(refusal::read(response).await)
    }
}

pub(super) async fn collect(body: Body, limit: usize) -> Result<Bytes, Trouble> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(why) if why.is::<LengthLimitError>() => Err(Cause::TooLarge(limit).into()),
        Err(why) => Err(Cause::Cut(refusal::innermost(&*why)).into()),
    }
}

/// Reads a page, and where the next one starts. An object that does not parse
/// spoils the page, since it would otherwise count as gone.
fn parse(resource: &'static Names, body: &Bytes) -> Result<(Page, Option<String>), String> {
    let list: List<'_> = serde_json::from_slice(body).map_err(|why| why.to_string())?;
    let revision = list.metadata.resource_version;
    let objects = list
        .items
        .unwrap_or_default()
        .into_iter()
        .map(|item| RawObject::parse(resource, &body.slice_ref(item.get().as_bytes())))
        .collect::<Result<_, _>>()
        .map_err(|why| why.to_string())?;
    let token = Some(list.metadata.continue_token).filter(|token| !token.is_empty());
    let page = Page {
        revision,
        objects,
        view: None,
    };
    Ok((page, token))
}

/// Four to five minutes: shorter than most proxies allow, and spread, so that
/// watches which began together do not end together.
fn watch_seconds() -> u64 {
    240 + RandomState::new().build_hasher().finish() % 61
}

/// A query string.
struct Query(String);

impl Query {
    fn of(scope: &Scope) -> Self {
        let mut query = Self(String::new());
        if !scope.selector.is_empty() {
            query.push("labelSelector", &scope.selector.to_string());
        }
        query
    }

    fn push(&mut self, name: &str, value: &str) {
        let separator = if self.0.is_empty() { '?' } else { '&' };
        self.0.push(separator);
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&percent_encoded(value));
    }

    fn into_request(self, scope: &Scope) -> Request<Body> {
        let namespace = scope.namespace.as_deref().map(percent_encoded);
        let path = scope.resource.collection(namespace.as_deref());
        Request::get(path + &self.0)
            .header(header::ACCEPT, "application/json")
            // Compressed watches flush event by event, and gain nothing by it.
            .header(header::ACCEPT_ENCODING, "identity")
            .body(Body::empty())
            .expect("a path of encoded parts is a URI")
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
