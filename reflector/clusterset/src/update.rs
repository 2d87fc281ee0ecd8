//! News for a clusterset.

use std::collections::BTreeSet;

use ipnet::IpNet;
use proto_types::ObjectKey;
use reflector_planner::{MonotonicTime, OptionalField, SourceSlice};
use serde_json::Value;

use crate::export::{Export, ExportedService};
use crate::id::ClusterId;
use crate::known::Change;
use crate::left::LeftSlice;
use crate::local::{CopiedSlice, DerivedObject, ImportObject, Observed};
use crate::selector::Properties;

/// News for a clusterset.
#[derive(Debug)]
pub enum Update {
    /// ServiceExports of a cluster.
    Exports(ClusterId, Change<ObjectKey, Export>),
    /// Services of a cluster.
    Services(ClusterId, Change<ObjectKey, ExportedService>),
    /// EndpointSlices of a cluster.
    Slices(ClusterId, Change<ObjectKey, Option<SourceSlice>>),
    /// ServiceImports of the local cluster.
    Imports(Change<ObjectKey, Observed<ImportObject>>),
    /// Derived Services of the local cluster.
    Derived(Change<ObjectKey, Observed<DerivedObject>>),
    /// Copied EndpointSlices of the local cluster.
    Copies(Change<ObjectKey, Observed<CopiedSlice>>),
    /// EndpointSlices of the local cluster that predecessors wrote.
    Left(Change<ObjectKey, LeftSlice>),
    /// Namespaces of the local cluster, by name, and whether each is open for new objects.
    Namespaces(Change<Box<str>, bool>),
    /// The local API server rejected a write for an import; `None` after a success.
    Rejected(ObjectKey, Option<Box<str>>),
    /// The local API server rejected a value of an optional field, with that message.
    FieldRejected(OptionalField, Box<str>, Box<str>),
    /// ClusterProperties of a cluster.
    Properties(ClusterId, Properties),
    /// CIDRs of the local cluster, which no other cluster may lead to.
    LocalRanges(Vec<IpNet>),
    /// The answer to a write of a ServiceImport shows which fields the schema has.
    Schema(Schema),
    /// Time passed.
    Tick(MonotonicTime),
}

/// Fields of a ServiceImport that were written, as the answer shows them. CRDs of different
/// versions have different fields, and an API server drops the others without a word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// Fields that the API server kept.
    pub kept: BTreeSet<Box<str>>,
    /// Fields that it dropped.
    pub dropped: BTreeSet<Box<str>>,
}

impl Schema {
    /// Compares the fields of `part` (`spec` or `status`) of two objects.
    #[must_use]
    pub fn compare(part: &str, sent: &Value, answered: &Value) -> Self {
        let mut schema = Self::default();
        let fields = sent.get(part).and_then(Value::as_object);
        for (field, value) in fields.into_iter().flatten() {
            let is_kept = answered.get(part).and_then(|it| it.get(field)).is_some();
            let is_empty = value.as_array().is_some_and(Vec::is_empty) || value.is_null();
            let name = format!("{part}.{field}").into_boxed_str();
            if is_kept {
                schema.kept.insert(name);
            } else if !is_empty {
                schema.dropped.insert(name);
            }
        }
        schema
    }
}
