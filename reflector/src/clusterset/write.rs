//! Performs actions on the local API server.

use bytes::Bytes;
use http::Method;
use proto_types::ObjectKey;
use reflector_clusterset::{Action, Request};
use serde_json::{Value, json};
use tracing::debug;

use crate::queue::Again;
use crate::write::{Failure, Writer};

/// Result of the actions for an import.
#[derive(Debug)]
pub(super) struct Done {
    /// The import.
    pub(super) key: ObjectKey,
    /// When to try again what failed.
    pub(super) again: Option<Again>,
    /// Why the API server rejected an object.
    pub(super) rejected: Option<String>,
    /// Whether the installed schema drops `status.endpointSliceObjects`, where that was seen.
    pub(super) pruned: Option<bool>,
}

/// Performs actions in their order. The first failure ends it.
pub(super) async fn perform(writer: Writer, key: ObjectKey, actions: Vec<Action>) -> Done {
    let mut done = Done {
        key,
        again: None,
        rejected: None,
        pruned: None,
    };
    for action in actions {
        let result = send(&writer, &action).await;
        let (resource, object, verb) = (action.resource, &action.key, action.request.verb());
        match result {
            Ok(body) => {
                debug!(%resource, key = %object, verb, "wrote");
                done.pruned = done.pruned.or_else(|| pruned(&action, &body));
            }
            Err(failure) => {
                debug!(%resource, key = %object, verb, %failure, "could not write");
                done.again = Some(match failure {
                    Failure::Conflict(_) => Again::Soon,
                    Failure::Standby | Failure::Unavailable(_) => Again::Later,
                    Failure::Rejected(why) => {
                        let kind = resource.kind;
                        done.rejected = Some(format!("cannot {verb} {kind} {object}: {why}"));
                        Again::Later
                    }
                });
                break;
            }
        }
    }
    done
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

/// Returns whether the schema dropped a field of a status that was written.
fn pruned(action: &Action, body: &Bytes) -> Option<bool> {
    let Request::UpdateStatus(sent) = &action.request else {
        return None;
    };
    let field = |json: &Bytes| {
        let object: Value = serde_json::from_slice(json).ok()?;
        Some(object["status"]["endpointSliceObjects"] == json!("Present"))
    };
    field(sent)?.then(|| field(body).is_some_and(|is_kept| !is_kept))
}
