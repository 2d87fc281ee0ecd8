//! Performs actions on the local API server.

use bytes::Bytes;
use http::Method;
use proto_types::{ObjectKey, Resource, Status};
use reflector_clusterset::{Action, Request, Schema};
use serde_json::Value;
use tracing::debug;

use crate::queue::Requeue;
use crate::write::rejection::{RejectedField, optional_fields};
use crate::write::{Failure, Writer};

/// Result of the actions for an import.
#[derive(Debug)]
pub(super) struct Done {
    /// The import.
    pub(super) key: ObjectKey,
    /// Delay of the retry, if a step failed.
    pub(super) again: Option<Requeue>,
    /// Reason for which the API server rejected an object.
    pub(super) rejected: Option<String>,
    /// Values of optional fields that the API server rejected.
    pub(super) fields: Vec<RejectedField>,
    /// Fields of ServiceImports that the installed schema has, and has not.
    pub(super) schemas: Vec<Schema>,
}

/// Performs actions in their order. The first failure ends it.
pub(super) async fn perform(writer: Writer, key: ObjectKey, actions: Vec<Action>) -> Done {
    let mut done = Done {
        key,
        again: None,
        rejected: None,
        fields: Vec::new(),
        schemas: Vec::new(),
    };
    for action in actions {
        let result = send(&writer, &action).await;
        let (resource, object, verb) = (action.resource, &action.key, action.request.verb());
        match result {
            Ok(body) => {
                debug!(%resource, key = %object, verb, "wrote");
                done.schemas.extend(schema(&action, &body));
            }
            Err(failure) => {
                debug!(%resource, key = %object, verb, %failure, "could not write");
                done.again = Some(match failure {
                    Failure::Conflict(_) => Requeue::Now,
                    Failure::Standby | Failure::Unavailable(_) => Requeue::WithBackoff,
                    Failure::Rejected(status) => {
                        done.fields = fields(&action, &status);
                        if done.fields.is_empty() {
                            let (kind, why) = (resource.kind, &status.message);
                            done.rejected = Some(format!("cannot {verb} {kind} {object}: {why}"));
                            Requeue::WithBackoff
                        } else {
                            Requeue::Now
                        }
                    }
                });
                break;
            }
        }
    }
    done
}

/// Returns the values of optional fields for which an object was rejected.
fn fields(action: &Action, status: &Status) -> Vec<RejectedField> {
    let (Request::Create(body) | Request::Update(body)) = &action.request else {
        return Vec::new();
    };
    let mut all = Resource::ALL.into_iter();
    let resource = all.find(|it| it.names().plural == action.resource.plural);
    let fields = resource.map(|it| optional_fields(it, body, status));
    fields.unwrap_or_default()
}

async fn send(writer: &Writer, action: &Action) -> Result<Bytes, Failure> {
    let collection = action.resource.collection(Some(action.key.namespace()));
    let object = format!("{collection}/{}", action.key.name());
    let (method, path, body) = match &action.request {
        Request::Create(body) => (Method::POST, collection, body),
        Request::Update(body) => (Method::PUT, object, body),
        Request::UpdateStatus(body) => (Method::PUT, format!("{object}/status"), body),
        Request::Delete(body) => (Method::DELETE, object, body),
    };
    writer.request(method, &path, body.clone()).await
}

/// Returns which fields of a ServiceImport the schema kept.
fn schema(action: &Action, body: &Bytes) -> Option<Schema> {
    let is_import = action.resource.plural == "serviceimports";
    let (part, sent) = match &action.request {
        Request::Create(sent) | Request::Update(sent) if is_import => ("spec", sent),
        Request::UpdateStatus(sent) if is_import => ("status", sent),
        _ => return None,
    };
    let read = |json: &Bytes| serde_json::from_slice::<Value>(json).ok();
    Some(Schema::compare(part, &read(sent)?, &read(body)?))
}
