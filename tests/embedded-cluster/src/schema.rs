//! The kinds that an emitter does not serve, in protobuf.

use emitter_cache::protobuf::Message;
use emitter_cache::protobuf::message::Kind::{
    ByteMap, Integer, Map, MicroTime, Nested, Text, Time, Truth,
};
use emitter_cache::protobuf::message::{always, present, repeated, unwritten};
use emitter_cache::protobuf::schema::{OBJECT_META, OBJECT_REFERENCE};

/// `v1.ConfigMap`.
pub(crate) static CONFIG_MAP: Message = &[
    unwritten("kind"),
    unwritten("apiVersion"),
    always(1, "metadata", Nested(OBJECT_META)),
    present(2, "data", Map),
    present(3, "binaryData", ByteMap),
    present(4, "immutable", Truth),
];

/// `v1.Secret`.
pub(crate) static SECRET: Message = &[
    unwritten("kind"),
    unwritten("apiVersion"),
    always(1, "metadata", Nested(OBJECT_META)),
    present(2, "data", ByteMap),
    always(3, "type", Text),
    present(4, "stringData", Map),
    present(5, "immutable", Truth),
];

/// `coordination.k8s.io/v1.Lease`.
pub(crate) static LEASE: Message = &[
    unwritten("kind"),
    unwritten("apiVersion"),
    always(1, "metadata", Nested(OBJECT_META)),
    always(2, "spec", Nested(LEASE_SPEC)),
];

const LEASE_SPEC: Message = &[
    present(1, "holderIdentity", Text),
    present(2, "leaseDurationSeconds", Integer),
    present(3, "acquireTime", MicroTime),
    present(4, "renewTime", MicroTime),
    present(5, "leaseTransitions", Integer),
    present(6, "strategy", Text),
    present(7, "preferredHolder", Text),
];

/// `v1.Event`.
pub(crate) static CORE_EVENT: Message = &[
    unwritten("kind"),
    unwritten("apiVersion"),
    always(1, "metadata", Nested(OBJECT_META)),
    always(2, "involvedObject", Nested(OBJECT_REFERENCE)),
    always(3, "reason", Text),
    always(4, "message", Text),
    always(5, "source", Nested(EVENT_SOURCE)),
    always(6, "firstTimestamp", Time),
    always(7, "lastTimestamp", Time),
    always(8, "count", Integer),
    always(9, "type", Text),
    always(10, "eventTime", MicroTime),
    present(11, "series", Nested(EVENT_SERIES)),
    always(12, "action", Text),
    present(13, "related", Nested(OBJECT_REFERENCE)),
    always(14, "reportingComponent", Text),
    always(15, "reportingInstance", Text),
];

/// `events.k8s.io/v1.Event`.
pub(crate) static EVENT: Message = &[
    unwritten("kind"),
    unwritten("apiVersion"),
    always(1, "metadata", Nested(OBJECT_META)),
    always(2, "eventTime", MicroTime),
    present(3, "series", Nested(EVENT_SERIES)),
    always(4, "reportingController", Text),
    always(5, "reportingInstance", Text),
    always(6, "action", Text),
    always(7, "reason", Text),
    always(8, "regarding", Nested(OBJECT_REFERENCE)),
    present(9, "related", Nested(OBJECT_REFERENCE)),
    always(10, "note", Text),
    always(11, "type", Text),
    always(12, "deprecatedSource", Nested(EVENT_SOURCE)),
    always(13, "deprecatedFirstTimestamp", Time),
    always(14, "deprecatedLastTimestamp", Time),
    always(15, "deprecatedCount", Integer),
];

const EVENT_SOURCE: Message = &[always(1, "component", Text), always(2, "host", Text)];

const EVENT_SERIES: Message = &[
    always(1, "count", Integer),
    always(2, "lastObservedTime", MicroTime),
];

/// `meta.k8s.io/v1.DeleteOptions`.
pub(crate) static DELETE_OPTIONS: Message = &[
    present(1, "gracePeriodSeconds", Integer),
    present(2, "preconditions", Nested(PRECONDITIONS)),
    present(3, "orphanDependents", Truth),
    present(4, "propagationPolicy", Text),
    repeated(5, "dryRun", Text),
    present(6, "ignoreStoreReadErrorWithClusterBreakingPotential", Truth),
];

const PRECONDITIONS: Message = &[present(1, "uid", Text), present(2, "resourceVersion", Text)];

#[cfg(test)]
mod tests {
    use emitter_cache::protobuf::{encode, read};
    use serde_json::json;

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        let same = |message, object: serde_json::Value| {
            let encoded = encode(message, object.to_string().as_bytes());
            assert_eq!(encoded.misfit, None);
            assert_eq!(read(message, &encoded.bytes).unwrap(), object);
        };
        let time = "2026-01-01T00:00:00.000001Z";
        same(
            super::CONFIG_MAP,
            json!({"metadata": {"name": "a"}, "data": {"a": "b"}, "binaryData": {"c": "AP8="}, "immutable": false}),
        );
        same(
            super::SECRET,
            json!({"data": {"c": "AP8="}, "type": "Opaque"}),
        );
        same(
            super::LEASE,
            json!({"spec": {"holderIdentity": "", "leaseDurationSeconds": 15, "renewTime": time}}),
        );
        same(
            super::CORE_EVENT,
            json!({
                "involvedObject": {"name": "web"}, "count": 2, "eventTime": time,
                "firstTimestamp": "2026-01-01T00:00:00Z", "series": {"count": 2, "lastObservedTime": time},
            }),
        );
        same(
            super::EVENT,
            json!({"regarding": {"name": "web"}, "eventTime": time, "note": "n"}),
        );
        same(
            super::DELETE_OPTIONS,
            json!({"preconditions": {"uid": "u"}, "dryRun": ["All"]}),
        );
    }
}
