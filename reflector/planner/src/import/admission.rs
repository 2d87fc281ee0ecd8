//! Admission of what a cluster exports to the imports of a clusterset.

use ipnet::IpNet;
use proto_types::ObjectKey;

use super::endpoints::EndpointFilter;
use super::{Import, ImportViolation, Own};
use crate::service::ServiceSpec;
use crate::slice::EndpointSliceSpec;

/// Addresses and domains of the local cluster, which no other cluster may lead to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalAddresses {
    /// CIDRs that the operator closed.
    pub closed: Vec<IpNet>,
    /// CIDRs that the local API server reports.
    pub learned: Vec<IpNet>,
    /// Domains of the local cluster.
    pub domains: Vec<Box<str>>,
}

impl LocalAddresses {
    fn own(&self) -> Own<'_> {
        Own {
            is_foreign: true,
            is_limited: !self.closed.is_empty(),
            ranges: &self.closed,
            learned: &self.learned,
            domains: &self.domains,
        }
    }
}

impl Import {
    /// Returns the admitted part of a Service that a cluster exports, and what is left out of it.
    ///
    /// # Errors
    ///
    /// Nothing of it is admitted.
    pub fn admit_export(
        &self,
        service: &ObjectKey,
        spec: &ServiceSpec,
        local: &LocalAddresses,
    ) -> Result<(ServiceSpec, Option<ImportViolation>), ImportViolation> {
        self.admit(service, Some(spec), local.own())?;
        Ok(self.filter_ports(spec))
    }

    /// Returns the admitted part of each EndpointSlice of a Service, and what is left out.
    #[must_use]
    pub fn admit_slices<'s>(
        &self,
        slices: impl Iterator<Item = (&'s str, &'s EndpointSliceSpec)> + Clone,
        local: &LocalAddresses,
    ) -> (Vec<EndpointSliceSpec>, Vec<ImportViolation>) {
        let mut gate = EndpointFilter::new(self, local.own(), slices.clone().map(|(_, it)| it));
        let mut refusals = Vec::new();
        let passed = slices.map(|(name, spec)| {
            let (spec, refused) = gate.pass(name, spec);
            refusals.extend(refused);
            spec
        });
        let passed = passed.collect();
        refusals.extend(gate.close());
        (passed, refusals)
    }
}
