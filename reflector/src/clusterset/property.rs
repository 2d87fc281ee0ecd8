//! Names of a cluster: its ClusterProperties (KEP-2149), if it has them.
//!
//! Names of clusters are in DNS names and on EndpointSlices, and the oldest export is found by
//! them. So a cluster that calls itself otherwise than the configuration does, or belongs to
//! another clusterset, is not read. Cluster selectors of exports are about the others.

use http::StatusCode;
use proto_types::multicluster::{CLUSTER_PROPERTY as CLUSTER, CLUSTER_SET_PROPERTY as CLUSTER_SET};
use reflector_clusterset::ClusterId;
use reflector_clusterset::selector::Properties;
use runtime::Unread;
use serde::Deserialize;

const PATH: &str = "/apis/about.k8s.io/v1beta1/clusterproperties";

/// Names that a cluster should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpectedProperties {
    /// The cluster.
    pub(super) cluster: ClusterId,
    /// The clusterset.
    pub(super) set: Box<str>,
}

/// Response of a cluster about its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has these names, or none. Its properties are `None` where they must not be listed.
    Agrees(Option<Properties>),
    /// It has other names, and what to do.
    Differs(String),
    /// It is unavailable now, with the cause.
    Unknown(String),
}

#[derive(Deserialize)]
struct PropertyList {
    #[serde(default)]
    items: Vec<NamedProperty>,
}

#[derive(Deserialize)]
struct NamedProperty {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: Box<str>,
}

#[derive(Deserialize)]
struct Property {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    value: String,
}

/// Asks a cluster for its names.
pub(super) async fn request_properties(
    client: &kube::Client,
    names: &ExpectedProperties,
) -> Answer {
    let answer = async {
        let Some(all) = list(client).await? else {
            let cluster = read(client, CLUSTER).await?;
            let set = read(client, CLUSTER_SET).await?;
            let differs = compare(names, cluster.as_deref(), set.as_deref());
            return Ok(differs.map_or(Answer::Agrees(None), Answer::Differs));
        };
        let named = |name: &str| all.get(name).map(AsRef::as_ref).filter(|it| !it.is_empty());
        let differs = compare(names, named(CLUSTER), named(CLUSTER_SET));
        Ok(differs.map_or_else(|| Answer::Agrees(Some(all)), Answer::Differs))
    };
    answer.await.unwrap_or_else(Answer::Unknown)
}

/// Returns how the names differ from the configured ones, and what to do.
fn compare(names: &ExpectedProperties, cluster: Option<&str>, set: Option<&str>) -> Option<String> {
    let ExpectedProperties {
        cluster: name,
        set: expected,
    } = names;
    // A cluster without a name may report the UID of kube-system.
    let other = cluster.filter(|it| *it != name.as_str() && !is_uid(it));
    if let Some(other) = other {
        return Some(format!(
            "the cluster calls itself {other:?} (ClusterProperty {CLUSTER}) and is configured as \
             {name}; give the source that name, or correct its address or the property"
        ));
    }
    let other = set.filter(|it| *it != &**expected)?;
    Some(format!(
        "cluster {name} belongs to the clusterset {other:?} (ClusterProperty {CLUSTER_SET}) and not \
         to {expected:?}; set clusterSet.name to the same name in all reflectors, or correct the \
         property"
    ))
}

fn is_uid(text: &str) -> bool {
    let mut parts = text.split('-').map(str::len);
    let is_hexadecimal = |it: u8| it.is_ascii_hexdigit() || it == b'-';
    parts.by_ref().eq([8, 4, 4, 4, 12]) && text.bytes().all(is_hexadecimal)
}

/// Lists all properties. A cluster without the API has none; `None` if they must not be listed.
async fn list(client: &kube::Client) -> Result<Option<Properties>, String> {
    match runtime::document::<PropertyList>(client, PATH).await {
        Ok(PropertyList { items }) => {
            let all = items.into_iter();
            let all = all.map(|it| (it.metadata.name, it.spec.value.into_boxed_str()));
            Ok(Some(all.collect()))
        }
        Err(Unread::Status(StatusCode::NOT_FOUND)) => Ok(Some(Properties::new())),
        Err(Unread::Status(StatusCode::FORBIDDEN)) => Ok(None),
        Err(why) => Err(format!("cannot list ClusterProperties: {why}")),
    }
}

/// Reads a property. `None` where there is none, or it must not be read.
async fn read(client: &kube::Client, name: &str) -> Result<Option<String>, String> {
    match runtime::document::<Property>(client, &format!("{PATH}/{name}")).await {
        Ok(Property { spec }) => Ok(Some(spec.value).filter(|it| !it.is_empty())),
        Err(Unread::Status(StatusCode::NOT_FOUND | StatusCode::FORBIDDEN)) => Ok(None),
        Err(why) => Err(format!("cannot read ClusterProperty {name}: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{ExpectedProperties, compare};

    #[test]
    fn other_names_are_told_with_the_remedy() {
        let names = ExpectedProperties {
            cluster: "east".parse().unwrap(),
            set: "all".into(),
        };
        let uid = Some("9e8a6c1e-3c57-4b0e-8b58-4b52f7a3f3b0");
        for agrees in [
            (None, None),
            (Some("east"), None),
            (Some("east"), Some("all")),
            (None, Some("all")),
            (uid, Some("all")),
        ] {
            assert_eq!(compare(&names, agrees.0, agrees.1), None);
        }
        let why = |cluster, set| compare(&names, cluster, set).unwrap();
        assert!(why(Some("west"), Some("all")).contains("calls itself \"west\""));
        assert!(why(Some("east"), Some("other")).contains("clusterset \"other\""));
        assert!(why(None, Some("other")).contains("clusterSet.name"));
    }
}
