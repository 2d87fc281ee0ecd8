//! Single questions of kube-rs, to an emitter and to the API server behind it.

use std::fmt::Debug;

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::lab::EXPORT;

/// Whether both answer alike, when nothing happens.
pub(super) async fn are_alike(theirs: &Client, ours: &Client) -> anyhow::Result<()> {
    compare::<Service>(theirs, ours).await?;
    compare::<EndpointSlice>(theirs, ours).await?;
    compare::<Endpoints>(theirs, ours).await
}

async fn compare<K>(theirs: &Client, ours: &Client) -> anyhow::Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Serialize + DeserializeOwned + Clone + Debug,
{
    let (theirs, ours) = tokio::try_join!(answers::<K>(theirs), answers::<K>(ours))?;
    for (question, answer) in theirs.as_object().context("answers by question")? {
        let ours = &ours[question];
        let kind = K::kind(&());
        ensure!(
            answer == ours,
            "{kind} {question}:\n{answer}\nthe emitter:\n{ours}"
        );
    }
    Ok(())
}

/// Everything that kube-rs can ask, and what came of it.
async fn answers<K>(client: &Client) -> anyhow::Result<Value>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Serialize + DeserializeOwned + Clone + Debug,
{
    let api = Api::<K>::namespaced(client.clone(), "demo");
    let exported = ListParams::default().labels(&format!("{EXPORT}=true"));
    let list = api.list(&exported).await?;
    let first = list.items.first().context("there are some")?.name_any();
    let mut pages = Vec::new();
    let mut page = exported.clone().limit(2);
    loop {
        let told = api.list(&page).await?;
        // Where pages end depends on what is not exported, which an emitter does not know.
        pages.extend(told.items);
        match told.metadata.continue_.filter(|it| !it.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => break,
        }
    }
    let missing = api.get("missing").await.err().map(|it| it.to_string());
    Ok(json!({
        "list": list.items,
        "pages": pages,
        "any": api.list(&exported.clone().match_any()).await?.items,
        "metadata": api.list_metadata(&exported).await?.items,
        "get": api.get(&first).await?,
        "get metadata": api.get_metadata(&first).await?,
        "get what is missing": missing,
        "get what may be missing": api.get_opt("missing").await?,
        "watch": told(&api, &first).await?,
    }))
}

/// What a watch of one object tells in a second.
async fn told<K>(api: &Api<K>, name: &str) -> anyhow::Result<Vec<Value>>
where
    K: Resource + Serialize + DeserializeOwned + Clone + Debug,
{
    let name = format!("metadata.name={name}");
    let params = WatchParams::default().fields(&name).timeout(1);
    let events: Vec<WatchEvent<K>> = api.watch(&params, "0").await?.try_collect().await?;
    let objects = events.iter().filter_map(|event| match event {
        WatchEvent::Added(object) => Some(serde_json::to_value(object)),
        // Where it is, is not the same for both in any instant.
        WatchEvent::Bookmark(_) => None,
        other => Some(Ok(json!(format!("{other:?}")))),
    });
    Ok(objects.collect::<Result<_, _>>()?)
}
