//! Requests: which fault they meet, who does what they ask, what is noted of them.

mod call;
mod disturbance;
mod patch;
mod strategic;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use emitter::api::{Context, Place, RequestContext, WatchPath, read, response};
use emitter::metrics::Metrics;
use emitter_cache::Scope;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use proto_types::status::Details;
use proto_types::{LabelSelector, ObjectKey, Status};
use tokio_util::sync::CancellationToken;

use self::call::Call;
use self::patch::Patch;
use crate::audit::Notes;
use crate::fault::{Fault, Faults, Subject};
use crate::managed::Application;
use crate::route::{Document, Route};
use crate::state::{Storage, value};
use crate::write::{DeleteOptions, Outcome, Part, gone};
use crate::{Kind, Verb, Write, body, discovery};

/// What requests are answered from.
pub(crate) struct Api {
    pub(crate) storage: Storage,
    pub(crate) faults: Faults,
    pub(crate) notes: Notes,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) token: Option<String>,
    pub(crate) address: String,
}

/// The routes of the API.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new().fallback(answer).with_state(api)
}

/// Objects are bounded by etcd's limit for a request, in a kube-apiserver.
const MAX_BODY: usize = 3 << 20;

async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let asked = RequestContext::new(&request);
    let path = percent_encoding::percent_decode_str(request.uri().path()).decode_utf8();
    let Ok(path) = path.map(std::borrow::Cow::into_owned) else {
        return response::refusal(&asked, &Status::bad_request("the path is not UTF-8"));
    };
    let route = Route::parse(&path);
    let (call, body) = Call::new(request);
    let subject = call.subject(&route);
    let key = key_of(&route);
    let response = match api.fails(&asked, subject).await {
        Some(response) => response,
        None if route != Route::Probe && !api.admits(&call.headers) => {
            let status = Status::failure(401, "Unauthorized", "Unauthorized");
            response::refusal(&asked, &status)
        }
        None => {
            let answer = api.perform(&asked, &call, route, body).await;
            answer.unwrap_or_else(|status| response::refusal(&asked, &status))
        }
    };
    if let Some((verb, kind)) = subject {
        api.note(&call, verb, kind, key, response.status());
    }
    disturbance::body(response, &api, subject)
}

fn key_of(route: &Route) -> ObjectKey {
    match route {
        Route::Object { key, .. } => key.clone(),
        Route::Collection { scope, .. } => ObjectKey::new(scope.namespace().unwrap_or(""), ""),
        Route::Document(_) | Route::Probe | Route::UnknownResource | Route::Unknown => {
            ObjectKey::new("", "")
        }
    }
}

impl Api {
    /// The answer of a fault that the request meets. Some never give one.
    async fn fails(&self, asked: &RequestContext, subject: Option<Subject>) -> Option<Response> {
        for fault in self.faults.met(subject) {
            if let Some(response) = disturbance::before(&fault, asked).await {
                return Some(response);
            }
        }
        None
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let wanted = format!("Bearer {token}");
        headers
            .get(header::AUTHORIZATION)
            .is_some_and(|it| it == wanted.as_str())
    }

    fn note(&self, call: &Call, verb: Verb, kind: Kind, key: ObjectKey, code: StatusCode) {
        self.notes.asked(verb, kind);
        if verb.is_write() && !call.is_dry_run() {
            self.notes.wrote(Write {
                verb,
                kind,
                key,
                code: code.as_u16(),
                agent: call.header(header::USER_AGENT).to_owned(),
            });
        }
    }

    async fn perform(
        &self,
        asked: &RequestContext,
        call: &Call,
        route: Route,
        body: axum::body::Body,
    ) -> Result<Response, Status> {
        let body = axum::body::to_bytes(body, MAX_BODY).await;
        let body = body.map_err(|_| {
            let message = format!("limit of request body is {MAX_BODY} bytes");
            Status::failure(413, "RequestEntityTooLarge", message)
        })?;
        match route {
            Route::Collection { kind, scope, watch } => match call.method {
                Method::GET => {
                    let place = Place { scope, watch };
                    self.read(asked, call, kind, place).await
                }
                Method::POST if scope != Scope::Cluster && watch == WatchPath::No => {
                    self.create(asked, call, kind, scope.namespace().unwrap_or(""), &body)
                }
                Method::DELETE if kind.is_namespaced() && scope != Scope::Cluster => {
                    self.delete_all(asked, call, kind, &scope, &body)
                }
                _ => Err(not_allowed()),
            },
            Route::Object { kind, key, part } => match call.method {
                Method::GET => read::object(asked, self.storage.cache(kind), &key).await,
                Method::PUT => self.update(asked, call, (kind, &key, part), &body),
                Method::PATCH => self.patch(asked, call, (kind, &key, part), &body),
                Method::DELETE if part == Part::Main => self.delete(asked, call, kind, &key, &body),
                _ => Err(not_allowed()),
            },
            Route::Document(document) if call.method == Method::GET => {
                Ok(self.document(asked, &document))
            }
            Route::Document(_) => Err(not_allowed()),
            Route::Probe => {
                let plain = "text/plain; charset=utf-8";
                Ok(response::with_type(asked, StatusCode::OK, plain, "ok"))
            }
            Route::UnknownResource => Err(Status::failure(
                404,
                "NotFound",
                "the server could not find the requested resource",
            )
            .about(Details::default())),
            Route::Unknown => Ok(response::page_not_found(asked)),
        }
    }

    async fn read(
        &self,
        asked: &RequestContext,
        call: &Call,
        kind: Kind,
        place: Place,
    ) -> Result<Response, Status> {
        let subject = call.collection_verb(&place.watch).map(|verb| (verb, kind));
        let lacks_everything = self.faults.met(subject).contains(&Fault::EmptyLists);
        let context = Context {
            shutdown: self.shutdown.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        let cache = match lacks_everything && call.wants_state(&place.watch) {
            true => self.storage.empty_hub(kind),
            false => Arc::clone(self.storage.cache(kind)),
        };
        read::collection(asked, &cache, place, context).await
    }

    fn document(&self, asked: &RequestContext, document: &Document) -> Response {
        let plain = || discovery::plain(document, &self.address);
        match document {
            Document::CoreVersions | Document::Groups => {
                response::discovered(asked, plain, || discovery::aggregated(document))
            }
            Document::Root
            | Document::Version
            | Document::Group(_)
            | Document::Resources(_)
            | Document::Schemas
            | Document::Schema(_) => response::document(asked, StatusCode::OK, plain()),
        }
    }

    fn create(
        &self,
        asked: &RequestContext,
        call: &Call,
        kind: Kind,
        namespace: &str,
        body: &Bytes,
    ) -> Result<Response, Status> {
        let intent = call.intent("CreateOptions")?;
        let sent = call.object(kind, body)?;
        let outcome = self.storage.create(kind, namespace, sent, &intent)?;
        self.written(asked, kind, &outcome)
    }

    fn update(
        &self,
        asked: &RequestContext,
        call: &Call,
        (kind, key, part): (Kind, &ObjectKey, Part),
        body: &Bytes,
    ) -> Result<Response, Status> {
        let intent = call.intent("UpdateOptions")?;
        let sent = call.object(kind, body)?;
        let outcome = self.storage.update(kind, key, part, sent, &intent)?;
        self.written(asked, kind, &outcome)
    }

    fn patch(
        &self,
        asked: &RequestContext,
        call: &Call,
        (kind, key, part): (Kind, &ObjectKey, Part),
        body: &Bytes,
    ) -> Result<Response, Status> {
        let intent = call.intent("PatchOptions")?;
        let patch = Patch::parse(call.header(header::CONTENT_TYPE), body)?;
        let outcome = match &patch {
            Patch::Apply(config) => {
                let manager = call.parameter("fieldManager").unwrap_or_default();
                let force = call.is_set("force");
                let application = Application { config, force };
                self.storage
                    .apply((kind, key, part), manager, application, &intent)?
            }
            Patch::Json(_) | Patch::Merge(_) | Patch::Strategic(_) => {
                let change = |old: &serde_json::Value| patch.merged(kind, old);
                self.storage.change(kind, key, part, &intent, change)?
            }
        };
        self.written(asked, kind, &outcome)
    }

    fn written(
        &self,
        asked: &RequestContext,
        kind: Kind,
        outcome: &Outcome,
    ) -> Result<Response, Status> {
        let code = match outcome.is_new {
            true => StatusCode::CREATED,
            false => StatusCode::OK,
        };
        let cache = self.storage.cache(kind);
        let mut response = read::written(asked, cache, &outcome.entry, code)?;
        for warning in &outcome.warnings {
            let warning = warning.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(warning) = HeaderValue::try_from(format!("299 - \"{warning}\"")) {
                response.headers_mut().append(header::WARNING, warning);
            }
        }
        Ok(response)
    }

    fn delete(
        &self,
        asked: &RequestContext,
        call: &Call,
        kind: Kind,
        key: &ObjectKey,
        body: &Bytes,
    ) -> Result<Response, Status> {
        let options = delete_options(call, body)?;
        let entry = self.storage.delete(kind, key, &options)?;
        let is_left = self.storage.cache(kind).get(key).is_some();
        if is_left || matches!(kind, Kind::Services | Kind::Namespaces) {
            return read::written(asked, self.storage.cache(kind), &entry, StatusCode::OK);
        }
        let status = gone(kind, key.name(), &entry.object().uid).to_string();
        Ok(response::document(asked, StatusCode::OK, status))
    }

    fn delete_all(
        &self,
        asked: &RequestContext,
        call: &Call,
        kind: Kind,
        scope: &Scope,
        body: &Bytes,
    ) -> Result<Response, Status> {
        let options = delete_options(call, body)?;
        let selector = call.parameter("labelSelector").unwrap_or_default();
        let labels = selector.parse::<LabelSelector>();
        let labels = labels.map_err(|why| Status::bad_request(why.to_string()))?;
        let mut deleted = Vec::new();
        for entry in self.storage.list(kind, scope.clone(), &labels) {
            match self.storage.delete(kind, entry.key(), &options) {
                Ok(entry) => deleted.push(item(&entry)),
                // Somebody else was faster.
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        let names = kind.names();
        let revision = self
            .storage
            .cache(kind)
            .progress()
            .borrow()
            .unwrap_or_default();
        let list = serde_json::json!({
            "kind": format!("{}List", names.kind),
            "apiVersion": names.api_version,
            "metadata": { "resourceVersion": revision.to_string() },
            "items": deleted,
        });
        Ok(response::document(asked, StatusCode::OK, list.to_string()))
    }
}

/// An object as it stands in a list, which says what its items are.
fn item(entry: &emitter_cache::Entry) -> serde_json::Value {
    let mut object = value(entry);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    object
}

fn delete_options(call: &Call, body: &Bytes) -> Result<DeleteOptions, Status> {
    call.intent("DeleteOptions")?;
    let mut options: DeleteOptions = body::delete_options(call.header(header::CONTENT_TYPE), body)?;
    if call.is_dry_run() {
        options.dry_run = vec!["All".to_owned()];
    }
    if let Some(policy) = call.parameter("propagationPolicy") {
        options.propagation_policy = Some(policy.to_owned());
    }
    Ok(options)
}

fn not_allowed() -> Status {
    let message = "the server does not allow this method on the requested resource";
    Status::failure(405, "MethodNotAllowed", message).about(Details::default())
}
