//! Deletes namespaces that were created for mirrors, when nothing is left in them.
//!
//! A namespace takes all that is in it with it. So it goes only if it bears the marks of
//! its creation, and if every kind of object that a namespace can hold has been listed and
//! is not there, except for what Kubernetes puts into each namespace. What cannot be listed
//! may be there.

use bytes::Bytes;
use http::Method;
use proto_types::label::{self, HELIOGRAPH};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{debug, info};

use super::{NAMESPACES, Writer};

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Deserialize)]
struct Kinds {
    #[serde(default)]
    resources: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    name: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

/// Objects that Kubernetes puts into each namespace, by the beginning of their names.
const EVERYWHERE: [(&str, &str); 4] = [
    ("events", ""),
    ("serviceaccounts", "default"),
    ("configmaps", "kube-root-ca.crt"),
    ("secrets", "default-token-"),
];

impl Writer {
    /// Deletes a namespace that was created for mirrors and holds nothing else.
    pub(super) async fn reap(&self, namespace: &str) {
        let Some(found) = self.created_namespace(namespace).await else {
            return;
        };
        match self.first_object(namespace).await {
            Err(why) => info!(namespace, why, "the namespace stays: it may not be empty"),
            Ok(Some(object)) => debug!(namespace, object, "the namespace stays: it is not empty"),
            Ok(None) => self.delete_namespace(namespace, &found).await,
        }
    }

    async fn delete_namespace(&self, namespace: &str, found: &Value) {
        let preconditions = json!({
            "uid": found["metadata"]["uid"],
            "resourceVersion": found["metadata"]["resourceVersion"],
        });
        let options = json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions,
        });
        let path = format!("{NAMESPACES}/{namespace}");
        let sent = self.send(Method::DELETE, &path, options.to_string().into());
        match sent.await {
            Ok(_) => info!(
                namespace,
                "deleted a namespace that was created for mirrors"
            ),
            Err(refusal) => info!(namespace, ?refusal, "the namespace stays"),
        }
    }

    /// The namespace, if it was created for mirrors and is not being deleted.
    async fn created_namespace(&self, namespace: &str) -> Option<Value> {
        let path = format!("{NAMESPACES}/{namespace}");
        let found: Value = self.read(&path).await.ok()?;
        let labels = &found["metadata"]["labels"];
        let is_ours = labels[label::MANAGED_BY] == HELIOGRAPH && labels[label::SOURCE].is_string();
        let is_kept = found["metadata"]["deletionTimestamp"].is_string();
        (is_ours && !is_kept).then_some(found)
    }

    /// An object in a namespace that is not in every namespace.
    async fn first_object(&self, namespace: &str) -> Result<Option<String>, String> {
        // What is there most often, first.
        let services = format!("{NAMESPACES}/{namespace}/services?limit=1");
        if let Some(name) = self.first_of(&services, "services").await? {
            return Ok(Some(name));
        }
        let mut versions = vec!["/api/v1".to_owned()];
        let groups: Groups = self.read("/apis").await?;
        let preferred = groups.groups.into_iter().map(|it| it.preferred_version);
        versions.extend(preferred.map(|it| format!("/apis/{}", it.group_version)));
        for version in versions {
            let kinds: Kinds = self.read(&version).await?;
            for Kind { name, .. } in kinds.resources.iter().filter(|it| it.is_listed()) {
                let path = format!("{version}/namespaces/{namespace}/{name}?limit=20");
                if let Some(object) = self.first_of(&path, name).await? {
                    return Ok(Some(object));
                }
            }
        }
        Ok(None)
    }

    async fn first_of(&self, path: &str, kind: &str) -> Result<Option<String>, String> {
        let list: Value = self.read(path).await?;
        let items = list["items"].as_array().into_iter().flatten();
        let mut names = items.map(|it| it["metadata"]["name"].as_str().unwrap_or_default());
        let is_everywhere = |name: &str| {
            let mut known = EVERYWHERE.iter().filter(|it| it.0 == kind);
            known.any(|(_, beginning)| name.starts_with(beginning))
        };
        let first = names.find(|it| !is_everywhere(it));
        Ok(first.map(|name| format!("{kind}/{name}")))
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let answer = self.send(Method::GET, path, Bytes::new()).await;
        let answer = answer.map_err(|refusal| format!("{path}: {refusal:?}"))?;
        serde_json::from_slice(&answer).map_err(|why| format!("{path}: {why}"))
    }
}

impl Kind {
    fn is_listed(&self) -> bool {
        let is_listed = self.verbs.iter().any(|it| it == "list");
        self.namespaced && is_listed && !self.name.contains('/')
    }
}
