//! Labels and annotations that Heliograph writes or respects.

use crate::Labels;

/// On every object that Heliograph writes: the source that it stands for.
/// An object that carries it is never exported again.
pub const SOURCE: &str = "heliograph.dev/source";

/// On every object that Heliograph writes: the Service it stands for, as
/// `namespace/name` in its source.
pub const SOURCE_SERVICE: &str = "heliograph.dev/source-service";

/// On every slice that Heliograph writes: the slice it copies, by its name in
/// the source.
pub const SOURCE_SLICE: &str = "heliograph.dev/source-slice";

/// On a global Service and its slices: they are no mirror of one source alone.
pub const GLOBAL: &str = "heliograph.dev/global";

/// On a global Service: the last state of each of its members.
pub const MEMBERS: &str = "heliograph.dev/members";

/// On every mirror Service, where it is known: the cluster that its source is, by the uid
/// of its `kube-system` namespace.
pub const SOURCE_CLUSTER: &str = "heliograph.dev/source-cluster";

/// On an exported Service: what its mirror would be called, where the reader allows it.
pub const ALIAS: &str = "heliograph.dev/alias";

/// On a mirror: the labels that came along from its source, so that they go again.
pub const CARRIED_LABELS: &str = "heliograph.dev/copied-labels";

/// On a mirror: the annotations that came along.
pub const CARRIED_ANNOTATIONS: &str = "heliograph.dev/copied-annotations";

/// On a mirror whose deletion is held: it may go now.
pub const RELEASE: &str = "heliograph.dev/allow-deletion";

/// On a member of a global Service: in which order clusters serve it.
pub const FAILOVER: &str = "heliograph.dev/failover";

/// On a member of a global Service: how much of a cluster must be ready so that the next
/// one stands by.
pub const FAILOVER_MIN: &str = "heliograph.dev/failover-min";

/// On a member of a global Service: what it is while a workload moves from one cluster to
/// another, in the words of k8s-endpoints-sync-controller.
pub const SYNDICATE_MODE: &str = "vmware.com/syndicate-mode";

/// Label of the replicas of k8s-endpoints-sync-controller, and of mirrors that replace them.
pub const SYNDICATE_LABEL: &str = "replicated";

/// Value of [`SYNDICATE_LABEL`] on namespaces whose Services are not replicated.
pub const NOT_REPLICATED: &str = "false";

/// Selects no pod. Without any selector, Kubernetes would leave the endpoints that it found
/// by the one before.
pub const PARKED: &str = "heliograph.dev/no-endpoints";

/// Former name of [`PARKED`]; still read.
pub const PARKED_BEFORE: &str = "heliograph.dev/parked";

/// The Service that a slice belongs to.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Label with the controller that writes an EndpointSlice; other controllers ignore it.
pub const SLICE_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// Label with the program that manages an object, for people and dashboards.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`SLICE_MANAGED_BY`] and [`MANAGED_BY`] on our objects.
pub const HELIOGRAPH: &str = "heliograph";

/// Tells kube-proxy that a Service or slice has no virtual IP.
pub const HEADLESS: &str = "service.kubernetes.io/headless";

/// Annotation with the time of the change that an EndpointSlice shows, for latency metrics.
pub const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// On a mirror Service that has core/v1 Endpoints of ours beside its slices.
pub const CORE_ENDPOINTS: &str = "heliograph.dev/core-endpoints";

/// Tells Kubernetes to make no slices of Endpoints: there are some already.
pub const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";

/// On Endpoints that had no room for all addresses.
pub const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// The annotation of the bookmark that ends a watch's initial events.
pub const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// On a bookmark of an emitter that is disconnected from its upstream.
pub const UPSTREAM: &str = "heliograph.dev/upstream";

/// Value of [`UPSTREAM`].
pub const DISCONNECTED: &str = "disconnected";

/// On the mirror Services of semaphore-service-mirror and kube-service-mirror, with the
/// value `true`.
pub const MIRRORED: &str = "mirrored-svc";

/// On the global Services of semaphore-service-mirror, with the value `true`.
pub const GLOBAL_SERVICE: &str = "global-svc";

/// On the EndpointSlices of global Services of semaphore-service-mirror, with the value
/// `true`.
pub const GLOBAL_SLICE: &str = "mirrored-endpoint-slice";

/// On the objects of service-reflector, with the value `true`: an annotation, and a label
/// in its first version.
pub const REFLECTED: &str = "service-reflector.squat.ai/reflected";

/// On the objects of service-reflector: an annotation with the URL of the source.
pub const REFLECTED_FROM: &str = "service-reflector.squat.ai/source";

/// Returns whether a predecessor mirrored an object, which is never mirrored again.
#[must_use]
pub fn is_predecessors(labels: &Labels, annotations: &Labels) -> bool {
    let is_true = |all: &Labels, name: &str| all.get(name) == Some("true");
    let mut names = [MIRRORED, GLOBAL_SERVICE, GLOBAL_SLICE, REFLECTED].into_iter();
    names.any(|name| is_true(labels, name)) || is_true(annotations, REFLECTED)
}

/// The selector that keeps mirrors from being exported again: ANDed with the
/// user's own and evaluated by the API server, so that an object leaves the
/// export in the moment it is marked.
#[must_use]
pub fn exclude_mirrors_selector() -> String {
    format!("!{SOURCE}")
}

/// Returns whether an object is managed by Heliograph. Either mark suffices, so that the removal of
/// one of them is reverted, and does not count as a change of owner.
#[must_use]
pub fn is_managed(labels: &Labels, annotations: &Labels) -> bool {
    labels.contains_key(SOURCE) || annotations.contains_key(SOURCE_SERVICE)
}

/// Annotation of a ServiceExport: cluster selectors (KEP-5939), while the installed
/// CustomResourceDefinition has no field for them.
pub const CLUSTER_SELECTORS: &str = "heliograph.dev/cluster-selectors";
