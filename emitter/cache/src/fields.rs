//! Which fields of an object leave the cluster.
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
    /// [`label::MODE`]), and these.
    Needed {
        /// Further annotations to keep, by full name.
        annotations: Vec<String>,
    },
}

/// Annotations that are made for readers.
const FREE: [&str; 5] = [
    label::LAST_CHANGE,
    label::ALIAS,
    label::FAILOVER,
    label::FAILOVER_MIN,
    label::MODE,
];

/// Filter of a part of an object.
#[derive(Debug)]
pub enum Keep {
    /// All of it.
    Whole,
    /// Keeps only these fields of an object.
    Only(&'static [(&'static str, Self)]),
    /// Filters each element of an array.
    Each(&'static Self),
    /// Keeps the allowed annotations of a map.
    Annotations,
}

const METADATA: Keep = Keep::Only(&[
    ("name", Keep::Whole),
    ("namespace", Keep::Whole),
    ("uid", Keep::Whole),
    ("resourceVersion", Keep::Whole),
    ("generation", Keep::Whole),
    ("creationTimestamp", Keep::Whole),
    ("deletionTimestamp", Keep::Whole),
    ("deletionGracePeriodSeconds", Keep::Whole),
    ("labels", Keep::Whole),
    ("annotations", Keep::Annotations),
]);

pub(crate) const SERVICE: Keep = Keep::Only(&[
    ("kind", Keep::Whole),
    ("apiVersion", Keep::Whole),
    ("metadata", METADATA),
    (
        "spec",
        Keep::Only(&[
            ("ports", Keep::Each(&SERVICE_PORT)),
            ("clusterIP", Keep::Whole),
            ("clusterIPs", Keep::Whole),
            ("type", Keep::Whole),
            ("externalName", Keep::Whole),
            ("sessionAffinity", Keep::Whole),
            ("sessionAffinityConfig", Keep::Whole),
            ("publishNotReadyAddresses", Keep::Whole),
            ("ipFamilies", Keep::Whole),
            ("ipFamilyPolicy", Keep::Whole),
            ("internalTrafficPolicy", Keep::Whole),
            ("trafficDistribution", Keep::Whole),
        ]),
    ),
    ("status", Keep::Only(&[("loadBalancer", Keep::Only(&[]))])),
]);

const SERVICE_PORT: Keep = Keep::Only(&[
    ("name", Keep::Whole),
    ("protocol", Keep::Whole),
    ("appProtocol", Keep::Whole),
    ("port", Keep::Whole),
    ("targetPort", Keep::Whole),
]);

pub(crate) const ENDPOINT_SLICE: Keep = Keep::Only(&[
    ("kind", Keep::Whole),
    ("apiVersion", Keep::Whole),
    ("metadata", METADATA),
    ("addressType", Keep::Whole),
    (
        "endpoints",
        Keep::Each(&Keep::Only(&[
            ("addresses", Keep::Whole),
            ("conditions", Keep::Whole),
            ("hostname", Keep::Whole),
            ("zone", Keep::Whole),
            ("hints", Keep::Whole),
        ])),
    ),
    ("ports", Keep::Whole),
]);

pub(crate) const ENDPOINTS: Keep = Keep::Only(&[
    ("kind", Keep::Whole),
    ("apiVersion", Keep::Whole),
    ("metadata", METADATA),
    (
        "subsets",
        Keep::Each(&Keep::Only(&[
            ("addresses", Keep::Each(&ADDRESS)),
            ("notReadyAddresses", Keep::Each(&ADDRESS)),
            ("ports", Keep::Whole),
        ])),
    ),
]);

const ADDRESS: Keep = Keep::Only(&[("ip", Keep::Whole), ("hostname", Keep::Whole)]);

impl Fields {
    /// The default: what a consumer needs, and no annotation of the user's.
    #[must_use]
    pub const fn needed() -> Self {
        Self::Needed {
            annotations: Vec::new(),
        }
    }

    /// The object with only the fields that may leave; `None` if all of them may.
    pub fn cut(&self, keep: &Keep, json: &[u8]) -> serde_json::Result<Option<Vec<u8>>> {
        let Self::Needed { annotations } = self else {
            return Ok(None);
        };
        let mut out = Vec::with_capacity(json.len());
        copy(serde_json::from_slice(json)?, keep, annotations, &mut out)?;
        Ok(Some(out))
    }
}

/// Writes of `value` what `keep` allows.
fn copy(
    value: &RawValue,
    keep: &Keep,
    annotations: &[String],
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let text = value.get();
    match keep {
        // Whatever is not of the expected shape (null, mostly) has no fields to cut.
        Keep::Only(allowed) if text.starts_with('{') => {
            let JsonFields(fields) = serde_json::from_str(text)?;
            let kept = fields.into_iter().filter_map(|(name, value)| {
                let (_, keep) = allowed.iter().find(|(allowed, _)| *allowed == name)?;
                Some((name, value, keep))
            });
            copy_fields(kept, annotations, out)
        }
        Keep::Annotations if text.starts_with('{') => {
            let JsonFields(fields) = serde_json::from_str(text)?;
            let kept = fields.into_iter().filter_map(|(name, value)| {
                let allowed = FREE.contains(&&*name) || annotations.iter().any(|it| *it == name);
                allowed.then_some((name, value, &Keep::Whole))
            });
            copy_fields(kept, annotations, out)
        }
        Keep::Each(keep) if text.starts_with('[') => {
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
        Keep::Whole | Keep::Only(_) | Keep::Annotations | Keep::Each(_) => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
}

fn copy_fields<'a>(
    fields: impl Iterator<Item = (std::borrow::Cow<'a, str>, &'a RawValue, &'a Keep)>,
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
    use crate::Form;
    use proto_types::Resource;

    fn cut(fields: &Fields, resource: Resource, json: &str) -> String {
        let form: &Form = resource.into();
        let cut = fields.cut(&form.keep, json.as_bytes()).unwrap();
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
