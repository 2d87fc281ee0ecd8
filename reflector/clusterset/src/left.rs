//! Objects that other programs wrote for imports.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use proto_types::label::{SERVICE_NAME, SLICE_MANAGED_BY};
use proto_types::{Labels, ObjectKey, RawObject, ResourceVersion};

use crate::api;
use crate::known::Change;

/// Program whose imports can be adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Predecessor {
    /// The operator of Cilium.
    Cilium,
    /// Lighthouse, the service discovery of Submariner.
    Submariner,
}

/// EndpointSlice that a predecessor wrote for an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftSlice {
    /// Its writer.
    pub writer: Predecessor,
    /// The derived Service (Cilium) or the import (Submariner) that it belongs to.
    pub owner: ObjectKey,
    /// UID.
    pub uid: Box<str>,
    /// Resource version.
    pub revision: ResourceVersion,
}

/// Annotation of Services that Cilium joins with those of other clusters.
const CILIUM_GLOBAL: &str = "service.cilium.io/global";

/// End of `endpointslice.kubernetes.io/managed-by` on EndpointSlices of Cilium.
const CILIUM_MANAGER: &str = ".cilium.io";

/// `endpointslice.kubernetes.io/managed-by` on EndpointSlices of Submariner.
const SUBMARINER_MANAGER: &str = "lighthouse-agent.submariner.io";

impl fmt::Display for Predecessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cilium => "cilium",
            Self::Submariner => "submariner",
        })
    }
}

impl LeftSlice {
    /// Reads an EndpointSlice; `None` where no predecessor wrote it for an import.
    #[must_use]
    pub fn read(object: &RawObject) -> Option<Self> {
        let labels = &object.labels;
        let manager = labels.get(SLICE_MANAGED_BY)?;
        let (writer, owner) = if manager == SUBMARINER_MANAGER {
            (Predecessor::Submariner, labels.get(api::SERVICE_NAME)?)
        } else if manager.ends_with(CILIUM_MANAGER) {
            let derived = labels.get(SERVICE_NAME)?;
            (
                Predecessor::Cilium,
                Some(derived).filter(|it| is_derived(it))?,
            )
        } else {
            return None;
        };
        Some(Self {
            writer,
            owner: ObjectKey::new(object.key.namespace(), owner),
            uid: object.uid.clone(),
            revision: object.revision,
        })
    }
}

fn is_derived(name: &str) -> bool {
    name.starts_with("derived-")
}

/// Returns whether Cilium wrote a Service as the derived Service of an import.
pub(crate) fn is_of_cilium(name: &str, labels: &Labels, annotations: &Labels) -> bool {
    let is_global = annotations.get(CILIUM_GLOBAL) == Some("true");
    is_derived(name) && is_global && labels.contains_key(api::SERVICE_NAME)
}

/// EndpointSlices of predecessors, by the import or Service that they belong to.
#[derive(Debug, Default)]
pub struct Left {
    slices: HashMap<ObjectKey, LeftSlice>,
    by_owner: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
}

impl Left {
    pub(crate) fn of(&self, owner: &ObjectKey) -> impl Iterator<Item = (&ObjectKey, &LeftSlice)> {
        let keys = self.by_owner.get(owner).into_iter().flatten();
        keys.filter_map(|key| self.slices.get_key_value(key))
    }

    /// Applies a change. Returns the owners concerned.
    pub(crate) fn apply(&mut self, change: Change<ObjectKey, LeftSlice>) -> Vec<ObjectKey> {
        match change {
            Change::Listed(all) | Change::ListedUnconfirmed(all) => {
                let before = std::mem::take(self);
                let added = all
                    .into_iter()
                    .flat_map(|(key, it)| self.set(key, Some(it)));
                let added: Vec<_> = added.collect();
                before.by_owner.into_keys().chain(added).collect()
            }
            Change::Applied(key, slice) => self.set(key, Some(slice)),
            Change::Deleted(key) => self.set(key, None),
            Change::Connected | Change::Disconnected => Vec::new(),
        }
    }

    fn set(&mut self, key: ObjectKey, slice: Option<LeftSlice>) -> Vec<ObjectKey> {
        let mut affected = Vec::new();
        if let Some(before) = self.slices.remove(&key) {
            if let Some(siblings) = self.by_owner.get_mut(&before.owner) {
                siblings.remove(&key);
                if siblings.is_empty() {
                    self.by_owner.remove(&before.owner);
                }
            }
            affected.push(before.owner);
        }
        if let Some(slice) = slice {
            affected.push(slice.owner.clone());
            let siblings = self.by_owner.entry(slice.owner.clone()).or_default();
            siblings.insert(key.clone());
            self.slices.insert(key, slice);
        }
        affected
    }
}
