//! Table of fields and their numbers: Kubernetes 1.36's
//! `generated.proto` files, as tables.
//!
//! Invariant: the fields of a message stand in the order of their numbers, in which
//! they are written (a test looks).

use super::message::Kind::{Integer, IntegerOrText, Map, Nested, Raw, Text, Time, Truth};
use super::message::{Message, always, present, repeated, unwritten};

/// `v1.Service`.
pub static SERVICE: Message = &[
    unwritten("kind"),
    unwritten("apiVersion"),
    always(1, "metadata", Nested(OBJECT_META)),
    always(2, "spec", Nested(SERVICE_SPEC)),
    always(3, "status", Nested(SERVICE_STATUS)),
];

/// `discovery.k8s.io/v1.EndpointSlice`.
pub static ENDPOINT_SLICE: Message = &[
    unwritten("kind"),
    unwritten("apiVersion"),
    always(1, "metadata", Nested(OBJECT_META)),
    repeated(2, "endpoints", Nested(ENDPOINT)),
    repeated(3, "ports", Nested(SLICE_PORT)),
    always(4, "addressType", Text),
];

/// `v1.Endpoints`.
pub static ENDPOINTS: Message = &[
    unwritten("kind"),
    unwritten("apiVersion"),
    always(1, "metadata", Nested(OBJECT_META)),
    repeated(2, "subsets", Nested(SUBSET)),
];

/// `v1.Namespace`.
pub static NAMESPACE: Message = &[
    unwritten("kind"),
    unwritten("apiVersion"),
    always(1, "metadata", Nested(OBJECT_META)),
    always(2, "spec", Nested(NAMESPACE_SPEC)),
    always(3, "status", Nested(NAMESPACE_STATUS)),
];

/// `meta.k8s.io/v1.PartialObjectMetadata`.
pub static METADATA: Message = &[always(1, "metadata", Nested(OBJECT_META))];

/// `meta.k8s.io/v1.Status`.
pub static STATUS: Message = &[
    unwritten("kind"),
    unwritten("apiVersion"),
    always(1, "metadata", Nested(LIST_META)),
    always(2, "status", Text),
    always(3, "message", Text),
    always(4, "reason", Text),
    present(5, "details", Nested(STATUS_DETAILS)),
    always(6, "code", Integer),
];

/// `meta.k8s.io/v1.ListMeta`.
pub const LIST_META: Message = &[
    always(1, "selfLink", Text),
    always(2, "resourceVersion", Text),
    always(3, "continue", Text),
    present(4, "remainingItemCount", Integer),
];

/// `runtime.TypeMeta`.
pub(super) const TYPE_META: Message = &[always(1, "apiVersion", Text), always(2, "kind", Text)];

/// `intstr.IntOrString`.
pub(super) const INTEGER_OR_TEXT: Message = &[
    always(1, "type", Integer),
    always(2, "number", Integer),
    always(3, "text", Text),
];

/// `meta.k8s.io/v1.Time`.
pub(super) const MOMENT: Message = &[
    always(1, "seconds", Integer),
    always(2, "nanoseconds", Integer),
];

const STATUS_DETAILS: Message = &[
    always(1, "name", Text),
    always(2, "group", Text),
    always(3, "kind", Text),
    repeated(4, "causes", Nested(STATUS_CAUSE)),
    always(5, "retryAfterSeconds", Integer),
    always(6, "uid", Text),
];

const STATUS_CAUSE: Message = &[
    always(1, "reason", Text),
    always(2, "message", Text),
    always(3, "field", Text),
];

/// `meta.k8s.io/v1.ObjectMeta`.
pub const OBJECT_META: Message = &[
    always(1, "name", Text),
    always(2, "generateName", Text),
    always(3, "namespace", Text),
    always(4, "selfLink", Text),
    always(5, "uid", Text),
    always(6, "resourceVersion", Text),
    always(7, "generation", Integer),
    always(8, "creationTimestamp", Time),
    present(9, "deletionTimestamp", Time),
    present(10, "deletionGracePeriodSeconds", Integer),
    present(11, "labels", Map),
    present(12, "annotations", Map),
    repeated(13, "ownerReferences", Nested(OWNER_REFERENCE)),
    repeated(14, "finalizers", Text),
    repeated(17, "managedFields", Nested(MANAGED_FIELDS)),
];

const OWNER_REFERENCE: Message = &[
    always(1, "kind", Text),
    always(3, "name", Text),
    always(4, "uid", Text),
    always(5, "apiVersion", Text),
    present(6, "controller", Truth),
    present(7, "blockOwnerDeletion", Truth),
];

const MANAGED_FIELDS: Message = &[
    always(1, "manager", Text),
    always(2, "operation", Text),
    always(3, "apiVersion", Text),
    present(4, "time", Time),
    always(6, "fieldsType", Text),
    present(7, "fieldsV1", Raw),
    always(8, "subresource", Text),
];

const SERVICE_SPEC: Message = &[
    repeated(1, "ports", Nested(SERVICE_PORT)),
    present(2, "selector", Map),
    always(3, "clusterIP", Text),
    always(4, "type", Text),
    repeated(5, "externalIPs", Text),
    always(7, "sessionAffinity", Text),
    always(8, "loadBalancerIP", Text),
    repeated(9, "loadBalancerSourceRanges", Text),
    always(10, "externalName", Text),
    always(11, "externalTrafficPolicy", Text),
    always(12, "healthCheckNodePort", Integer),
    always(13, "publishNotReadyAddresses", Truth),
    present(14, "sessionAffinityConfig", Nested(SESSION_AFFINITY)),
    present(17, "ipFamilyPolicy", Text),
    repeated(18, "clusterIPs", Text),
    repeated(19, "ipFamilies", Text),
    present(20, "allocateLoadBalancerNodePorts", Truth),
    present(21, "loadBalancerClass", Text),
    present(22, "internalTrafficPolicy", Text),
    present(23, "trafficDistribution", Text),
];

const SERVICE_PORT: Message = &[
    always(1, "name", Text),
    always(2, "protocol", Text),
    always(3, "port", Integer),
    always(4, "targetPort", IntegerOrText),
    always(5, "nodePort", Integer),
    present(6, "appProtocol", Text),
];

const SESSION_AFFINITY: Message = &[present(1, "clientIP", Nested(CLIENT_IP))];

const CLIENT_IP: Message = &[present(1, "timeoutSeconds", Integer)];

const SERVICE_STATUS: Message = &[
    always(1, "loadBalancer", Nested(LOAD_BALANCER)),
    repeated(2, "conditions", Nested(CONDITION)),
];

const LOAD_BALANCER: Message = &[repeated(1, "ingress", Nested(INGRESS))];

const INGRESS: Message = &[
    always(1, "ip", Text),
    always(2, "hostname", Text),
    present(3, "ipMode", Text),
    repeated(4, "ports", Nested(PORT_STATUS)),
];

const PORT_STATUS: Message = &[
    always(1, "port", Integer),
    always(2, "protocol", Text),
    present(3, "error", Text),
];

const CONDITION: Message = &[
    always(1, "type", Text),
    always(2, "status", Text),
    always(3, "observedGeneration", Integer),
    always(4, "lastTransitionTime", Time),
    always(5, "reason", Text),
    always(6, "message", Text),
];

const NAMESPACE_SPEC: Message = &[repeated(1, "finalizers", Text)];

const NAMESPACE_STATUS: Message = &[
    always(1, "phase", Text),
    repeated(2, "conditions", Nested(NAMESPACE_CONDITION)),
];

const NAMESPACE_CONDITION: Message = &[
    always(1, "type", Text),
    always(2, "status", Text),
    always(4, "lastTransitionTime", Time),
    always(5, "reason", Text),
    always(6, "message", Text),
];

const ENDPOINT: Message = &[
    repeated(1, "addresses", Text),
    always(2, "conditions", Nested(ENDPOINT_CONDITIONS)),
    present(3, "hostname", Text),
    present(4, "targetRef", Nested(OBJECT_REFERENCE)),
    present(5, "deprecatedTopology", Map),
    present(6, "nodeName", Text),
    present(7, "zone", Text),
    present(8, "hints", Nested(HINTS)),
];

const ENDPOINT_CONDITIONS: Message = &[
    present(1, "ready", Truth),
    present(2, "serving", Truth),
    present(3, "terminating", Truth),
];

const HINTS: Message = &[
    repeated(1, "forZones", Nested(NAMED)),
    repeated(2, "forNodes", Nested(NAMED)),
];

const NAMED: Message = &[always(1, "name", Text)];

const SLICE_PORT: Message = &[
    present(1, "name", Text),
    present(2, "protocol", Text),
    present(3, "port", Integer),
    present(4, "appProtocol", Text),
];

const SUBSET: Message = &[
    repeated(1, "addresses", Nested(ADDRESS)),
    repeated(2, "notReadyAddresses", Nested(ADDRESS)),
    repeated(3, "ports", Nested(ENDPOINT_PORT)),
];

const ADDRESS: Message = &[
    always(1, "ip", Text),
    present(2, "targetRef", Nested(OBJECT_REFERENCE)),
    always(3, "hostname", Text),
    present(4, "nodeName", Text),
];

const ENDPOINT_PORT: Message = &[
    always(1, "name", Text),
    always(2, "port", Integer),
    always(3, "protocol", Text),
    present(4, "appProtocol", Text),
];

/// `v1.ObjectReference`.
pub const OBJECT_REFERENCE: Message = &[
    always(1, "kind", Text),
    always(2, "namespace", Text),
    always(3, "name", Text),
    always(4, "uid", Text),
    always(5, "apiVersion", Text),
    always(6, "resourceVersion", Text),
    always(7, "fieldPath", Text),
];

#[cfg(test)]
mod tests {
    use super::{ENDPOINT_SLICE, ENDPOINTS, METADATA, Message, Nested, SERVICE, STATUS};
    use crate::protobuf::message::Field;

    fn check(message: Message, path: &str) {
        let numbers: Vec<u32> = message.iter().map(Field::number).collect();
        assert!(numbers.is_sorted(), "{path}: {numbers:?}");
        for field in message {
            if let Nested(inner) = field.kind() {
                check(inner, &format!("{path}.{}", field.name()));
            }
        }
    }

    #[test]
    fn fields_stand_in_the_order_in_which_they_are_written() {
        for (name, message) in [
            ("service", SERVICE),
            ("slice", ENDPOINT_SLICE),
            ("endpoints", ENDPOINTS),
            ("metadata", METADATA),
            ("status", STATUS),
        ] {
            check(message, name);
        }
    }
}
