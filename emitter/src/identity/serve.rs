//! Serves the identity as a cluster does.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, StatusCode, header};
use proto_types::Status;
use proto_types::status::Details;
use serde_json::{Value, json};

use super::{ExpectedIdentity, NAMESPACE, PROPERTIES};

/// With every answer.
const NAME_HEADER: HeaderName = HeaderName::from_static("heliograph-cluster");
pub(super) const UID_HEADER: HeaderName = HeaderName::from_static("heliograph-cluster-uid");

/// Serves the identity.
pub fn router(identity: Arc<ExpectedIdentity>) -> Router {
    let property = format!("{PROPERTIES}/{{name}}");
    Router::new()
        .route(NAMESPACE, get(namespace))
        .route("/apis/about.k8s.io/v1beta1", get(resources))
        .route(PROPERTIES, get(properties))
        .route(&property, get(one_property))
        .with_state(identity)
}

/// Tells the identity with every answer.
pub async fn sign(
    State(identity): State<Arc<ExpectedIdentity>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let values = [
        (NAME_HEADER, identity.cluster()),
        (UID_HEADER, identity.uid()),
    ];
    for (name, value) in values {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// As a kube-apiserver, but without further details.
async fn namespace(State(identity): State<Arc<ExpectedIdentity>>) -> Response {
    match identity.uid() {
        Some(uid) => document_of(&json!({
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": {"name": "kube-system", "uid": uid},
            "spec": {},
            "status": {"phase": "Active"},
        })),
        None => {
            let why = "the upstream has not told the uid of kube-system yet";
            refusal(&Status::failure(503, "ServiceUnavailable", why))
        }
    }
}

async fn resources() -> Response {
    document_of(&json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "about.k8s.io/v1beta1",
        "resources": [{
            "name": "clusterproperties",
            "singularName": "clusterproperty",
            "namespaced": false,
            "kind": "ClusterProperty",
            "verbs": ["get", "list"],
        }],
    }))
}

async fn properties(State(identity): State<Arc<ExpectedIdentity>>) -> Response {
    let Some(properties) = identity.properties() else {
        return unknown();
    };
    let properties = properties.into_iter();
    let items: Vec<Value> = properties
        .map(|(name, value)| item(&name, &value))
        .collect();
    document_of(&json!({
        "kind": "ClusterPropertyList",
        "apiVersion": "about.k8s.io/v1beta1",
        "metadata": {"resourceVersion": "0"},
        "items": items,
    }))
}

async fn one_property(
    State(identity): State<Arc<ExpectedIdentity>>,
    Path(asked): Path<String>,
) -> Response {
    let Some(properties) = identity.properties() else {
        return unknown();
    };
    let mut properties = properties.into_iter();
    match properties.find(|(name, _)| *name == asked) {
        Some((name, value)) => document_of(&item(&name, &value)),
        None => {
            let message = format!("clusterproperties.about.k8s.io {asked:?} not found");
            let details = Details {
                name: asked,
                group: "about.k8s.io".to_owned(),
                kind: "clusterproperties".to_owned(),
                ..Details::default()
            };
            refusal(&Status::failure(404, "NotFound", message).about(details))
        }
    }
}

/// Response while the properties of the upstream are not known.
fn unknown() -> Response {
    let why = "the upstream has not told the properties of its cluster yet";
    refusal(&Status::failure(503, "ServiceUnavailable", why))
}

fn item(name: &str, value: &str) -> Value {
    json!({
        "kind": "ClusterProperty",
        "apiVersion": "about.k8s.io/v1beta1",
        "metadata": {"name": name},
        "spec": {"value": value},
    })
}

fn document_of(value: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, value.to_string()).into_response()
}

fn refusal(status: &Status) -> Response {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = [(header::CONTENT_TYPE, "application/json")];
    (code, json, status.to_json()).into_response()
}
