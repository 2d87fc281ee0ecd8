//! Kinds of objects of the local cluster that are sources.

use proto_types::LabelSelector;
use proto_types::name::DnsLabel;
use proto_types::resource::ApiResource;
use serde_json::{Map, Value, json};

/// Name of the property of a ClusterProfile that is the URL of the cluster's emitter.
pub(crate) const EMITTER_URL: &str = "heliograph.dev/emitter-url";

/// Maximum number of access providers of one profile that are read.
const MAX_PROVIDERS: usize = 16;

/// Kind of objects that are sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// `Source`, of this program.
    Source,
    /// `ClusterProfile`, of the cluster-inventory API.
    ClusterProfile,
}

/// Objects that are read.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectPlace {
    /// Their kind.
    pub kind: ObjectKind,
    /// Their namespace.
    pub namespace: DnsLabel,
    /// Their labels.
    pub selector: LabelSelector,
}

const SOURCES: ApiResource = ApiResource {
    plural: "sources",
    singular: "source",
    short: Some("hsrc"),
    kind: "Source",
    group: "heliograph.dev",
    api_version: "heliograph.dev/v1alpha1",
    root: "/apis/heliograph.dev/v1alpha1",
    qualified: "sources.heliograph.dev",
    object_head: r#"{"kind":"Source","apiVersion":"heliograph.dev/v1alpha1","#,
};

const PROFILES: ApiResource = ApiResource {
    plural: "clusterprofiles",
    singular: "clusterprofile",
    short: None,
    kind: "ClusterProfile",
    group: "multicluster.x-k8s.io",
    api_version: "multicluster.x-k8s.io/v1alpha1",
    root: "/apis/multicluster.x-k8s.io/v1alpha1",
    qualified: "clusterprofiles.multicluster.x-k8s.io",
    object_head: r#"{"kind":"ClusterProfile","apiVersion":"multicluster.x-k8s.io/v1alpha1","#,
};

impl ObjectKind {
    /// Returns the kind of that name.
    pub(crate) fn of(kind: &str) -> Option<Self> {
        let mut all = [Self::Source, Self::ClusterProfile].into_iter();
        all.find(|it| it.names().kind == kind)
    }

    /// Returns the names of the resource.
    pub(crate) const fn names(self) -> &'static ApiResource {
        match self {
            Self::Source => &SOURCES,
            Self::ClusterProfile => &PROFILES,
        }
    }

    /// Returns the key of the configuration that has them read.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Source => "sourcesFromCRD",
            Self::ClusterProfile => "clusterProfiles",
        }
    }

    /// Returns the word for several of them.
    pub(crate) const fn plural(self) -> &'static str {
        match self {
            Self::Source => "Sources",
            Self::ClusterProfile => "ClusterProfiles",
        }
    }

    /// Returns the annotation of the record that has their names.
    pub(crate) const fn recorded(self) -> &'static str {
        match self {
            Self::Source => "heliograph.dev/source-objects",
            Self::ClusterProfile => "heliograph.dev/cluster-profiles",
        }
    }

    /// Returns the remedy where the CRD is not installed.
    pub(crate) const fn installation(self) -> &'static str {
        match self {
            Self::Source => "apply manifests/source-crd",
            Self::ClusterProfile => "install the CRD of the cluster-inventory API",
        }
    }

    /// Returns the part of an object that describes the access to its cluster.
    pub(crate) fn spec(self, spec: Value, status: &Value) -> Value {
        match self {
            Self::Source => spec,
            Self::ClusterProfile => json!({
                "urls": emitter_urls(status),
                "providers": providers(status),
            }),
        }
    }
}

/// Returns the URLs of emitters among the properties of a ClusterProfile, at most two.
fn emitter_urls(status: &Value) -> Vec<&Value> {
    let properties = status["properties"].as_array().into_iter().flatten();
    let urls = properties.filter(|it| it["name"] == EMITTER_URL);
    urls.map(|it| &it["value"]).take(2).collect()
}

/// Returns the access providers of the status of a profile, by name. The field `accessProviders`
/// takes precedence over its former name `credentialProviders`.
fn providers(status: &Value) -> Value {
    let mut all = Map::new();
    for field in ["credentialProviders", "accessProviders"] {
        let providers = status[field].as_array().into_iter().flatten();
        for provider in providers.take(MAX_PROVIDERS) {
            if let Some(name) = provider["name"].as_str() {
                all.insert(name.to_owned(), provider["cluster"].clone());
            }
        }
    }
    Value::Object(all)
}
