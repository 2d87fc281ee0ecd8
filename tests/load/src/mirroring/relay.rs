//! The floor of a change: a watch of the source, a write here.

use std::collections::HashMap;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use http::Request;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;
use tokio::task::JoinSet;

use super::cluster::{EXPORTS, Local, Source, create_namespace, slices_path, watch};

/// Where it writes.
pub(crate) const NAMESPACE: &str = "relayed";

/// Copies slices for as long as it lives.
pub(crate) struct Relay {
    _task: JoinSet<anyhow::Result<()>>,
}

impl Relay {
    pub(crate) async fn start(source: &Source, local: &Local) -> anyhow::Result<Self> {
        create_namespace(&local.client, NAMESPACE).await?;
        let mut changed = watch::<EndpointSlice>(&source.client, &slices_path(EXPORTS))
            .await?
            .boxed();
        let client = local.client.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut versions: HashMap<String, Option<String>> = HashMap::new();
            let mut writes = JoinSet::new();
            loop {
                tokio::select! {
                    slice = changed.try_next() => {
                        let slice = slice?.context("the watch of the source ended")?;
                        let name = slice.metadata.name.clone().context("a slice has a name")?;
                        let version = versions.get(&name).cloned().flatten();
                        writes.spawn(write(client.clone(), name, version, slice));
                    }
                    Some(written) = writes.join_next() => {
                        let (name, version) = written??;
                        versions.insert(name, Some(version));
                    }
                }
            }
        });
        Ok(Self { _task: task })
    }
}

/// Creates a slice, or replaces one that has been written.
async fn write(
    client: kube::Client,
    name: String,
    version: Option<String>,
    mut slice: EndpointSlice,
) -> anyhow::Result<(String, String)> {
    let collection = slices_path(NAMESPACE);
    let request = match &version {
        None => Request::post(collection),
        Some(_) => Request::put(format!("{collection}/{name}")),
    };
    slice.metadata = kube::core::ObjectMeta {
        name: Some(name.clone()),
        labels: slice.metadata.labels,
        resource_version: version,
        ..Default::default()
    };
    let request = request
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&slice)?)?;
    let answer: Value = client.request(request).await?;
    let version = answer["metadata"]["resourceVersion"].as_str();
    Ok((name, version.context("an object has a version")?.to_owned()))
}
