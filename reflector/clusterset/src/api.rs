//! Resources, labels and annotations of the Multi-Cluster Services API.

pub use proto_types::multicluster::{GROUP, Version};

/// Label of EndpointSlices: the import that they belong to. CoreDNS reads it.
pub const SERVICE_NAME: &str = "multicluster.kubernetes.io/service-name";

/// Label of EndpointSlices: the cluster that their endpoints are in.
pub const SOURCE_CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";

/// Annotation of ServiceImports: the Service that gives them their addresses.
pub const DERIVED_SERVICE: &str = "multicluster.kubernetes.io/derived-service";

/// Annotation of ServiceImports: the clusters that exported the Service when the import was
/// created, joined by commas. It counts until the status names clusters: a program can end between
/// the two writes.
pub const EXPORTED_BY: &str = "heliograph.dev/exported-by";

/// Label of derived Services and annotation of ServiceImports: the clusterset.
pub const CLUSTERSET: &str = "heliograph.dev/clusterset";

/// Annotation of derived Services and copied EndpointSlices: the import, by its name.
pub const IMPORT: &str = "heliograph.dev/import";

/// Annotation of copied EndpointSlices: the EndpointSlice in the source cluster.
pub const SOURCE_SLICE: &str = "heliograph.dev/exported-slice";

/// Value of `endpointslice.kubernetes.io/managed-by` on copied EndpointSlices.
pub const MANAGER: &str = "clusterset.heliograph.dev";
