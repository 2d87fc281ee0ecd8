//! One version of an object, with what selectors and encodings need beside it.

use std::ops::Range;

use bytes::Bytes;
use proto_types::object::ParseError;
use proto_types::{ObjectKey, RawObject, ResourceVersion};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::part::Part;
use crate::{Fields, ResourceDescriptor, protobuf};

/// One version of an object, ready to be served.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    object: RawObject,
    metadata: Range<usize>,
    revision_digits: Range<usize>,
    form: &'static ResourceDescriptor,
    selected: Vec<Box<str>>,
    misfit: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

#[derive(Deserialize)]
struct MetadataOutline<'a> {
    #[serde(borrow, rename = "resourceVersion")]
    resource_version: &'a RawValue,
}

impl Entry {
    /// Takes in an object from upstream, cutting the fields that stay inside.
    pub fn new(
        form: impl Into<&'static ResourceDescriptor>,
        fields: &Fields,
        mut object: RawObject,
    ) -> Result<Self, ParseError> {
        let form = form.into();
        if let Some(cut) = fields.filter(&form.keep, &object.json)? {
            object.json = cut.into();
        }
        let outline: Outline<'_> = serde_json::from_slice(&object.json)?;
        let metadata = span(&object.json, outline.metadata.get());
        let inner: MetadataOutline<'_> = serde_json::from_str(outline.metadata.get())?;
        let quoted = span(&object.json, inner.resource_version.get());
        let selected = (form.select)(&object.json)?;
        let misfit = form.protobuf.and_then(|message| {
            let encoded = protobuf::encode(message, &object.json);
            encoded.misfit.map(String::into_boxed_str)
        });
        Ok(Self {
            metadata,
            revision_digits: quoted.start + 1..quoted.end - 1,
            form,
            selected,
            misfit,
            object,
        })
    }

    /// The form of it.
    #[must_use]
    pub const fn form(&self) -> &'static ResourceDescriptor {
        self.form
    }

    /// Namespace and name.
    #[must_use]
    pub const fn key(&self) -> &ObjectKey {
        &self.object.key
    }

    /// The object, as parsed.
    #[must_use]
    pub const fn object(&self) -> &RawObject {
        &self.object
    }

    /// The object's version.
    #[must_use]
    pub const fn revision(&self) -> ResourceVersion {
        self.object.revision
    }

    /// The whole object, encoded.
    #[must_use]
    pub const fn json(&self) -> &Bytes {
        &self.object.json
    }

    /// The value of `metadata`, encoded.
    #[must_use]
    pub fn metadata(&self) -> Bytes {
        self.object.json.slice(self.metadata.clone())
    }

    /// Returns a part of the object, encoded.
    #[must_use]
    pub fn part(&self, part: Part) -> Bytes {
        match part {
            Part::Whole => self.object.json.clone(),
            Part::Metadata => self.metadata(),
        }
    }

    /// Returns a part of the object with another resource version. A client for which the object
    /// leaves the view gets its last content at the resource version of that change.
    #[must_use]
    pub fn at_revision(&self, range: Part, revision: ResourceVersion) -> Vec<u8> {
        let Range { start, end } = match range {
            Part::Whole => 0..self.object.json.len(),
            Part::Metadata => self.metadata.clone(),
        };
        let json = &self.object.json;
        let mut out = Vec::with_capacity(end - start + 20);
        out.extend_from_slice(&json[start..self.revision_digits.start]);
        out.extend_from_slice(revision.to_string().as_bytes());
        out.extend_from_slice(&json[self.revision_digits.end..end]);
        out
    }

    /// The first field without a protobuf equivalent, if there is one.
    #[must_use]
    pub fn misfit(&self) -> Option<&str> {
        self.misfit.as_deref()
    }

    /// Returns whether selectors treat another version of the object as this one.
    pub(crate) fn is_selected_like(&self, other: &Self) -> bool {
        self.object.labels == other.object.labels && self.selected == other.selected
    }

    /// The value of a field that selectors may name; empty for all others.
    #[must_use]
    pub fn field(&self, path: &str) -> &str {
        match path {
            "metadata.name" => self.object.key.name(),
            "metadata.namespace" => self.object.key.namespace(),
            _ => {
                let mut fields = self.form.selectable.iter().zip(&self.selected);
                fields
                    .find(|(name, _)| **name == path)
                    .map_or("", |it| it.1)
            }
        }
    }
}

/// Returns the range of a borrowed part of `json`.
fn span(json: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - json.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::Entry;
    use crate::Fields;
    use crate::part::Part;
    use bytes::Bytes;
    use proto_types::{RawObject, Resource, ResourceVersion};

    fn entry(json: &'static str) -> Entry {
        let object =
            RawObject::parse(Resource::Services, &Bytes::from_static(json.as_bytes())).unwrap();
        Entry::new(Resource::Services, &Fields::All, object).unwrap()
    }

    #[test]
    fn the_revision_is_replaced_where_it_stands_and_nowhere_else() {
        let entry = entry(
            r#"{"kind":"Service","apiVersion":"v1","metadata":{"annotations":{"resourceVersion":"1"},"name":"web","namespace":"a","resourceVersion":"1"},"spec":{"type":"ClusterIP"}}"#,
        );
        let whole = entry.at_revision(Part::Whole, ResourceVersion::new(300));
        assert_eq!(
            String::from_utf8(whole).unwrap(),
            r#"{"kind":"Service","apiVersion":"v1","metadata":{"annotations":{"resourceVersion":"1"},"name":"web","namespace":"a","resourceVersion":"300"},"spec":{"type":"ClusterIP"}}"#
        );
        let metadata = entry.at_revision(Part::Metadata, ResourceVersion::new(300));
        assert!(metadata.starts_with(b"{\"annotations\"") && metadata.ends_with(b"\"300\"}"));
    }

    #[test]
    fn selectable_fields_are_known() {
        let entry = entry(
            r#"{"metadata":{"name":"web","namespace":"a","resourceVersion":"1"},"spec":{"type":"ClusterIP","clusterIP":"None"}}"#,
        );
        assert_eq!(entry.field("metadata.name"), "web");
        assert_eq!(entry.field("spec.clusterIP"), "None");
        assert_eq!(entry.field("status.phase"), "");
    }
}
