//! Losses: objects that a cluster does not have any more, and the deletion holds on them.

use std::collections::HashMap;

use proto_types::ObjectKey;
use reflector_planner::hold::DeletionHold;

use crate::export::{Export, ExportedService};

/// A resource of a cluster, of which an import is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// ServiceExports.
    Exports,
    /// Services that are exported.
    Services,
    /// EndpointSlices of them.
    Slices,
}

/// Losses of one cluster, by its lists and watch events. The unit is an import.
#[derive(Debug, Default)]
pub struct Losses {
    exports: DeletionHold,
    services: DeletionHold,
    slices: DeletionHold,
    /// Objects as they were read last, of those that count as lost.
    pub(crate) last_exports: HashMap<ObjectKey, Export>,
    pub(crate) last_services: HashMap<ObjectKey, ExportedService>,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Exports, Self::Services, Self::Slices];

    /// Returns the name in status and metrics. The plain names of resources are those of mirrors.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exports => "serviceexports",
            Self::Services => "exported-services",
            Self::Slices => "exported-endpointslices",
        }
    }
}

impl Losses {
    /// Returns the deletion hold of a resource.
    #[must_use]
    pub const fn hold(&self, part: Part) -> &DeletionHold {
        match part {
            Part::Exports => &self.exports,
            Part::Services => &self.services,
            Part::Slices => &self.slices,
        }
    }

    pub(crate) const fn hold_mut(&mut self, part: Part) -> &mut DeletionHold {
        match part {
            Part::Exports => &mut self.exports,
            Part::Services => &mut self.services,
            Part::Slices => &mut self.slices,
        }
    }

    /// Forgets the objects that do not count as lost.
    pub(crate) fn prune(&mut self) {
        let exports = &self.exports;
        self.last_exports.retain(|key, _| exports.counts(key));
        let services = &self.services;
        self.last_services.retain(|key, _| services.counts(key));
    }
}
