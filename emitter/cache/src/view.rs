//! View: what one kind of client requests.

use std::sync::Arc;

use proto_types::{FieldSelector, LabelSelector, ResourceVersion};

use crate::part::Part;
use crate::{Entry, ResourceDescriptor, ViewFilter, table};

/// A scope, selectors and an encoding. Watchers whose views are equal share
/// everything that is computed for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct View {
    /// Scope.
    pub scope: Scope,
    /// Label selector.
    pub labels: LabelSelector,
    /// Field selector.
    pub fields: FieldSelector,
    /// Encoding of the objects.
    pub encoding: Encoding,
    /// Objects and fields that the client can read.
    pub grant: ViewFilter,
}

/// Scope of a view.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In all namespaces.
    Cluster,
    /// In one namespace.
    Namespace(String),
}

/// Encoding of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As they are.
    Object,
    /// As `PartialObjectMetadata`: only their metadata.
    Metadata,
    /// As rows of a `Table`, each with so much of its object.
    Table(table::Include),
    /// In protobuf, with so much of each object.
    Protobuf(Part),
}

impl View {
    /// Returns whether an object is in view at a resource version.
    #[must_use]
    pub fn sees(&self, entry: &Entry, at: ResourceVersion) -> bool {
        self.scope.contains(entry)
            && self.grant.sees(entry, at)
            && self.labels.matches(&entry.object().labels)
            && self.fields.matches(|field| entry.field(field))
    }

    /// Returns an object as it is in view at a resource version, if it is.
    #[must_use]
    pub fn show(&self, entry: &Arc<Entry>, at: ResourceVersion) -> Option<Arc<Entry>> {
        let is_seen = self.scope.contains(entry)
            && self.labels.matches(&entry.object().labels)
            && self.fields.matches(|field| entry.field(field));
        is_seen.then(|| self.grant.show(entry, at)).flatten()
    }

    /// Returns whether Services decide which objects of that form are in view.
    #[must_use]
    pub fn is_joined(&self, form: &ResourceDescriptor) -> bool {
        let has_owner = matches!(
            form.names.plural,
            "endpoints" | "endpointslices" | "serviceexports"
        );
        has_owner && !self.grant.rules().show_whole_namespaces()
    }

    /// Returns whether every object is in view.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        matches!(self.scope, Scope::Cluster)
            && self.labels.is_empty()
            && self.fields.is_empty()
            && self.grant.rules().show_all()
    }
}

impl Scope {
    fn contains(&self, entry: &Entry) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespace(namespace) => entry.key().namespace() == namespace,
        }
    }

    /// The namespace, where there is only one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Cluster => None,
            Self::Namespace(namespace) => Some(namespace),
        }
    }
}

/// State of a list or watch at one moment: the objects in view, in the order of their keys.
pub struct Snapshot {
    /// Resource version.
    pub revision: ResourceVersion,
    /// Objects.
    pub entries: Vec<Arc<Entry>>,
}
