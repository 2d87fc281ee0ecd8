//! Writes to the local API server, and the objects that they send.

use bytes::Bytes;
use proto_types::resource::ApiResource;
use proto_types::{Labels, ObjectKey, ResourceVersion};
use serde_json::{Map, Value, json};

use crate::local::Observed;

/// A write to the local API server.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The resource.
    pub resource: &'static ApiResource,
    /// The object.
    pub key: ObjectKey,
    /// The request.
    pub request: Request,
}

/// A request. Each names the version that it is about, so that it never meets an object
/// that another writer changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// POST.
    Create(Bytes),
    /// PUT.
    Update(Bytes),
    /// PUT of the subresource `status`.
    UpdateStatus(Bytes),
    /// DELETE with preconditions.
    Delete(Bytes),
}

impl Request {
    /// Returns the verb for logs and metrics.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Update(_) => "update",
            Self::UpdateStatus(_) => "update status",
            Self::Delete(_) => "delete",
        }
    }
}

pub(crate) fn new(resource: &ApiResource, key: &ObjectKey) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("kind".to_owned(), json!(resource.kind));
    object.insert("apiVersion".to_owned(), json!(resource.api_version));
    let metadata = json!({"name": key.name(), "namespace": key.namespace()});
    object.insert("metadata".to_owned(), metadata);
    object
}

pub(crate) fn marks(object: &mut Map<String, Value>, labels: &Labels, annotations: &Labels) {
    let metadata = child(object, "metadata");
    for (field, marks) in [("labels", labels), ("annotations", annotations)] {
        let all = child(metadata, field);
        all.extend(
            marks
                .iter()
                .map(|(key, value)| (key.to_owned(), json!(value))),
        );
    }
}

pub(crate) fn child<'a>(
    object: &'a mut Map<String, Value>,
    field: &str,
) -> &'a mut Map<String, Value> {
    let value = object.entry(field.to_owned()).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was just made an object")
}

pub(crate) fn create(
    resource: &'static ApiResource,
    key: &ObjectKey,
    object: Map<String, Value>,
) -> Action {
    let body = Value::Object(object).to_string().into();
    action(resource, key, Request::Create(body))
}

pub(crate) fn update<T>(
    resource: &'static ApiResource,
    key: &ObjectKey,
    observed: &Observed<T>,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Option<Action> {
    let mut object: Map<String, Value> = serde_json::from_slice(&observed.json).ok()?;
    child(&mut object, "metadata").remove("managedFields");
    change(&mut object);
    let body = Value::Object(object).to_string().into();
    Some(action(resource, key, Request::Update(body)))
}

pub(crate) fn update_status(
    resource: &'static ApiResource,
    key: &ObjectKey,
    json: &[u8],
    status: Map<String, Value>,
) -> Option<Action> {
    let mut object: Map<String, Value> = serde_json::from_slice(json).ok()?;
    child(&mut object, "metadata").remove("managedFields");
    // The object may have been read in another version of the API.
    object.insert("apiVersion".to_owned(), json!(resource.api_version));
    object.insert("status".to_owned(), Value::Object(status));
    let body = Value::Object(object).to_string().into();
    Some(action(resource, key, Request::UpdateStatus(body)))
}

pub(crate) fn delete<T>(
    resource: &'static ApiResource,
    key: &ObjectKey,
    observed: &Observed<T>,
) -> Action {
    delete_version(resource, key, &observed.uid, observed.revision)
}

pub(crate) fn delete_version(
    resource: &'static ApiResource,
    key: &ObjectKey,
    uid: &str,
    revision: ResourceVersion,
) -> Action {
    let preconditions = json!({"uid": uid, "resourceVersion": revision.to_string()});
    let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions});
    action(resource, key, Request::Delete(body.to_string().into()))
}

pub(crate) fn action(resource: &'static ApiResource, key: &ObjectKey, request: Request) -> Action {
    Action {
        resource,
        key: key.clone(),
        request,
    }
}
