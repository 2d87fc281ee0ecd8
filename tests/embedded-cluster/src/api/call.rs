//! What a request asks for, beside its path and body.

use axum::body::Bytes;
use axum::extract::Request;
use emitter::api::WatchPath;
use http::{HeaderMap, Method, header};
use proto_types::Status;
use proto_types::status::{Cause, Details};

use super::patch;
use crate::Verb;
use crate::fault::Subject;
use crate::route::Route;
use crate::write::{Intent, Validation};

/// A request's parts that outlive its body.
pub(super) struct Call {
    pub(super) method: Method,
    query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
}

impl Call {
    pub(super) fn new(request: Request) -> (Self, axum::body::Body) {
        let (head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        let call = Self {
            method: head.method,
            query: pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            headers: head.headers,
        };
        (call, body)
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: header::HeaderName) -> &str {
        let value = self.headers.get(name).and_then(|it| it.to_str().ok());
        value.unwrap_or_default()
    }

    /// The body, if it is of a form that is read here.
    pub(super) fn json<'a>(&self, body: &'a Bytes) -> Result<&'a Bytes, Status> {
        let media_type = self.header(header::CONTENT_TYPE);
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        match media_type {
            "" | "application/json" => Ok(body),
            _ => Err(patch::unsupported(&["application/json"])),
        }
    }

    pub(super) fn is_watch(&self) -> bool {
        let watch = self.parameter("watch");
        watch.is_some_and(|it| it != "0" && !it.eq_ignore_ascii_case("false"))
    }

    pub(super) fn subject(&self, route: &Route) -> Option<Subject> {
        match route {
            Route::Collection { kind, watch, .. } => {
                self.collection_verb(watch).map(|verb| (verb, *kind))
            }
            Route::Object { kind, .. } => {
                let verb = match self.method {
                    Method::GET => Verb::Get,
                    Method::PUT => Verb::Update,
                    Method::PATCH => Verb::Patch,
                    Method::DELETE => Verb::Delete,
                    _ => return None,
                };
                Some((verb, *kind))
            }
            Route::Document(_) | Route::Probe | Route::UnknownResource | Route::Unknown => None,
        }
    }

    pub(super) fn collection_verb(&self, watch: &WatchPath) -> Option<Verb> {
        match self.method {
            Method::GET if *watch != WatchPath::No || self.is_watch() => Some(Verb::Watch),
            Method::GET => Some(Verb::List),
            Method::POST => Some(Verb::Create),
            Method::DELETE => Some(Verb::DeleteCollection),
            _ => None,
        }
    }

    /// Whether all that there is was asked for, and not only what happens to it.
    pub(super) fn wants_state(&self, watch: &WatchPath) -> bool {
        let from = self.parameter("resourceVersion").unwrap_or_default();
        let initial = self.parameter("sendInitialEvents");
        self.collection_verb(watch) == Some(Verb::List)
            || initial.is_some_and(|it| it != "false")
            || initial.is_none() && matches!(from, "" | "0")
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.parameter("dryRun").is_some_and(|it| !it.is_empty())
    }

    /// How a write is meant; `options` is what a kube-apiserver calls its parameters.
    pub(super) fn intent(&self, options: &str) -> Result<Intent, Status> {
        let wrong = |field: &str, value: String, supported: &str| {
            let why = format!("Unsupported value: {value}: supported values: {supported}");
            let message = format!("{options}.meta.k8s.io \"\" is invalid: {field}: {why}");
            Status::failure(422, "Invalid", message).about(Details {
                group: "meta.k8s.io".to_owned(),
                kind: options.to_owned(),
                causes: vec![Cause {
                    reason: "FieldValueNotSupported".to_owned(),
                    message: why,
                    field: field.to_owned(),
                }],
                ..Details::default()
            })
        };
        match self.parameter("dryRun") {
            None | Some("" | "All") => {}
            Some(other) => return Err(wrong("dryRun", format!("[{other:?}]"), "\"All\"")),
        }
        let validation = match self.parameter("fieldValidation") {
            None | Some("" | "Warn") => Validation::Warn,
            Some("Ignore") => Validation::Ignore,
            Some("Strict") => Validation::Strict,
            Some(other) => {
                let supported = "\"\", \"Ignore\", \"Strict\", \"Warn\"";
                return Err(wrong("fieldValidation", format!("{other:?}"), supported));
            }
        };
        Ok(Intent {
            dry_run: self.is_dry_run(),
            validation,
        })
    }
}
