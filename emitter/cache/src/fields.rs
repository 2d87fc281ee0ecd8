//! Fields of an object that leave the cluster.
//!
//! The cut is an allow-list, so that a field which Kubernetes adds tomorrow stays
//! inside until someone decides that a consumer needs it. What is kept is copied
//! byte for byte.

use proto_types::label;
use proto_types::object::Fields as JsonFields;
use serde_json::value::RawValue;

/// Exported fields of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fields {
    /// Everything, as the upstream encoded it.
    All,
    /// Fields that a client needs to use a Service: no managed fields, owner references, selectors,
    /// node names or load balancers. Of the annotations only those for clients are kept
    /// ([`label::LAST_CHANGE`], [`label::ALIAS`], [`label::FAILOVER`], [`label::FAILOVER_MIN`],
    /// [`label::SYNDICATE_MODE`]), and these.
    Needed {
        /// Further annotations to keep, by full name.
        annotations: Vec<String>,
    },
}

/// Annotations that are made for clients.
const FREE: [&str; 5] = [
    label::LAST_CHANGE,
    label::ALIAS,
    label::FAILOVER,
    label::FAILOVER_MIN,
    label::SYNDICATE_MODE,
];

/// Filter of a part of an object.
#[derive(Debug)]
pub enum FieldFilter {
    /// All of it.
    Whole,
    /// Keeps only these fields of an object.
    Only(&'static [(&'static str, Self)]),
    /// Filters each element of an array.
    Each(&'static Self),
    /// Keeps the allowed annotations of a map.
    Annotations,
}

const METADATA: FieldFilter = FieldFilter::Only(&[
    ("name", FieldFilter::Whole),
    ("namespace", FieldFilter::Whole),
    ("uid", FieldFilter::Whole),
    ("resourceVersion", FieldFilter::Whole),
    ("generation", FieldFilter::Whole),
    ("creationTimestamp", FieldFilter::Whole),
    ("deletionTimestamp", FieldFilter::Whole),
    ("deletionGracePeriodSeconds", FieldFilter::Whole),
    ("labels", FieldFilter::Whole),
    ("annotations", FieldFilter::Annotations),
]);

pub(crate) const SERVICE: FieldFilter = FieldFilter::Only(&[
    ("kind", FieldFilter::Whole),
    ("apiVersion", FieldFilter::Whole),
    ("metadata", METADATA),
    (
        "spec",
        FieldFilter::Only(&[
            ("ports", FieldFilter::Each(&SERVICE_PORT)),
            ("clusterIP", FieldFilter::Whole),
            ("clusterIPs", FieldFilter::Whole),
            ("type", FieldFilter::Whole),
            ("externalName", FieldFilter::Whole),
            ("sessionAffinity", FieldFilter::Whole),
            ("sessionAffinityConfig", FieldFilter::Whole),
            ("publishNotReadyAddresses", FieldFilter::Whole),
            ("ipFamilies", FieldFilter::Whole),
            ("ipFamilyPolicy", FieldFilter::Whole),
            ("internalTrafficPolicy", FieldFilter::Whole),
            ("trafficDistribution", FieldFilter::Whole),
        ]),
    ),
    (
        "status",
        FieldFilter::Only(&[("loadBalancer", FieldFilter::Only(&[]))]),
    ),
]);

const SERVICE_PORT: FieldFilter = FieldFilter::Only(&[
    ("name", FieldFilter::Whole),
    ("protocol", FieldFilter::Whole),
    ("appProtocol", FieldFilter::Whole),
    ("port", FieldFilter::Whole),
    ("targetPort", FieldFilter::Whole),
]);

pub(crate) const ENDPOINT_SLICE: FieldFilter = FieldFilter::Only(&[
    ("kind", FieldFilter::Whole),
    ("apiVersion", FieldFilter::Whole),
    ("metadata", METADATA),
    ("addressType", FieldFilter::Whole),
    (
        "endpoints",
        FieldFilter::Each(&FieldFilter::Only(&[
            ("addresses", FieldFilter::Whole),
            ("conditions", FieldFilter::Whole),
            ("hostname", FieldFilter::Whole),
            ("zone", FieldFilter::Whole),
            ("hints", FieldFilter::Whole),
        ])),
    ),
    ("ports", FieldFilter::Whole),
]);

pub(crate) const ENDPOINTS: FieldFilter = FieldFilter::Only(&[
    ("kind", FieldFilter::Whole),
    ("apiVersion", FieldFilter::Whole),
    ("metadata", METADATA),
    (
        "subsets",
        FieldFilter::Each(&FieldFilter::Only(&[
            ("addresses", FieldFilter::Each(&ADDRESS)),
            ("notReadyAddresses", FieldFilter::Each(&ADDRESS)),
            ("ports", FieldFilter::Whole),
        ])),
    ),
]);

const ADDRESS: FieldFilter =
    FieldFilter::Only(&[("ip", FieldFilter::Whole), ("hostname", FieldFilter::Whole)]);

impl Fields {
    /// The default: what a consumer needs, and no annotation of the user's.
    #[must_use]
    pub const fn needed() -> Self {
        Self::Needed {
            annotations: Vec::new(),
        }
    }

    /// The object with only the fields that may leave; `None` if all of them may.
    pub fn filter(&self, keep: &FieldFilter, json: &[u8]) -> serde_json::Result<Option<Vec<u8>>> {
        let Self::Needed { annotations } = self else {
            return Ok(None);
        };
        let mut out = Vec::with_capacity(json.len());
        copy(serde_json::from_slice(json)?, keep, annotations, &mut out)?;
        // It is kept for as long as the object, and may be much smaller.
        out.shrink_to_fit();
        Ok(Some(out))
    }
}

/// Writes of `value` what `keep` allows.
fn copy(
    value: &RawValue,
    keep: &FieldFilter,
    annotations: &[String],
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let text = value.get();
    match keep {
        // Whatever is not of the expected shape (null, mostly) has no fields to cut.
        FieldFilter::Only(allowed) if text.starts_with('{') => {
            let JsonFields(fields) = serde_json::from_str(text)?;
            let kept = fields.into_iter().filter_map(|(name, value)| {
                let (_, keep) = allowed.iter().find(|(allowed, _)| *allowed == name)?;
                Some((name, value, keep))
            });
            copy_fields(kept, annotations, out)
        }
        FieldFilter::Annotations if text.starts_with('{') => {
            let JsonFields(fields) = serde_json::from_str(text)?;
            let kept = fields.into_iter().filter_map(|(name, value)| {
                let allowed = FREE.contains(&&*name) || annotations.iter().any(|it| *it == name);
                allowed.then_some((name, value, &FieldFilter::Whole))
            });
            copy_fields(kept, annotations, out)
        }
        FieldFilter::Each(keep) if text.starts_with('[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text)?;
            out.push(b'[');
            for (i, element) in elements.into_iter().enumerate() {
                if 0 < i {
                    out.push(b',');
                }
                copy(element, keep, annotations, out)?;
            }
            out.push(b']');
            Ok(())
        }
        FieldFilter::Whole
        | FieldFilter::Only(_)
        | FieldFilter::Annotations
        | FieldFilter::Each(_) => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
}

fn copy_fields<'a>(
    fields: impl Iterator<Item = (std::borrow::Cow<'a, str>, &'a RawValue, &'a FieldFilter)>,
    annotations: &[String],
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    out.push(b'{');
    for (i, (name, value, keep)) in fields.enumerate() {
        if 0 < i {
            out.push(b',');
        }
        // Only names from our own lists get here, and those need no escapes.
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        copy(value, keep, annotations, out)?;
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Fields;
    use crate::ResourceDescriptor;
    use proto_types::Resource;

    fn cut(fields: &Fields, resource: Resource, json: &str) -> String {
        let form: &ResourceDescriptor = resource.into();
        let cut = fields.filter(&form.keep, json.as_bytes()).unwrap();
        cut.map_or_else(|| json.to_owned(), |cut| String::from_utf8(cut).unwrap())
    }

    const SERVICE: &str = r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"demo","uid":"u","resourceVersion":"7","labels":{"a":"\u003c"},"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","heliograph.dev/alias":"w","team":"x"},"ownerReferences":[{}],"managedFields":[{"manager":"m"}]},"spec":{"ports":[{"protocol":"TCP","port":80,"nodePort":30000}],"selector":{"app":"web"},"clusterIP":"10.0.0.1","tomorrow":1},"status":{"loadBalancer":{"ingress":[{"ip":"1.2.3.4"}]}}}"#;

    #[test]
    fn only_what_a_consumer_needs_leaves() {
        assert_eq!(
            cut(&Fields::needed(), Resource::Services, SERVICE),
            r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"demo","uid":"u","resourceVersion":"7","labels":{"a":"\u003c"},"annotations":{"heliograph.dev/alias":"w"}},"spec":{"ports":[{"protocol":"TCP","port":80}],"clusterIP":"10.0.0.1"},"status":{"loadBalancer":{}}}"#
        );
    }

    #[test]
    fn annotations_leave_by_name() {
        let fields = Fields::Needed {
            annotations: vec!["team".to_owned()],
        };
        let cut = cut(&fields, Resource::Services, SERVICE);
        assert!(
            cut.contains(r#""annotations":{"heliograph.dev/alias":"w","team":"x"}"#),
            "{cut}"
        );
    }

    #[test]
    fn all_fields_are_the_upstreams_bytes() {
        assert_eq!(cut(&Fields::All, Resource::Services, SERVICE), SERVICE);
    }

    #[test]
    fn slices_lose_nodes_and_pods() {
        let slice = r#"{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"s"},"addressType":"IPv4","endpoints":[{"addresses":["10.1.0.1"],"conditions":{"ready":true},"nodeName":"n","targetRef":{"kind":"Pod"},"zone":"z"}],"ports":null}"#;
        assert_eq!(
            cut(&Fields::needed(), Resource::EndpointSlices, slice),
            r#"{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"s"},"addressType":"IPv4","endpoints":[{"addresses":["10.1.0.1"],"conditions":{"ready":true},"zone":"z"}],"ports":null}"#
        );
    }
}
