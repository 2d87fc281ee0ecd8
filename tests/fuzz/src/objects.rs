//! Objects that an upstream sends: taken in, and told to consumers.

use bytes::Bytes;
use emitter::watch_cache::WatchCache;
use emitter_cache::{
    Encoding, Entry, Fields, Limits, Part, Scope, View, ViewFilter, protobuf_body,
};
use jiff::Timestamp;
use proto_types::frame::{EventType, WatchEvent};
use proto_types::{RawObject, Resource, ResourceVersion};
use runtime::watcher::{Event, Listing};
use serde_json::Value;

pub(crate) const LINES: &[&str] = &[
    r#"{"type":"ADDED","object":{"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"demo","uid":"u","resourceVersion":"7","labels":{"a":"b"}},"spec":{"ports":[{"name":"http","port":80}],"clusterIP":"10.0.0.1"}}}"#,
    r#"{"type":"DELETED","object":{"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"demo","resourceVersion":"8"}}}"#,
    r#"{"type":"BOOKMARK","object":{"kind":"Service","apiVersion":"v1","metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}},"spec":{}}}"#,
    r#"{"type":"MODIFIED","object":{"metadata":{"name":"a","namespace":"b","resourceVersion":"18446744073709551615","managedFields":[{}]},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"nodeName":"n"}],"ports":null}}"#,
    r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#,
    "\"labels\":null",
    "\"\\ud800\"",
    "[[[[",
    "1e999",
    "\\u0000",
    "}",
    "{",
    ",",
];

pub(crate) const OBJECTS: &[&str] = &[
    r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"demo","uid":"u","resourceVersion":"7","creationTimestamp":"2026-01-02T03:04:05Z","labels":{"a":"b"},"annotations":{"c":"d"},"ownerReferences":[{"apiVersion":"v1","kind":"A","name":"a","uid":"x","controller":true}]},"spec":{"ports":[{"name":"http","protocol":"TCP","port":80,"targetPort":"http","nodePort":3}],"selector":{"x":"y"},"clusterIPs":["10.0.0.1"],"sessionAffinityConfig":{"clientIP":{"timeoutSeconds":7}}},"status":{"loadBalancer":{"ingress":[{"ip":"1.2.3.4"}]}}}"#,
    r#"{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"web-1","namespace":"demo","resourceVersion":"7"},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true},"hints":{"forZones":[{"name":"z"}]},"targetRef":{"kind":"Pod"}}],"ports":[{"name":"","port":null}]}"#,
    r#"{"metadata":{"name":"web","namespace":"demo","resourceVersion":"7"},"subsets":[{"addresses":[{"ip":"10.0.0.1"}],"notReadyAddresses":null,"ports":[{"port":1}]}]}"#,
    "\"targetPort\":8080",
    "\"port\":-1",
    "1e30",
    "null",
    "true",
    "\"\\u00e9\"",
    "99999999999",
];

/// A line is refused, or taken in; what is told then is well-formed, and says what it said.
pub(crate) fn watch_lines(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<WatchEvent<'_>>(data) else {
        return;
    };
    let json = Bytes::copy_from_slice(event.object.get().as_bytes());
    for resource in Resource::ALL {
        for fields in [Fields::needed(), Fields::All] {
            let Ok(object) = RawObject::parse(resource, &json) else {
                continue;
            };
            if object.revision.number() == 0 {
                continue;
            }
            tell(resource, fields, event.event_type, object);
        }
    }
}

fn tell(resource: Resource, fields: Fields, event_type: EventType, object: RawObject) {
    let cache = WatchCache::new(resource, fields, Limits::default());
    let now = Timestamp::UNIX_EPOCH;
    let listing = Listing::confirmed(ResourceVersion::new(1), Vec::new());
    cache.ingest(Event::Listed(listing), now);
    let name = object.key.name().to_owned();
    let is_there = matches!(event_type, EventType::Added | EventType::Modified);
    cache.ingest(
        match event_type {
            EventType::Added | EventType::Modified => Event::Applied(object),
            EventType::Deleted => Event::Deleted(object),
            EventType::Bookmark => Event::Progress(object.revision),
            EventType::Error => return,
        },
        now,
    );
    for encoding in [Encoding::Object, Encoding::Metadata] {
        let view = View {
            scope: Scope::Cluster,
            labels: proto_types::LabelSelector::default(),
            fields: proto_types::FieldSelector::default(),
            encoding,
            grant: ViewFilter::default(),
        };
        let listed = cache.list(&view, now);
        // As Go writes an empty list of partial objects.
        let items: Option<Vec<Value>> =
            serde_json::from_slice(&listed.items).expect("a list is JSON");
        let items = items.unwrap_or_default();
        assert!(
            items.len() <= usize::from(is_there),
            "{} of {name:?}",
            items.len()
        );
        if let [item] = &*items {
            assert_eq!(item["metadata"]["name"], name.as_str(), "{item}");
        }
    }
}

/// What is written is well-formed, whatever it was made of.
pub(crate) fn protobuf(data: &[u8]) {
    let json = Bytes::copy_from_slice(data);
    for resource in Resource::ALL {
        let Ok(object) = RawObject::parse(resource, &json) else {
            continue;
        };
        let Ok(entry) = Entry::new(resource, &Fields::All, object) else {
            continue;
        };
        for part in [Part::Whole, Part::Metadata] {
            let body = protobuf_body::object(entry.form(), part, &entry.part(part));
            let message = body.strip_prefix(b"k8s\0").expect("it says what it is");
            assert!(is_message(message), "no envelope: {message:?}");
            let raw = field(message, 2).expect("there is an object in it");
            assert!(is_message(raw), "no object: {raw:?}");
        }
    }
}

/// Whether bytes are fields, each as long as it says.
fn is_message(bytes: &[u8]) -> bool {
    fields(bytes).is_some()
}

fn field(bytes: &[u8], number: u64) -> Option<&[u8]> {
    let found = fields(bytes)?.into_iter().find(|(it, _)| *it == number);
    found.map(|(_, value)| value)
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let length = match tag & 7 {
            0 => {
                let before = bytes;
                varint(&mut bytes)?;
                fields.push((tag >> 3, &before[..before.len() - bytes.len()]));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).ok()?,
            5 => 4,
            _ => return None,
        };
        fields.push((tag >> 3, bytes.get(..length)?));
        bytes = &bytes[length..];
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
