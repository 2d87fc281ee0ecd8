//! Mapping of the ports of a member to the ports of its global Service.

use crate::slice::SlicePort;

/// Port names of one member, and the names that they have in the global Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Routes(pub(super) Vec<Route>);

/// Mapping of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// Name at the member.
    pub(super) from: Box<str>,
    /// Name in the global Service; `None` for a port that receives no traffic.
    pub(super) to: Option<Box<str>>,
}

impl Routes {
    /// Returns the EndpointSlice ports of a member under their names in the global Service, without
    /// those that receive no traffic.
    pub(super) fn of(&self, ports: &[SlicePort]) -> Box<[SlicePort]> {
        let routed = ports.iter().filter_map(|port| {
            let route = self.0.iter().find(|it| it.from == port.name)?;
            let name = route.to.clone()?;
            Some(SlicePort {
                name,
                ..port.clone()
            })
        });
        routed.collect()
    }
}
