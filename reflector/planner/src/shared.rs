//! Reading and writing of Services and EndpointSlices for the planner of the
//! Multi-Cluster Services API, which shows the same fields.

use serde_json::{Map, Value};

use crate::service::ServiceSpec;
use crate::slice::EndpointSliceSpec;
use crate::staleness::Age;
use crate::wire;

impl ServiceSpec {
    /// Reads a Service of the local cluster.
    pub fn parse_local(json: &[u8]) -> Result<Self, String> {
        let service: wire::Service = serde_json::from_slice(json).map_err(|it| it.to_string())?;
        Ok(Self::observed(service.spec))
    }

    /// Writes this into the `spec` of a Service.
    pub fn write_to(&self, spec: &mut Map<String, Value>) {
        self.write(spec);
    }

    /// Returns whether a Service of the local cluster needs no write to show this.
    #[must_use]
    pub fn is_shown_by(&self, observed: &Self) -> bool {
        self.agrees(observed)
    }

    /// Returns whether an API server rejects the update of a Service to this.
    #[must_use]
    pub fn needs_replacement_of(&self, observed: &Self) -> bool {
        self.must_replace(observed)
    }
}

impl EndpointSliceSpec {
    /// Reads an EndpointSlice of the local cluster.
    pub fn parse_local(json: &[u8]) -> Result<Self, String> {
        let slice: wire::Slice = serde_json::from_slice(json).map_err(|it| it.to_string())?;
        Ok(Self::read(slice).0)
    }

    /// Writes this into an EndpointSlice.
    pub fn write_to(&self, slice: &mut Map<String, Value>) {
        self.write(slice);
    }
}

impl Age {
    /// Returns what is published of an EndpointSlice.
    #[must_use]
    pub fn applied_to(self, spec: &EndpointSliceSpec) -> EndpointSliceSpec {
        self.of(spec)
    }
}
