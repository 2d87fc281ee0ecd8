//! Reads which CustomResourceDefinition the API server serves, and the record of the Sources.

use std::time::Duration;

use http::{Request, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use crate::config::{ObjectKind, RecordKey};

const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the UID of the CRD, if no deletion of it has begun.
pub(super) async fn crd(client: &kube::Client, kind: ObjectKind) -> Result<Box<str>, String> {
    let (name, plural) = (kind.names().qualified, kind.plural());
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
    // The schema is large, and of no interest.
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let object = match get(client, &path, accept).await {
        Ok(Some(object)) => object,
        Ok(None) => return Err(not_served(kind)),
        Err(why) => {
            return Err(format!(
                "cannot read the CustomResourceDefinition {name}, so that deleted {plural} stay in \
                 effect: {why}"
            ));
        }
    };
    let metadata = &object["metadata"];
    if !metadata["deletionTimestamp"].is_null() {
        return Err(format!("the CustomResourceDefinition {name} is deleted"));
    }
    let uid = metadata["uid"].as_str();
    let uid = uid.ok_or_else(|| format!("the CustomResourceDefinition {name} has no UID"))?;
    Ok(uid.into())
}

/// Returns what is recorded of the objects; nothing if there is no record.
pub(super) async fn recorded(
    client: &kube::Client,
    kind: ObjectKind,
    key: &RecordKey,
) -> Result<String, String> {
    let RecordKey { namespace, name } = key;
    let path = path(key);
    let map = get(client, &path, "application/json").await;
    let map = map.map_err(|why| {
        format!("cannot read ConfigMap {namespace}/{name}, so that no source is removed: {why}")
    })?;
    let map = map.unwrap_or_default();
    let text = map["metadata"]["annotations"][kind.recorded()].as_str();
    Ok(text.unwrap_or_default().to_owned())
}

/// Returns the path of the record.
pub(super) fn path(key: &RecordKey) -> String {
    let RecordKey { namespace, name } = key;
    format!("/api/v1/namespaces/{namespace}/configmaps/{name}")
}

pub(super) fn not_served(kind: ObjectKind) -> String {
    format!(
        "the API server does not serve {}: {}, or remove {}",
        kind.names().qualified,
        kind.installation(),
        kind.key()
    )
}

/// Reads an object; `None` if there is none.
async fn get(client: &kube::Client, path: &str, accept: &str) -> Result<Option<Value>, String> {
    let request = Request::get(path).header(http::header::ACCEPT, accept);
    let request = request.body(Vec::new()).map_err(|it| it.to_string())?;
    match timeout(PATIENCE, client.request::<Value>(request)).await {
        Ok(Ok(object)) => Ok(Some(object)),
        Ok(Err(kube::Error::Api(status))) if status.code == StatusCode::NOT_FOUND => Ok(None),
        Ok(Err(kube::Error::Api(status))) => Err(status.message.clone()),
        Ok(Err(error)) => Err(runtime::reasons(&error)),
        Err(_) => Err(format!("no response within {PATIENCE:?}")),
    }
}
