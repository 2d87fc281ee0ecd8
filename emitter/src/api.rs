//! The Kubernetes API, as far as reading Services and their endpoints goes.
//!
//! `route` says what a path names, `query` what the query asks, `accept` how
//! to write the answer; `list` and `watch` give it. Every refusal is a
//! [`Status`], made where it is found out and written in one place.

mod accept;
mod compute;
mod discovery;
mod freshness;
mod gzip;
mod list;
mod manner;
mod pieces;
mod pretty;
mod query;
pub mod read;
pub mod response;
mod route;
mod watch;
mod yaml;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use emitter_cache::descriptor::NAMESPACES;
use emitter_cache::table::Include;
use emitter_cache::{Encoding, Scope, View, ViewFilter};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use proto_types::resource::ApiResource;
use proto_types::{ResourceVersion, Status};
use runtime::upstream;
use tokio_util::sync::CancellationToken;

use self::accept::{Chosen, Offer, Unacceptable, Verb};
use self::manner::Manner;
use self::query::Query;
pub use self::read::{Context, Place};
use self::route::Route;
pub use self::route::WatchPath;
use crate::attributes::{Attributes, Parameters};
use crate::consumers::Caller;
use crate::documents::{Document, Documents};
use crate::health::UpstreamHealth;
use crate::metrics::Metrics;
use crate::watch_cache::WatchCache;

/// Parts that the API serves from.
pub struct Api {
    /// One cache for each of [`proto_types::Resource::ALL`], and perhaps one for namespaces and
    /// one for ServiceExports.
    pub caches: Vec<Arc<WatchCache>>,
    /// The upstream's own documents: version, OpenAPI.
    pub documents: Documents,
    /// Counts what is served.
    pub metrics: Arc<Metrics>,
    /// Cancelled to end watches of clients that are not counted.
    pub shutdown: CancellationToken,
}

/// Bytes of a response that other responses share, beside its body. They count against the budget
/// of their clients.
#[derive(Debug, Clone)]
pub struct Payload(pub bytes::Bytes);

/// The routes of the API.
pub fn router(api: Arc<Api>) -> Router {
    Router::new().fallback(answer).with_state(api)
}

/// Context of a request: its headers and parameters, and its client.
pub struct RequestContext {
    query: Query,
    accept: Option<String>,
    pretty: bool,
    accepted: gzip::Accepted,
    /// The document that the consumer has already.
    known: Option<HeaderValue>,
    audit_id: HeaderValue,
    /// `true` if a list must be compared with the upstream.
    is_confirmed: bool,
    /// Client, if it is known.
    caller: Option<Caller>,
    /// Connection to the upstream, if responses report it.
    health: Option<Arc<UpstreamHealth>>,
}

impl RequestContext {
    /// Reads it from a request.
    #[must_use]
    pub fn new<B>(request: &http::Request<B>) -> Self {
        let text = |headers: &HeaderMap, name| {
            let value = headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let query = Query::parse(request.uri().query());
        let agent = text(request.headers(), header::USER_AGENT);
        let accept = text(request.headers(), header::ACCEPT);
        let audit_id = request.headers().get("audit-id").cloned();
        Self {
            pretty: query.pretty(agent.as_deref()) || accept::is_pretty(accept.as_deref()),
            accept,
            accepted: gzip::Accepted::of(request.headers()),
            known: request.headers().get(header::IF_NONE_MATCH).cloned(),
            audit_id: audit_id.unwrap_or_else(new_audit_id),
            is_confirmed: request.headers().get(upstream::READ) == Some(&upstream::CONFIRMED),
            caller: request.extensions().get().cloned(),
            health: request.extensions().get().cloned(),
            query,
        }
    }

    /// Returns the view of the client; everything if the client is not known.
    fn grant(&self) -> ViewFilter {
        let caller = self.caller.as_ref();
        caller.map(|it| it.grant.clone()).unwrap_or_default()
    }

    /// Name of the client that asks for a view, for what it was sent.
    fn client(&self, view: &View) -> (Arc<str>, Scope) {
        let caller = self.caller.as_ref();
        let name = caller.map_or_else(|| "".into(), |it| Arc::clone(&it.name));
        (name, view.scope.clone())
    }

    /// Notes that the client is sent the state of a view at a resource version.
    fn record_sent(&self, cache: &WatchCache, view: &View, revision: ResourceVersion) {
        cache.record_sent(|| self.client(view), revision);
        if let Some(caller) = &self.caller {
            caller.floor().record(revision);
        }
    }

    /// Returns the attributes of the request with that percent-decoded path.
    #[must_use]
    pub fn attributes(&self, method: &Method, path: &str) -> Attributes {
        let parameters = Parameters {
            is_watch: self.query.flag("watch") == Some(true),
            field_selector: self.query.get("fieldSelector"),
        };
        Attributes::of(parameters, method, path)
    }

    /// Rejects a request before its target is looked at: an invalid time limit, and media types of
    /// which none is served.
    fn admit(&self, cache: &WatchCache, verb: Verb) -> Result<(), Status> {
        if verb != Verb::Watch {
            self.query.check_timeout()?;
        }
        if !accept::is_served(self.accept.as_deref()) {
            let message = Unacceptable::MediaType.message(cache.form(), verb);
            let details = proto_types::status::Details::default();
            return Err(Status::failure(406, "NotAcceptable", message).about(details));
        }
        Ok(())
    }

    fn negotiate(&self, cache: &WatchCache, verb: Verb) -> Result<Chosen, Status> {
        let include = self.query.include();
        let offer = Offer {
            verb,
            include: include.as_ref().copied().unwrap_or(Include::Metadata),
            protobuf: cache.fits_protobuf(),
        };
        accept::negotiate(self.accept.as_deref(), offer)
            .map_err(|why| not_acceptable(&why, cache, verb))
    }

    /// Negotiates the form of a response about objects of a cache.
    fn manner(&self, cache: &WatchCache, verb: Verb) -> Result<Manner, Status> {
        let Chosen {
            format,
            encoding,
            misplaced,
        } = self.negotiate(cache, verb)?;
        if let Encoding::Table(_) = encoding {
            self.query.include()?;
        }
        Ok(Manner {
            format,
            encoding,
            refused: misplaced.map(|why| not_acceptable(&why, cache, verb)),
        })
    }
}

fn not_acceptable(why: &Unacceptable, cache: &WatchCache, verb: Verb) -> Status {
    Status::failure(406, "NotAcceptable", why.message(cache.form(), verb))
}

fn new_audit_id() -> HeaderValue {
    let id = uuid::Uuid::new_v4().to_string();
    HeaderValue::try_from(id).expect("a UUID is a header value")
}

async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let asked = RequestContext::new(&request);
    let path = request.uri().path();
    let Some(path) = percent_decode(path) else {
        return response::refusal(&asked, &Status::bad_request("the path is not UTF-8"));
    };
    let route = Route::parse(&path);
    let document = Document::find(&path, asked.accept.as_deref());
    if route == Route::Unknown {
        return response::page_not_found(&asked);
    }
    let answer = match *request.method() {
        Method::GET => api.get(&asked, route, document).await,
        _ => Err(Status::failure(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .about(proto_types::status::Details::default())),
    };
    answer.unwrap_or_else(|status| response::refusal(&asked, &status))
}

fn percent_decode(path: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    decoded.ok().map(std::borrow::Cow::into_owned)
}

impl Api {
    fn cache(&self, resource: &ApiResource) -> Result<&Arc<WatchCache>, Status> {
        let cache = self.caches.iter().find(|cache| cache.names() == resource);
        cache.ok_or_else(not_served)
    }

    /// Returns the cache of namespaces. Only clients that can read all of a namespace see it.
    fn namespaces(&self, asked: &RequestContext) -> Result<&Arc<WatchCache>, Status> {
        if !asked.grant().rules().show_whole_namespaces() {
            return Err(not_served());
        }
        let mut caches = self.caches.iter();
        let cache = caches.find(|cache| cache.names() == NAMESPACES.names);
        cache.ok_or_else(not_served)
    }

    fn served(&self, root: &str) -> Vec<&'static ApiResource> {
        let names = self.caches.iter().map(|cache| cache.names());
        names.filter(|it| it.root == root).collect()
    }

    /// Returns the API groups beside the core group.
    fn groups(&self) -> Vec<discovery::Group> {
        let mut groups: Vec<discovery::Group> = Vec::new();
        let names = self.caches.iter().map(|cache| cache.names());
        for names in names.filter(|it| !it.group.is_empty()) {
            if !groups.iter().any(|it| it.name == names.group) {
                groups.push(discovery::Group::of(names, self.served(names.root)));
            }
        }
        groups
    }

    fn group(&self, asked: &RequestContext, name: &str) -> Result<Response, Status> {
        let groups = self.groups();
        let group = groups.iter().find(|it| it.name == name);
        let group = group.ok_or_else(not_served)?;
        Ok(ok(asked, discovery::group(group)))
    }

    fn resources(&self, asked: &RequestContext, root: &str) -> Result<Response, Status> {
        let served = self.served(root);
        if served.is_empty() {
            return Err(not_served());
        }
        Ok(ok(asked, discovery::resources(root, &served)))
    }

    async fn get(
        &self,
        asked: &RequestContext,
        route: Route,
        document: Option<Document>,
    ) -> Result<Response, Status> {
        let context = Context {
            shutdown: self.shutdown.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        match route {
            Route::Collection {
                resource,
                scope,
                watch,
            } => {
                let place = Place { scope, watch };
                read::collection(asked, self.cache(resource)?, place, context).await
            }
            Route::Namespaces(watch) => {
                let scope = emitter_cache::Scope::Cluster;
                let place = Place { scope, watch };
                read::collection(asked, self.namespaces(asked)?, place, context).await
            }
            Route::Namespace(name) => {
                let namespaces = self.namespaces(asked).map_err(|_| not_told(&name))?;
                let key = proto_types::ObjectKey::new("", &name);
                read::object(asked, namespaces, &key).await
            }
            Route::Object { resource, key } => {
                read::object(asked, self.cache(resource)?, &key).await
            }
            Route::CoreVersions => {
                let aggregated = || discovery::aggregated(&self.served("/api/v1"));
                Ok(response::discovered(
                    asked,
                    discovery::core_versions,
                    aggregated,
                ))
            }
            Route::Groups => {
                let groups = self.groups();
                let aggregated = || discovery::aggregated_groups(&groups);
                let whole = || discovery::groups(&groups);
                Ok(response::discovered(asked, whole, aggregated))
            }
            Route::Group(name) => self.group(asked, &name),
            Route::Resources(root) => self.resources(asked, root),
            Route::Root => Ok(ok(asked, discovery::root(&self.groups()))),
            Route::Version | Route::OpenApi | Route::OpenApiOfVersion => match document {
                Some(document) => self.upstream_document(asked, document).await,
                None if route == Route::OpenApiOfVersion => Ok(response::nothing_found(asked)),
                None => Ok(response::page_not_found(asked)),
            },
            Route::UnknownResource | Route::Unknown => Err(not_served()),
        }
    }

    /// Documents that are not ours to write: the upstream's, so that clients which
    /// look at versions and schemas behave as they would there.
    async fn upstream_document(
        &self,
        asked: &RequestContext,
        document: Document,
    ) -> Result<Response, Status> {
        let answer = self.documents.get(document).await;
        let (parts, body) = answer
            .map_err(|why| {
                let message = format!("cannot read {document} from the API server: {why}");
                Status::failure(503, "ServiceUnavailable", message)
            })?
            .into_parts();
        let mut response = Response::new(axum::body::Body::from(body));
        *response.status_mut() = parts.status;
        let headers = response.headers_mut();
        for name in [
            header::CACHE_CONTROL,
            header::CONTENT_TYPE,
            header::ETAG,
            header::LOCATION,
            header::VARY,
        ] {
            if let Some(value) = parts.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert("audit-id", asked.audit_id.clone());
        Ok(response)
    }
}

fn not_served() -> Status {
    let message = "the server could not find the requested resource";
    let details = proto_types::status::Details::default();
    Status::failure(404, "NotFound", message).about(details)
}

/// Rejects a request for an object whose namespace may not exist. kubectl reports a 404 as a
/// missing object unless the response names the namespace, and whether it exists is not disclosed.
fn not_told(namespace: &str) -> Status {
    let message = format!(
        "namespaces {namespace:?} is forbidden: which namespaces there are is not told here"
    );
    let details = proto_types::status::Details {
        name: namespace.to_owned(),
        kind: NAMESPACES.names.plural.to_owned(),
        ..Default::default()
    };
    Status::failure(403, "Forbidden", message).about(details)
}

fn ok(asked: &RequestContext, document: String) -> Response {
    response::document(asked, StatusCode::OK, document)
}

#[cfg(test)]
mod tests;
