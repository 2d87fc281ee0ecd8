//! One object as its server encoded it, with the few facts that decide about it.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::resource::ApiResource;
use crate::{Labels, ResourceVersion};

/// A namespace and a name.
///
/// Keys order as etcd orders them, by the joined text `namespace/name`:
/// `a-b/x` sorts before `a/x`. Lists and continue tokens depend on it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    joined: Box<str>,
    /// Index of the slash between the two.
    slash: usize,
}

/// Error of an invalid object.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// The text is not JSON of the expected shape.
    #[error("not a Kubernetes object: {0}")]
    Json(#[from] serde_json::Error),
    /// A part that every stored object has is not there.
    #[error("{resource} object without {part}")]
    Missing {
        /// The resource that was expected.
        resource: &'static ApiResource,
        /// The missing part.
        part: &'static str,
    },
    /// Arrays and objects within each other, deeper than any API server stores.
    #[error("{resource} object with more than {MAX_DEPTH} levels")]
    Depth {
        /// The resource that was expected.
        resource: &'static ApiResource,
    },
    /// A part that no API server would have stored.
    #[error("{resource} object with an invalid {part}: {why}")]
    Invalid {
        /// The resource that was expected.
        resource: &'static ApiResource,
        /// The invalid part.
        part: &'static str,
        /// The rule that it breaks.
        why: &'static str,
    },
}

/// Maximum length of a namespace in bytes: a DNS label.
pub const MAX_NAMESPACE: usize = 63;

/// Maximum length of a name in bytes: a DNS subdomain.
pub const MAX_NAME: usize = 253;

/// Maximum depth of an object: what reads a list of such objects stays below the 128
/// levels of the JSON library.
pub const MAX_DEPTH: usize = 100;

/// Maximum length of a uid in bytes. API servers assign UUIDs of 36 bytes.
pub const MAX_UID: usize = 128;

/// One version of an object: its bytes, and its parsed metadata beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawObject {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The version of the object.
    pub revision: ResourceVersion,
    /// The object's identity through all versions.
    pub uid: Box<str>,
    /// Its labels.
    pub labels: Labels,
    /// The whole object, beginning with [`crate::resource::ApiResource::object_head`].
    pub json: Bytes,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    resource_version: Option<ResourceVersion>,
    #[serde(default)]
    labels: Option<Labels>,
}

impl ObjectKey {
    /// The key of that namespace and name.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            joined: format!("{namespace}/{name}").into(),
            slash: namespace.len(),
        }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        // The slash is an ASCII character, so both parts end at characters.
        &self.joined[..self.slash]
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.joined[self.slash + 1..]
    }

    /// `namespace/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.joined
    }

    /// Reads `namespace/name`; nothing else has exactly one slash.
    #[must_use]
    pub fn parse(joined: &str) -> Option<Self> {
        let (namespace, name) = joined.split_once('/')?;
        (!name.contains('/')).then(|| Self::new(namespace, name))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined)
    }
}

impl RawObject {
    /// Reads an object as it stands in a watch event or answers a GET.
    pub fn parse(names: impl Into<&'static ApiResource>, json: &Bytes) -> Result<Self, ParseError> {
        let resource = names.into();
        if MAX_DEPTH < depth(json) {
            return Err(ParseError::Depth { resource });
        }
        let json = with_head(resource.object_head, json)?;
        let Head { metadata } = serde_json::from_slice(&json)?;
        let missing = |part| ParseError::Missing { resource, part };
        if metadata.name.is_empty() {
            return Err(missing("metadata.name"));
        }
        metadata.check(resource)?;
        Ok(Self {
            key: ObjectKey::new(&metadata.namespace, &metadata.name),
            revision: metadata
                .resource_version
                .ok_or_else(|| missing("metadata.resourceVersion"))?,
            uid: metadata.uid.into(),
            labels: metadata.labels.unwrap_or_default(),
            json,
        })
    }

    /// Returns about what the object costs in memory, with all that is decoded of it: its
    /// bytes, and room for each value and label.
    #[must_use]
    pub fn cost(&self) -> usize {
        const OBJECT: usize = 256;
        const LABEL: usize = 96;
        const VALUE: usize = 32;
        let n_values = self
            .json
            .iter()
            .filter(|it| matches!(it, b',' | b'{' | b'['));
        let labels = self.labels.iter();
        let labels = labels.map(|(key, value)| LABEL + key.len() + value.len());
        OBJECT + self.json.len() + VALUE * n_values.count() + labels.sum::<usize>()
    }

    /// The object as an item of a list: without `kind` and `apiVersion`, and
    /// without the opening brace, which the caller writes.
    #[must_use]
    pub fn item_tail(&self, names: &ApiResource) -> Bytes {
        self.json.slice(names.object_head.len()..)
    }
}

impl Metadata<'_> {
    /// Checks what an API server checks before it stores an object, as far as keys and
    /// paths are made of it.
    fn check(&self, resource: &'static ApiResource) -> Result<(), ParseError> {
        let parts = [
            ("metadata.name", &self.name, MAX_NAME),
            ("metadata.namespace", &self.namespace, MAX_NAMESPACE),
            ("metadata.uid", &self.uid, MAX_UID),
        ];
        for (part, text, max) in parts {
            let why = match text.as_ref() {
                _ if max < text.len() => "it is too long",
                "." | ".." => "it is no path segment",
                _ if text.contains(is_forbidden) => "it has a character that no name may have",
                _ => continue,
            };
            return Err(ParseError::Invalid {
                resource,
                part,
                why,
            });
        }
        Ok(())
    }
}

/// Returns the number of arrays and objects that are open at a time.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for &byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Returns whether no path segment may have that character.
const fn is_forbidden(c: char) -> bool {
    matches!(c, '/' | '%') || c.is_ascii_control()
}

/// Gives an object the head that Go writes, where it has none (list items) or
/// another server ordered the fields differently.
fn with_head(head: &str, json: &Bytes) -> Result<Bytes, ParseError> {
    if json.starts_with(head.as_bytes()) {
        return Ok(json.clone());
    }
    let fields: Fields<'_> = serde_json::from_slice(json)?;
    let mut whole = Vec::with_capacity(head.len() + json.len());
    whole.extend_from_slice(head.as_bytes());
    for (name, value) in fields.0 {
        if name != "kind" && name != "apiVersion" {
            whole.extend_from_slice(format!("\"{name}\":").as_bytes());
            whole.extend_from_slice(value.get().as_bytes());
            whole.push(b',');
        }
    }
    if whole.last() == Some(&b',') {
        whole.pop();
    }
    whole.push(b'}');
    Ok(whole.into())
}

/// An object's fields, in their order, undecoded.
pub struct Fields<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some((BorrowedName(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[derive(Deserialize)]
struct BorrowedName<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests;
