//! Use of core/v1 Endpoints, as in the file.

use reflector_planner::CoreEndpoints;
use schemars::JsonSchema;
use serde::Deserialize;

/// Resource of a source from which endpoints are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EndpointsFrom {
    /// Its EndpointSlices.
    #[default]
    EndpointSlices,
    /// Its core/v1 Endpoints.
    Endpoints,
    /// Its Endpoints as long as it serves no slices.
    Auto,
}

impl EndpointsFrom {
    /// For people.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::EndpointSlices => "EndpointSlices",
            Self::Endpoints => "core/v1 Endpoints",
            Self::Auto => "EndpointSlices, or core/v1 Endpoints where it serves no slices",
        }
    }
}

/// Returns the policy of a value of `writeEndpoints`.
pub(super) const fn written(is_wanted: bool) -> CoreEndpoints {
    if is_wanted {
        CoreEndpoints::Written
    } else {
        CoreEndpoints::Unwritten
    }
}
