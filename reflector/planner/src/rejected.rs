//! Values of optional fields that the local API server rejects, as one of another age may.
//!
//! A mirror is written without them, or with what comes closest, and that is reported.

use std::collections::HashMap;
use std::time::Duration;

use proto_types::Resource;

use crate::hold::MonotonicTime;
use crate::service::ServiceSpec;
use crate::slice::EndpointSliceSpec;

/// A field without which a mirror is still of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OptionalField {
    /// Preference of kube-proxy for endpoints.
    TrafficDistribution,
    /// Application protocol of a port of a Service or of an EndpointSlice.
    AppProtocol,
    /// The zones that an endpoint is for.
    Hints,
    /// The zone of an endpoint.
    Zone,
    /// The node of an endpoint.
    NodeName,
}

/// Values that the local API server rejected, with its message and the time.
#[derive(Debug, Default)]
pub struct Rejected(HashMap<(OptionalField, Box<str>), (Box<str>, MonotonicTime)>);

/// An API server may be replaced by a newer one.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

impl OptionalField {
    /// Returns the field that a path in a rejection leads to, such as
    /// `spec.ports[0].appProtocol`.
    #[must_use]
    pub fn at(resource: Resource, path: &str) -> Option<Self> {
        let path = without_indices(path);
        match (resource, path.as_str()) {
            (Resource::Services, "spec.trafficDistribution") => Some(Self::TrafficDistribution),
            (Resource::Services, "spec.ports.appProtocol")
            | (Resource::EndpointSlices, "ports.appProtocol")
            | (Resource::Endpoints, "subsets.ports.appProtocol") => Some(Self::AppProtocol),
            (Resource::EndpointSlices, "endpoints.zone") => Some(Self::Zone),
            (Resource::EndpointSlices, "endpoints.nodeName")
            | (Resource::Endpoints, "subsets.addresses.nodeName") => Some(Self::NodeName),
            (Resource::EndpointSlices, path) if path.starts_with("endpoints.hints") => {
                Some(Self::Hints)
            }
            (Resource::Services | Resource::EndpointSlices | Resource::Endpoints, _) => None,
        }
    }

    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TrafficDistribution => "trafficDistribution",
            Self::AppProtocol => "appProtocol",
            Self::Hints => "hints",
            Self::Zone => "zone",
            Self::NodeName => "nodeName",
        }
    }

    /// Returns the closest weaker value, if there is one.
    fn weaker(self, value: &str) -> Option<&'static str> {
        match (self, value) {
            (Self::TrafficDistribution, "PreferSameNode") => Some("PreferSameZone"),
            (Self::TrafficDistribution, "PreferSameZone") => Some("PreferClose"),
            _ => None,
        }
    }
}

fn without_indices(path: &str) -> String {
    let parts = path.split('[');
    let mut parts = parts.map(|it| it.split_once(']').map_or(it, |(_, after)| after));
    let mut whole = parts.next().unwrap_or_default().to_owned();
    whole.extend(parts);
    whole
}

impl Rejected {
    /// Returns whether no value is rejected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Remembers a rejection.
    pub fn insert(
        &mut self,
        field: OptionalField,
        value: Box<str>,
        message: Box<str>,
        now: MonotonicTime,
    ) {
        self.0.insert((field, value), (message, now));
    }

    /// Forgets what was rejected long ago; returns whether there was any.
    pub fn expire(&mut self, now: MonotonicTime) -> bool {
        let before = self.0.len();
        self.0
            .retain(|_, (_, at)| now.0.saturating_sub(at.0) < FORGET_AFTER);
        self.0.len() < before
    }

    /// The words with which a value was rejected.
    fn of(&self, field: OptionalField, value: &str) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let (message, _) = self.0.get(&(field, value.into()))?;
        Some(message)
    }

    /// Replaces a value that is rejected by one that is not, or by none.
    fn weaken(&self, field: OptionalField, value: &mut Option<Box<str>>, lost: &mut Vec<Lost>) {
        let Some(asked) = value.clone() else {
            return;
        };
        let Some(message) = self.of(field, &asked) else {
            return;
        };
        let mut closest = field.weaker(&asked);
        while let Some(next) = closest.filter(|it| self.of(field, it).is_some()) {
            closest = field.weaker(next);
        }
        *value = closest.map(Into::into);
        lost.push(Lost {
            field,
            asked,
            used: closest,
            message: message.into(),
        });
    }
}

/// Value that a mirror loses because the local API server rejects it.
#[derive(Debug)]
pub struct Lost {
    /// The field.
    pub field: OptionalField,
    /// Value of the source.
    pub asked: Box<str>,
    /// Value that is written, if any.
    pub used: Option<&'static str>,
    /// Message of the API server.
    pub message: Box<str>,
}

impl Rejected {
    /// Removes rejected values from a Service.
    pub fn weaken_service(&self, spec: &mut ServiceSpec) -> Vec<Lost> {
        let mut lost = Vec::new();
        let distribution = &mut spec.traffic_distribution;
        self.weaken(OptionalField::TrafficDistribution, distribution, &mut lost);
        for port in &mut spec.ports {
            self.weaken(
                OptionalField::AppProtocol,
                &mut port.app_protocol,
                &mut lost,
            );
        }
        lost
    }

    /// Removes rejected values from an EndpointSlice.
    pub fn weaken_slice(&self, spec: &mut EndpointSliceSpec) -> Vec<Lost> {
        let mut lost = Vec::new();
        for port in &mut spec.ports {
            self.weaken(
                OptionalField::AppProtocol,
                &mut port.app_protocol,
                &mut lost,
            );
        }
        for endpoint in &mut spec.endpoints {
            self.weaken(OptionalField::Zone, &mut endpoint.zone, &mut lost);
            self.weaken(OptionalField::NodeName, &mut endpoint.node, &mut lost);
            if let Some(message) = self.of(OptionalField::Hints, "")
                && !endpoint.hints.is_empty()
            {
                endpoint.hints = Box::default();
                lost.push(Lost {
                    field: OptionalField::Hints,
                    asked: Box::default(),
                    used: None,
                    message: message.into(),
                });
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_field_is_found_by_its_path() {
        for (path, field) in [
            (
                "spec.trafficDistribution",
                Some(OptionalField::TrafficDistribution),
            ),
            (
                "spec.ports[12].appProtocol",
                Some(OptionalField::AppProtocol),
            ),
            ("spec.clusterIPs[0]", None),
        ] {
            assert_eq!(OptionalField::at(Resource::Services, path), field, "{path}");
        }
        let slices = Resource::EndpointSlices;
        let hints = OptionalField::at(slices, "endpoints[3].hints.forZones[0].name");
        assert_eq!(hints, Some(OptionalField::Hints));
    }

    #[test]
    fn the_closest_value_that_is_not_rejected_is_used() {
        let mut rejected = Rejected::default();
        let field = OptionalField::TrafficDistribution;
        let mut weakened = |value: &str| {
            rejected.insert(field, value.into(), "no".into(), MonotonicTime::default());
            let mut value = Some("PreferSameNode".into());
            rejected.weaken(field, &mut value, &mut Vec::new());
            value
        };
        assert_eq!(
            weakened("PreferSameNode").as_deref(),
            Some("PreferSameZone")
        );
        assert_eq!(weakened("PreferSameZone").as_deref(), Some("PreferClose"));
        assert_eq!(weakened("PreferClose"), None);
        assert!(rejected.expire(MonotonicTime(FORGET_AFTER)));
        assert!(!rejected.expire(MonotonicTime(FORGET_AFTER)));
    }
}
