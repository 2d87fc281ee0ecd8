//! Lists of what is followed, metadata alone.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use proto_types::evidence::Read;
use proto_types::{Labels, ObjectKey, ResourceVersion};
use runtime::upstream::{self, UpstreamStatus};
use runtime::watcher::{IdentityCheck, Limits, Scope, ServerHeaders, Verifier};
use serde::Deserialize;

use crate::exposure::is_the_api_server;
use crate::health::UpstreamHealth;
use crate::read_barrier::Versions;

/// Metadata of 100 000 objects, generously.
const MAX_LIST: usize = 256 << 20;

/// Lists of what is followed, metadata alone.
pub struct Prober {
    client: kube::Client,
    pub(super) scope: Scope,
    verifier: Verifier,
    shows: Option<Shows>,
    health: Option<Arc<UpstreamHealth>>,
}

/// Returns whether an object with these labels is served.
type Shows = Box<dyn Fn(&ObjectKey, &Labels) -> bool + Send + Sync>;

/// Versions upstream, at a resource version.
pub(super) struct Found {
    pub(super) versions: Versions,
    pub(super) revision: ResourceVersion,
    /// `true` if objects that it lacks are absent.
    pub(super) is_confirmed: bool,
    /// `true` if the upstream has lost its own API server.
    pub(super) is_disconnected: bool,
}

/// Reason why there is no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unlisted {
    /// The upstream is there and has no time for this.
    #[error("status {0}")]
    Busy(StatusCode),
    /// Any other reason.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

#[derive(Deserialize)]
struct List {
    kind: String,
    metadata: ListMeta,
    /// Go writes null where there are none.
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: ResourceVersion,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    uid: Box<str>,
    resource_version: ResourceVersion,
    #[serde(default)]
    labels: Labels,
}

impl Prober {
    /// Prober of that upstream, as far as the guard accepts it.
    #[must_use]
    pub fn new(client: kube::Client, scope: Scope, guard: IdentityCheck) -> Self {
        Self {
            verifier: Verifier::new(client.clone(), Limits::default(), Some(guard)),
            client,
            scope,
            shows: None,
            health: None,
        }
    }

    /// The same, which does not wait for an upstream that is disconnected.
    #[must_use]
    pub fn connected(mut self, health: Arc<UpstreamHealth>) -> Self {
        self.health = Some(health);
        self
    }

    /// Returns whether the upstream is known to be disconnected.
    pub(super) fn is_disconnected(&self) -> bool {
        (self.health.as_ref()).is_some_and(|health| health.is_disconnected())
    }

    /// The same, which compares only objects that are served.
    #[must_use]
    pub fn showing(
        mut self,
        shows: impl Fn(&ObjectKey, &Labels) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.shows = Some(Box::new(shows));
        self
    }

    pub(super) async fn list(&self) -> Result<Found, Unlisted> {
        let before = self.verifier.before().await;
        let response = self.client.send(self.request()?).await;
        let response = response.map_err(anyhow::Error::from)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err(Unlisted::Busy(status));
        }
        if status != StatusCode::OK {
            return Err(anyhow::anyhow!("status {status}").into());
        }
        let headers = response.headers().clone();
        let body = Limited::new(response.into_body(), MAX_LIST).collect().await;
        let body = body.map_err(|why| anyhow::anyhow!(why))?.to_bytes();
        let shows = |key: &ObjectKey, labels: &Labels| {
            self.shows.as_ref().is_none_or(|shows| shows(key, labels))
        };
        let (versions, revision) = parse(&body, shows)?;
        let verified = self
            .verifier
            .verify(before, ServerHeaders::of(&headers))
            .await;
        verified.map_err(anyhow::Error::from)?;
        let said = UpstreamStatus::of(&headers);
        let is_disconnected = matches!(said, UpstreamStatus::Disconnected(_));
        Ok(Found {
            versions,
            revision,
            is_confirmed: !is_disconnected && said.read(&headers) == Read::Confirmed,
            is_disconnected,
        })
    }

    fn request(&self) -> anyhow::Result<Request<Body>> {
        let scope = &self.scope;
        let selector = scope.selector.to_string();
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("labelSelector", &selector)
            .finish();
        let path = scope.resource.collection(scope.namespace.as_deref());
        let request = Request::get(format!("{path}?{query}"))
            .header(
                header::ACCEPT,
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            )
            .header(upstream::READ, upstream::CONFIRMED)
            .body(Body::empty())?;
        Ok(request)
    }
}

fn parse(
    body: &Bytes,
    shows: impl Fn(&ObjectKey, &Labels) -> bool,
) -> anyhow::Result<(Versions, ResourceVersion)> {
    let list: List = serde_json::from_slice(body)?;
    let is_list = list.kind == "PartialObjectMetadataList";
    anyhow::ensure!(
        is_list,
        "kind {:?} is not PartialObjectMetadataList",
        list.kind
    );
    let items = list.items.unwrap_or_default().into_iter();
    let versions = items.filter_map(|Item { metadata }| {
        let key = ObjectKey::new(&metadata.namespace, &metadata.name);
        let labels = &metadata.labels;
        let is_exported = !is_the_api_server(&key, labels) && shows(&key, labels);
        is_exported.then_some((key, (metadata.uid, metadata.resource_version)))
    });
    Ok((versions.collect(), list.metadata.resource_version))
}

#[cfg(test)]
mod tests {
    use super::{Bytes, ObjectKey, ResourceVersion, parse};

    #[test]
    fn a_list_tells_the_versions_of_what_is_exported() {
        let list = r#"{"kind":"PartialObjectMetadataList","metadata":{"resourceVersion":"9"},"items":[
            {"metadata":{"name":"a","namespace":"x","uid":"u","resourceVersion":"7"}},
            {"metadata":{"name":"kubernetes","namespace":"default","uid":"v","resourceVersion":"8"}}]}"#;
        let (versions, revision) =
            parse(&Bytes::from_static(list.as_bytes()), |_, _| true).unwrap();
        assert_eq!(revision, ResourceVersion::new(9));
        assert_eq!(versions.len(), 1);
        let version = &versions[&ObjectKey::new("x", "a")];
        assert_eq!(version, &("u".into(), ResourceVersion::new(7)));
        let empty = r#"{"kind":"PartialObjectMetadataList","metadata":{"resourceVersion":"9"},"items":null}"#;
        assert!(parse(&Bytes::from_static(empty.as_bytes()), |_, _| true).is_ok());
        let other = r#"{"kind":"Status","metadata":{"resourceVersion":"9"},"items":null}"#;
        assert!(parse(&Bytes::from_static(other.as_bytes()), |_, _| true).is_err());
    }
}
