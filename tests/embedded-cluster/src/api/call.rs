//! What a request asks for, beside its path and body.

use axum::body::Bytes;
use axum::extract::Request;
use emitter::api::WatchPath;
use http::{HeaderMap, Method, header};
use proto_types::Status;
use proto_types::status::{Details, StatusCause};
use serde_json::Value;

use super::patch;
use crate::fault::Subject;
use crate::route::Route;
use crate::write::{Intent, Ownership, Validation};
use crate::{Kind, Verb, body};

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

    /// The object in a body.
    pub(super) fn object(&self, kind: Kind, body: &Bytes) -> Result<Value, Status> {
        body::object(kind, self.header(header::CONTENT_TYPE), body)
    }

    pub(super) fn is_watch(&self) -> bool {
        self.is_set("watch")
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
            invalid(options, field, "FieldValueNotSupported", why)
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
        self.check_manager(options)?;
        Ok(Intent {
            dry_run: self.is_dry_run(),
            validation,
            ownership: Ownership::Manager(self.manager()),
        })
    }

    /// Who writes, as the client says it, or as the program is called.
    fn manager(&self) -> String {
        let said = self.parameter("fieldManager").filter(|it| !it.is_empty());
        let program = || self.header(header::USER_AGENT).split('/').next();
        let name = said.or_else(program).unwrap_or_default();
        name.chars().take(MAX_MANAGER).collect()
    }

    fn check_manager(&self, options: &str) -> Result<(), Status> {
        let manager = self.parameter("fieldManager").unwrap_or_default();
        let is_apply = self.header(header::CONTENT_TYPE).starts_with(patch::APPLY);
        let is_patch = options == "PatchOptions";
        if is_patch && is_apply && manager.is_empty() {
            let why = "Required value: is required for apply patch".to_owned();
            return Err(invalid(options, "fieldManager", "FieldValueRequired", why));
        }
        if is_patch && !is_apply && self.parameter("force").is_some() {
            let why = "Forbidden: may not be specified for non-apply patch".to_owned();
            return Err(invalid(options, "force", "FieldValueForbidden", why));
        }
        if MAX_MANAGER < manager.len() {
            let why = format!("Too long: may not be more than {MAX_MANAGER} bytes");
            return Err(invalid(options, "fieldManager", "FieldValueTooLong", why));
        }
        Ok(())
    }

    /// Whether a parameter says yes.
    pub(super) fn is_set(&self, name: &str) -> bool {
        let value = self.parameter(name);
        value.is_some_and(|it| it != "0" && !it.eq_ignore_ascii_case("false"))
    }
}

/// As long as the name of a manager may be.
const MAX_MANAGER: usize = 128;

/// 422: the parameters of a request are not what they may be.
fn invalid(options: &str, field: &str, reason: &str, why: String) -> Status {
    let message = format!("{options}.meta.k8s.io \"\" is invalid: {field}: {why}");
    Status::failure(422, "Invalid", message).about(Details {
        group: "meta.k8s.io".to_owned(),
        kind: options.to_owned(),
        causes: vec![StatusCause {
            reason: reason.to_owned(),
            message: why,
            field: field.to_owned(),
        }],
        ..Details::default()
    })
}
