//! Cluster identity: the name of the cluster, and the UID of its namespace `kube-system`.
//!
//! Both are served as a cluster serves them (KEP-2149). So a client reads them alike from an
//! emitter, from an emitter behind it and from a kube-apiserver, and notices if a URL leads to
//! another cluster.

mod serve;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::RwLock;
use proto_types::evidence::Expected;
use proto_types::multicluster::{CLUSTER_PROPERTY as CLUSTER, CLUSTER_SET_PROPERTY as CLUSTER_SET};
use proto_types::name::DnsLabel;
use runtime::Unread;
use runtime::watcher::{FailureCause, IdentityCheck, ReportedIdentity as Told};
use serde::Deserialize;
use serde_json::Value;
use tracing::{error, info, warn};

pub use serve::{router, sign};

/// The namespace whose uid is the cluster's own.
const NAMESPACE: &str = "/api/v1/namespaces/kube-system";

/// Path of the ClusterProperties of a cluster, or of the emitter before this one.
const PROPERTIES: &str = "/apis/about.k8s.io/v1beta1/clusterproperties";

/// Maximum number of ClusterProperties that are taken from an upstream.
const MAX_PROPERTIES: usize = 100;

/// Interval of the requests for the UID. A cluster does not change it: a later request only detects
/// that the address of the upstream leads to another cluster.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Until it is known for the first time.
const ASK_SOON: Duration = Duration::from_secs(2);

/// Configured names of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterNames {
    /// The cluster; its uid if absent.
    pub cluster: Option<DnsLabel>,
    /// The set of clusters that it belongs to.
    pub cluster_set: Option<String>,
    /// Other ClusterProperties of it.
    pub properties: Vec<(String, String)>,
}

/// Cluster identity, as far as it is known.
#[derive(Debug, Default)]
pub struct ExpectedIdentity {
    names: ClusterNames,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Cluster of the data: the first one that answered a list, and no other.
    expected: Expected,
    uid: Option<String>,
    /// Name of an upstream that is an emitter.
    upstream_name: Option<String>,
    /// Its other ClusterProperties.
    upstream_properties: Vec<(String, String)>,
    /// `true` while the properties of an upstream that has some are not known.
    awaits_upstream: bool,
}

/// Report of an upstream.
#[derive(Debug)]
struct Reported {
    uid: String,
    upstream_name: Option<String>,
    upstream_properties: Vec<(String, String)>,
}

/// Kind of the upstream, which decides how its identity is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// A kube-apiserver: the uid.
    ApiServer,
    /// Another emitter: also the name.
    Emitter,
}

impl ExpectedIdentity {
    /// Not known yet, except for its names.
    #[must_use]
    pub fn new(names: ClusterNames) -> Self {
        Self {
            names,
            known: RwLock::default(),
        }
    }

    /// Accepts answers of the first cluster that answers, and of no other: an emitter
    /// serves one cluster for its whole life.
    #[must_use]
    pub fn guard(self: &Arc<Self>) -> IdentityCheck {
        let this = Arc::clone(self);
        Arc::new(move |told| this.evaluate(&told))
    }

    fn evaluate(&self, told: &Told) -> Result<Expected, FailureCause> {
        // All resources request it at once, and must get the same response.
        let mut known = self.known.write();
        let cluster = match told {
            Told::Known(uid) => Some(uid),
            Told::Untold(_) | Told::Failed(_) => None,
        };
        let served = known.uid.as_deref().unwrap_or_default();
        match (known.expected.check(cluster), told) {
            (Ok(()), _) => {}
            (Err(_), Told::Known(uid)) => {
                return Err(FailureCause::Replaced(format!(
                    "the uid of its kube-system namespace is {uid}, and this emitter serves \
                     {served}; correct the address, or restart the emitter to serve the other \
                     cluster"
                )));
            }
            (Err(_), Told::Untold(why)) => {
                return Err(FailureCause::Unidentified(format!(
                    "it does not report whether it is still cluster {served} ({why}); let the \
                     emitter get namespace kube-system"
                )));
            }
            (Err(_), Told::Failed(why)) => return Err(why.clone()),
        }
        if let Some(uid) = cluster {
            if known.uid.is_none() {
                info!(%uid, "serving the cluster of this kube-system namespace");
            }
            known.uid = Some(uid.to_string());
        }
        known.expected = std::mem::take(&mut known.expected).narrowed(cluster);
        Ok(known.expected.clone())
    }

    /// Learns the names of the upstream, indefinitely, and reports where its identity cannot be
    /// had.
    pub async fn follow(self: Arc<Self>, client: kube::Client, upstream: Upstream) {
        let mut has_failed = false;
        self.known.write().awaits_upstream = upstream == Upstream::Emitter;
        loop {
            match request_identity(&client, upstream).await {
                Ok(reported) => {
                    has_failed = false;
                    self.record(reported);
                }
                Err(why) if !has_failed => {
                    has_failed = true;
                    warn!(%why, "cannot tell which cluster this is");
                }
                Err(_) => {}
            }
            let is_known = {
                let known = self.known.read();
                known.uid.is_some() && !known.awaits_upstream
            };
            tokio::time::sleep(if is_known { ASK_AGAIN } else { ASK_SOON }).await;
        }
    }

    /// Takes over the name of the cluster that is served; of another one nothing.
    fn record(&self, reported: Reported) {
        let mut known = self.known.write();
        match &known.uid {
            Some(served) if *served == reported.uid => {
                known.upstream_name = reported.upstream_name;
                known.upstream_properties = reported.upstream_properties;
                known.awaits_upstream = false;
            }
            Some(served) => {
                error!(uid = reported.uid, %served, "another cluster answers for the upstream");
            }
            None => {}
        }
    }

    fn uid(&self) -> Option<String> {
        self.known.read().uid.clone()
    }

    fn cluster(&self) -> Option<String> {
        let known = self.known.read();
        let named = self.names.cluster.as_ref();
        let named = named.map(|name| name.as_str().to_owned());
        let named = named.or_else(|| known.upstream_name.clone());
        named.or_else(|| known.uid.clone())
    }

    /// Returns the ClusterProperties: the names, the configured ones, and those of an upstream that
    /// has others. `None` while those of the upstream are not known: a list that lacks some would
    /// show that the cluster does not have them.
    fn properties(&self) -> Option<Vec<(String, String)>> {
        if self.known.read().awaits_upstream {
            return None;
        }
        let cluster = self.cluster().map(|value| (CLUSTER.to_owned(), value));
        let set = self.names.cluster_set.clone();
        let set = set.map(|value| (CLUSTER_SET.to_owned(), value));
        let names = cluster.into_iter().chain(set);
        let mut all: Vec<_> = names.chain(self.names.properties.clone()).collect();
        for (name, value) in &self.known.read().upstream_properties {
            if !all.iter().any(|(it, _)| it == name) {
                all.push((name.clone(), value.clone()));
            }
        }
        Some(all)
    }
}

async fn request_identity(client: &kube::Client, upstream: Upstream) -> anyhow::Result<Reported> {
    let list = match upstream {
        Upstream::ApiServer => None,
        Upstream::Emitter => match runtime::document::<Value>(client, PROPERTIES).await {
            Ok(list) => Some(list),
            Err(Unread::Status(StatusCode::NOT_FOUND | StatusCode::FORBIDDEN)) => None,
            Err(why) => return Err(unread(PROPERTIES, why)),
        },
    };
    let Namespace { metadata } = serde_json::from_value(document(client, NAMESPACE).await?)?;
    let items = list.as_ref().and_then(|it| it["items"].as_array());
    let text = |it: &Value| it.as_str().map(str::to_owned);
    let property = |it: &Value| Some((text(&it["metadata"]["name"])?, text(&it["spec"]["value"])?));
    let all = items.into_iter().flatten().filter_map(property);
    let mut all: Vec<_> = all.take(MAX_PROPERTIES).collect();
    let name = all.iter().find(|(name, _)| name == CLUSTER);
    let upstream_name = name.map(|(_, value)| value.clone());
    all.retain(|(name, _)| name != CLUSTER);
    Ok(Reported {
        uid: metadata.uid,
        upstream_name,
        upstream_properties: all,
    })
}

#[derive(Deserialize)]
struct Namespace {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
}

async fn document(client: &kube::Client, path: &str) -> anyhow::Result<Value> {
    let document = runtime::document(client, path).await;
    document.map_err(|why| unread(path, why))
}

fn unread(path: &str, why: Unread) -> anyhow::Error {
    match why {
        Unread::Status(status) => anyhow::anyhow!("GET {path} is answered {status}"),
        Unread::Failed(why) => anyhow::Error::msg(why),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::serve::UID_HEADER;
    use super::*;
    use axum::extract::Request;
    use tower::ServiceExt;

    fn names(cluster: Option<&str>, set: Option<&str>) -> ClusterNames {
        ClusterNames {
            cluster: cluster.map(|it| it.parse().unwrap()),
            cluster_set: set.map(str::to_owned),
            properties: Vec::new(),
        }
    }

    async fn get(identity: &Arc<ExpectedIdentity>, path: &str) -> (u16, String) {
        let sign = axum::middleware::from_fn_with_state(Arc::clone(identity), sign);
        let router = router(Arc::clone(identity)).layer(sign);
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let signed = response.headers().get(UID_HEADER).cloned();
        assert_eq!(
            signed.map(|it| it.to_str().unwrap().to_owned()),
            identity.uid()
        );
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_namespace_tells_the_uid_once_it_is_known() {
        let identity = Arc::new(ExpectedIdentity::new(ClusterNames::default()));
        let (status, body) = get(&identity, NAMESPACE).await;
        assert_eq!(
            (status, body.contains("ServiceUnavailable")),
            (503, true),
            "{body}"
        );
        identity.evaluate(&Told::Known("u-1".into())).unwrap();
        let (status, body) = get(&identity, NAMESPACE).await;
        assert_eq!(
            (status, body.contains(r#""uid":"u-1""#)),
            (200, true),
            "{body}"
        );
    }

    #[test]
    fn a_cluster_is_called_by_its_flag_then_by_its_upstream_then_by_its_uid() {
        for (flag, upstream, expected) in [
            (Some("east"), Some("far"), "east"),
            (None, Some("far"), "far"),
            (None, None, "u-1"),
        ] {
            let identity = ExpectedIdentity::new(names(flag, None));
            identity.evaluate(&Told::Known("u-1".into())).unwrap();
            identity.record(Reported {
                uid: "u-1".to_owned(),
                upstream_name: upstream.map(str::to_owned),
                upstream_properties: vec![("region".to_owned(), "eu".to_owned())],
            });
            let expected = [(CLUSTER, expected), ("region", "eu")];
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(identity.properties().unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn properties_are_not_served_before_those_of_the_upstream_are_known() {
        let identity = Arc::new(ExpectedIdentity::new(names(Some("east"), None)));
        identity.known.write().awaits_upstream = true;
        identity.evaluate(&Told::Known("u-1".into())).unwrap();
        for path in [PROPERTIES.to_owned(), format!("{PROPERTIES}/{CLUSTER}")] {
            assert_eq!(get(&identity, &path).await.0, 503);
        }
        identity.record(Reported {
            uid: "u-1".to_owned(),
            upstream_name: None,
            upstream_properties: vec![("region".to_owned(), "eu".to_owned())],
        });
        let (status, body) = get(&identity, PROPERTIES).await;
        assert_eq!((status, body.contains("region")), (200, true), "{body}");
    }

    #[test]
    fn only_the_first_cluster_that_answers_is_served() {
        let identity = Arc::new(ExpectedIdentity::new(ClusterNames::default()));
        let guard = identity.guard();
        let untold = || Told::Untold(FailureCause::Forbidden("no".to_owned()));
        let failed = || Told::Failed(FailureCause::Throttled("later".to_owned()));
        guard(untold()).unwrap();
        guard(Told::Known("a".into())).unwrap();
        for (told, said) in [
            (Told::Known("b".into()), "this emitter serves a"),
            (untold(), "still cluster a (not allowed: no)"),
            (failed(), "later"),
        ] {
            let why = guard(told).unwrap_err().to_string();
            assert!(why.contains(said), "{why}");
        }
        identity.record(Reported {
            uid: "b".to_owned(),
            upstream_name: Some("other".to_owned()),
            upstream_properties: Vec::new(),
        });
        assert_eq!(identity.uid().as_deref(), Some("a"));
        assert_eq!(identity.cluster().as_deref(), Some("a"));
        guard(Told::Known("a".into())).unwrap();
    }

    #[tokio::test]
    async fn properties_are_listed_and_found_by_name() {
        let identity = Arc::new(ExpectedIdentity::new(names(Some("east"), Some("all"))));
        let (_, list) = get(&identity, PROPERTIES).await;
        let list: Value = serde_json::from_str(&list).unwrap();
        assert_eq!(list["items"].as_array().unwrap().len(), 2);
        assert_eq!(list["items"][1]["spec"]["value"], "all");
        let (_, one) = get(&identity, &format!("{PROPERTIES}/{CLUSTER}")).await;
        assert!(one.contains(r#""value":"east""#), "{one}");
        let (status, none) = get(&identity, &format!("{PROPERTIES}/x")).await;
        let words = r#"clusterproperties.about.k8s.io \"x\" not found"#;
        assert_eq!((status, none.contains(words)), (404, true), "{none}");
    }
}
