//! Names: of sources, of mirrors, and how one becomes the other.

mod naming;
mod template;

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use proto_types::ObjectKey;
use proto_types::name::{DnsLabel, InvalidLabel};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

pub use naming::{Aliases, LongNames, Naming};
pub use template::{InvalidTemplate, OLD_SEPARATOR, Template};

/// Stands between namespace and name in a prefixed mirror's name. It is `ssm` in
/// hexadecimal: semaphore-service-mirror chose it, and its users' DNS rewrites
/// look for it.
pub const SEPARATOR: &str = "73736d";

/// The prefix of global Services, which no source may take.
pub const RESERVED_PREFIX: &str = "gl";

/// Number of characters of the name of a source EndpointSlice that the name of its mirror keeps.
/// With a dash and the hash it fits a label.
const READABLE: usize = 52;

/// Number of characters of the hash that distinguishes EndpointSlices of different sources.
const HASH: usize = 10;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Name of a source in the configuration, in labels and in messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceName(DnsLabel);

/// Namespace and name of a Service in the local cluster: the unit of planning.
///
/// It may be longer than a Service's name can be; the plan of such a key reports that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MirrorKey(ObjectKey);

/// Placement of the mirrors of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// All into one namespace, as `<prefix>-<namespace>-73736d-<name>`.
    Prefixed {
        /// Prefix that distinguishes the mirrors of different sources.
        prefix: DnsLabel,
        /// The mirror namespace.
        namespace: DnsLabel,
    },
    /// Each into the namespace and under the name that it has in its source.
    SameName,
    /// Into global Services, each of all Services of one namespace and name.
    Global(GlobalPlacement),
}

/// Placement of global Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GlobalPlacement {
    /// All into one namespace, as `gl-<namespace>-73736d-<name>`.
    Collected(DnsLabel),
    /// Each where its members are.
    SameName,
}

impl SourceName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for SourceName {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl MirrorKey {
    /// The local Service of that key.
    #[must_use]
    pub const fn new(key: ObjectKey) -> Self {
        Self(key)
    }

    /// Namespace and name.
    #[must_use]
    pub const fn object(&self) -> &ObjectKey {
        &self.0
    }
}

impl fmt::Display for MirrorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Placement {
    /// The only namespace that it leads to, if it does to one.
    #[must_use]
    pub const fn namespace(&self) -> Option<&DnsLabel> {
        match self {
            Self::Prefixed { namespace, .. }
            | Self::Global(GlobalPlacement::Collected(namespace)) => Some(namespace),
            Self::SameName | Self::Global(GlobalPlacement::SameName) => None,
        }
    }

    /// Returns the key of the mirror of a source Service.
    #[must_use]
    pub fn local(&self, service: &ObjectKey) -> MirrorKey {
        MirrorKey(match self {
            Self::Prefixed { prefix, namespace } => collected(prefix.as_str(), namespace, service),
            Self::Global(GlobalPlacement::Collected(namespace)) => {
                collected(RESERVED_PREFIX, namespace, service)
            }
            Self::SameName | Self::Global(GlobalPlacement::SameName) => service.clone(),
        })
    }
}

fn collected(prefix: &str, namespace: &DnsLabel, service: &ObjectKey) -> ObjectKey {
    let (theirs, name) = (service.namespace(), service.name());
    let name = format!("{prefix}-{theirs}-{SEPARATOR}-{name}");
    ObjectKey::new(namespace.as_str(), &name)
}

/// Returns the name of the mirror of a source EndpointSlice. The hash distinguishes EndpointSlices
/// of different sources and namespaces that have the same name.
#[must_use]
pub fn slice_name(source: &SourceName, slice: &ObjectKey) -> Box<str> {
    hashed_name("", source, slice)
}

/// Returns the name of a source EndpointSlice in a global Service. It differs from that of its
/// mirror, which may be in the same namespace.
#[must_use]
pub fn global_slice_name(source: &SourceName, slice: &ObjectKey) -> Box<str> {
    hashed_name("gl-", source, slice)
}

/// The letters that distinguish objects of different sources and namespaces.
fn hash(kind: &str, source: &SourceName, object: &ObjectKey) -> String {
    let mut hasher = SipHasher13::new();
    hasher.write(kind.as_bytes());
    hasher.write(source.as_str().as_bytes());
    hasher.write(b"/");
    hasher.write(object.as_str().as_bytes());
    let hash = hasher.finish();
    let letter = |i| {
        let five_bits = (hash >> (59 - 5 * i)) & 31;
        char::from(BASE32[five_bits as usize])
    };
    (0..HASH).map(letter).collect()
}

fn hashed_name(prefix: &str, source: &SourceName, slice: &ObjectKey) -> Box<str> {
    let mut end = slice.name().len().min(READABLE - prefix.len());
    while !slice.name().is_char_boundary(end) {
        end -= 1;
    }
    let readable = slice.name()[..end].trim_end_matches(['-', '.']);
    format!("{prefix}{readable}-{}", hash(prefix, source, slice)).into()
}

#[cfg(test)]
mod tests {
    use super::{Placement, RESERVED_PREFIX, SourceName, global_slice_name, slice_name};
    use proto_types::ObjectKey;
    use proto_types::name::{DnsLabel, MAX_LABEL};
    use serde_json::Value;

    fn source(name: &str) -> SourceName {
        name.parse().unwrap()
    }

    #[test]
    fn a_prefixed_mirror_is_called_as_semaphore_called_it() {
        let placement = Placement::Prefixed {
            prefix: "east".parse().unwrap(),
            namespace: "mirrors".parse().unwrap(),
        };
        assert_eq!(
            placement
                .local(&ObjectKey::new("demo", "web"))
                .object()
                .as_str(),
            "mirrors/east-demo-73736d-web"
        );
    }

    #[test]
    fn a_same_name_mirror_keeps_its_key() {
        let key = ObjectKey::new("demo", "web");
        assert_eq!(Placement::SameName.local(&key).object(), &key);
    }

    /// How many Services of one source would have a mirror of that name.
    fn readings(prefix: &str, mirror: &str) -> usize {
        let rest = &mirror[prefix.len() + 1..];
        let is_label = |text: &str| text.parse::<DnsLabel>().is_ok();
        let readings = rest.match_indices('-').filter(|(i, _)| {
            let name = rest[*i..].strip_prefix("-73736d-");
            is_label(&rest[..*i]) && name.is_some_and(is_label)
        });
        readings.count()
    }

    /// The table by which the admission policies are tested.
    #[test]
    fn admission_policies_refuse_the_names_that_mirrors_cannot_have() {
        let table = include_str!("../../../gatekeeper/mirror-name/cases.json");
        let table: Value = serde_json::from_str(table).unwrap();
        for case in table["cases"].as_array().unwrap() {
            let parameters = &table["parameters"][case["parameters"].as_str().unwrap()];
            let is_exported = |labels: &Value| {
                let wanted = parameters["matchLabels"].as_object();
                let mut wanted = wanted.into_iter().flatten();
                wanted.all(|(key, value)| labels[key] == *value)
            };
            let is_checked = match case["operation"].as_str().unwrap() {
                "CREATE" => is_exported(&case["labels"]),
                "UPDATE" => is_exported(&case["labels"]) && !is_exported(&case["oldLabels"]),
                _ => false,
            };
            let key = ObjectKey::parse(case["service"].as_str().unwrap()).unwrap();
            let prefixes = parameters["prefixes"].as_array().unwrap();
            let prefixes = prefixes.iter().filter_map(Value::as_str);
            for prefix in prefixes.chain([RESERVED_PREFIX]) {
                let placement = Placement::Prefixed {
                    prefix: prefix.parse().unwrap(),
                    namespace: "mirrors".parse().unwrap(),
                };
                let mirror = placement.local(&key);
                let mirror = mirror.object().name();
                let too_long = case["tooLong"][prefix].as_str();
                let is_ambiguous = case["ambiguous"] == true;
                assert!(too_long.is_none_or(|it| it == mirror), "{case}");
                if is_checked {
                    assert_eq!(too_long.is_some(), MAX_LABEL < mirror.len(), "{case}");
                    assert_eq!(is_ambiguous, 1 < readings(prefix, mirror), "{case}");
                }
            }
        }
    }

    #[test]
    fn slice_names_stay_the_same_through_all_releases() {
        assert_eq!(
            &*slice_name(&source("east"), &ObjectKey::new("demo", "web-x7k2p")),
            "web-x7k2p-ia7lswcvtw"
        );
    }

    #[test]
    fn slices_of_two_sources_or_namespaces_differ() {
        let slices = [
            ("east", "demo"),
            ("west", "demo"),
            ("east", "prod"),
            ("west", "prod"),
        ];
        let names = slices.map(|(name, namespace)| {
            let (source, slice) = (source(name), ObjectKey::new(namespace, "web-1"));
            let global = global_slice_name(&source, &slice);
            [slice_name(&source, &slice), global]
        });
        let names = names.as_flattened();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }

    #[test]
    fn a_long_slice_name_is_cut_to_fit_a_label() {
        for name in ["a".repeat(253), format!("{}-{}", "a".repeat(51), "b.c")] {
            for name_of in [slice_name, global_slice_name] {
                let name = name_of(&source("east"), &ObjectKey::new("demo", &name));
                assert!(name.len() <= 63, "{name}");
                assert!(!name.contains("--"), "{name}");
            }
        }
    }
}
