//! Names of the Multi-Cluster Services API, in each of its versions.

use crate::resource::ApiResource;

/// API group of ServiceExport and ServiceImport.
pub const GROUP: &str = "multicluster.x-k8s.io";

/// ClusterProperty with the name of a cluster (KEP-2149).
pub const CLUSTER_PROPERTY: &str = "cluster.clusterset.k8s.io";

/// ClusterProperty with the name of the clusterset.
pub const CLUSTER_SET_PROPERTY: &str = "clusterset.k8s.io";

/// A version of the API that a cluster serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// `v1beta1`, preferred.
    V1Beta1,
    /// `v1alpha1`, with the same schema.
    V1Alpha1,
}

impl Version {
    /// All versions, the preferred one first.
    pub const ALL: [Self; 2] = [Self::V1Beta1, Self::V1Alpha1];

    /// Returns the version as it stands in paths.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1Beta1 => "v1beta1",
            Self::V1Alpha1 => "v1alpha1",
        }
    }

    /// Returns the ServiceExport resource of this version.
    #[must_use]
    pub const fn exports(self) -> &'static ApiResource {
        match self {
            Self::V1Beta1 => &EXPORTS_V1BETA1,
            Self::V1Alpha1 => &EXPORTS_V1ALPHA1,
        }
    }

    /// Returns the ServiceImport resource of this version.
    #[must_use]
    pub const fn imports(self) -> &'static ApiResource {
        match self {
            Self::V1Beta1 => &IMPORTS_V1BETA1,
            Self::V1Alpha1 => &IMPORTS_V1ALPHA1,
        }
    }
}

/// ApiResource a resource of the API in one version.
macro_rules! names {
    ($name:ident, $kind:literal, $singular:literal, $short:literal, $version:literal) => {
        static $name: ApiResource = ApiResource {
            plural: concat!($singular, "s"),
            singular: $singular,
            short: Some($short),
            kind: $kind,
            group: GROUP,
            api_version: concat!("multicluster.x-k8s.io/", $version),
            root: concat!("/apis/multicluster.x-k8s.io/", $version),
            qualified: concat!($singular, "s.multicluster.x-k8s.io"),
            object_head: concat!(
                "{\"kind\":\"",
                $kind,
                "\",\"apiVersion\":\"multicluster.x-k8s.io/",
                $version,
                "\","
            ),
        };
    };
}

names!(
    EXPORTS_V1BETA1,
    "ServiceExport",
    "serviceexport",
    "svcex",
    "v1beta1"
);
names!(
    EXPORTS_V1ALPHA1,
    "ServiceExport",
    "serviceexport",
    "svcex",
    "v1alpha1"
);
names!(
    IMPORTS_V1BETA1,
    "ServiceImport",
    "serviceimport",
    "svcim",
    "v1beta1"
);
names!(
    IMPORTS_V1ALPHA1,
    "ServiceImport",
    "serviceimport",
    "svcim",
    "v1alpha1"
);
