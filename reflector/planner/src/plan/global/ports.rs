//! The ports of a global Service: the union of its members', the first one's first.
//!
//! A port is known by its name, and then by its protocol and number. kube-proxy joins
//! Services and slices by the names of ports, so that what a member's name means decides
//! where its traffic comes from.

use crate::plan::routes::{Route, Routes};
use crate::problem::Conflict;
use crate::service::ServicePort;

/// Maximum number of ports of a global Service. Services of users have a handful; ports of a
/// hostile source must leave room for the others in an object of etcd.
pub(crate) const MAX_PORTS: usize = 100;

/// Treatment of ports that the first member lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewPorts {
    /// They may.
    Union,
    /// Members may not: the first one is an unmanaged Service, which stays unchanged.
    Fixed,
}

/// The ports so far, and whose they are.
#[derive(Debug, Default)]
pub(crate) struct Union {
    ports: Vec<(ServicePort, usize)>,
}

impl Union {
    /// Adds the ports of a member; returns their mapping, and the conflicts with the members that
    /// they contradict.
    pub(crate) fn add(
        &mut self,
        member: usize,
        ports: &[ServicePort],
        frame: NewPorts,
    ) -> (Routes, Vec<(usize, Conflict)>) {
        let mut conflicts = Vec::new();
        let mut routes = Vec::with_capacity(ports.len());
        for port in ports {
            let to = match self.place(port) {
                PortSlot::Found(i) => {
                    let (there, whose) = &self.ports[i];
                    conflicts.extend(differences(port, there).map(|it| (*whose, it)));
                    Some(there.name.clone())
                }
                PortSlot::Taken(i) => {
                    let (there, whose) = &self.ports[i];
                    let conflict = Conflict::Port {
                        name: port.name.clone(),
                        here: number(port),
                        there: number(there),
                    };
                    conflicts.push((*whose, conflict));
                    None
                }
                PortSlot::Free if frame == NewPorts::Fixed && member != 0 => {
                    let name = port.name.clone();
                    conflicts.push((0, Conflict::PortUnknown { name }));
                    None
                }
                PortSlot::Free if self.ports.len() == MAX_PORTS => {
                    let (name, limit) = (port.name.clone(), MAX_PORTS);
                    conflicts.push((0, Conflict::PortLimit { name, limit }));
                    None
                }
                PortSlot::Free => {
                    self.ports.push((port.clone(), member));
                    Some(port.name.clone())
                }
            };
            let from = port.name.clone();
            routes.push(Route { from, to });
        }
        (Routes(routes), conflicts)
    }

    fn place(&self, port: &ServicePort) -> PortSlot {
        let by_name = self.ports.iter().position(|(it, _)| it.name == port.name);
        let is_same = |it: &ServicePort| (&it.protocol, it.port) == (&port.protocol, port.port);
        match by_name {
            Some(i) if is_same(&self.ports[i].0) => PortSlot::Found(i),
            Some(i) => PortSlot::Taken(i),
            None => {
                let by_number = self.ports.iter().position(|(it, _)| is_same(it));
                by_number.map_or(PortSlot::Free, PortSlot::Found)
            }
        }
    }

    /// The ports. Where there are several, each needs a name: one that has none gets
    /// it, in the routes too.
    pub(crate) fn finish(self, routes: &mut [Routes]) -> Box<[ServicePort]> {
        let mut ports: Vec<_> = self.ports.into_iter().map(|(port, _)| port).collect();
        if ports.len() < 2 {
            return ports.into();
        }
        let Some(nameless) = ports.iter().position(|port| port.name.is_empty()) else {
            return ports.into();
        };
        let port = &ports[nameless];
        let mut name = format!("{}-{}", port.protocol.to_ascii_lowercase(), port.port);
        while ports.iter().any(|port| *port.name == *name) {
            name.push('x');
        }
        let name: Box<str> = name.into();
        ports[nameless].name = name.clone();
        let routes = routes.iter_mut().flat_map(|it| &mut it.0);
        for to in routes.filter_map(|it| it.to.as_mut()) {
            if to.is_empty() {
                *to = name.clone();
            }
        }
        ports.into()
    }
}

/// Position of a port in a union.
enum PortSlot {
    /// It is there.
    Found(usize),
    /// Its name is another port's.
    Taken(usize),
    /// It is new.
    Free,
}

fn differences(port: &ServicePort, there: &ServicePort) -> impl Iterator<Item = Conflict> {
    let renamed = (port.name != there.name).then(|| Conflict::PortName {
        port: number(port),
        here: port.name.clone(),
        there: there.name.clone(),
    });
    let spoken = |it: &ServicePort| it.app_protocol.clone().unwrap_or_default();
    let speaks = (port.app_protocol != there.app_protocol).then(|| Conflict::AppProtocol {
        name: port.name.clone(),
        here: spoken(port),
        there: spoken(there),
    });
    renamed.into_iter().chain(speaks)
}

fn number(port: &ServicePort) -> Box<str> {
    format!("{} {}", port.protocol, port.port).into()
}

#[cfg(test)]
mod tests {
    use super::{MAX_PORTS, NewPorts, Union};
    use crate::plan::routes::Routes;
    use crate::service::{ServicePort, Target};
    use crate::slice::SlicePort;

    fn port(name: &str, number: u16) -> ServicePort {
        ServicePort {
            name: name.into(),
            protocol: "TCP".into(),
            port: number,
            target: Target::Number(number),
            app_protocol: None,
        }
    }

    fn ports(text: &str) -> Vec<ServicePort> {
        let ports = text.split_whitespace().map(|it| {
            let (name, number) = it.split_once(':').unwrap();
            port(name, number.parse().unwrap())
        });
        ports.collect()
    }

    fn routed(routes: &Routes, of: &[ServicePort]) -> String {
        let slice: Vec<_> = of
            .iter()
            .map(|it| SlicePort {
                name: it.name.clone(),
                protocol: it.protocol.clone(),
                port: Some(it.port),
                app_protocol: None,
            })
            .collect();
        let routed = routes.of(&slice);
        let routed = routed
            .iter()
            .map(|it| format!("{}:{}", it.name, it.port.unwrap()));
        routed.collect::<Vec<_>>().join(" ")
    }

    /// Members' ports, and what comes of them: the union, and what each receives.
    #[track_caller]
    fn check(frame: NewPorts, members: &[&str], expected: &[&str]) {
        let mut union = Union::default();
        let members: Vec<_> = members.iter().map(|it| ports(it)).collect();
        let added = members
            .iter()
            .enumerate()
            .map(|(i, it)| union.add(i, it, frame));
        let (mut routes, conflicts): (Vec<_>, Vec<_>) = added.unzip();
        let union = union.finish(&mut routes);
        let union: Vec<_> = union
            .iter()
            .map(|it| format!("{}:{}", it.name, it.port))
            .collect();
        let mut outcome = vec![union.join(" ")];
        for ((member, routes), conflicts) in members.iter().zip(&routes).zip(&conflicts) {
            outcome.push(format!("{} !{}", routed(routes, member), conflicts.len()));
        }
        assert_eq!(outcome, expected);
    }

    #[test]
    fn ports_are_known_by_name_and_then_by_number() {
        let check = |members: &[&str], expected: &[&str]| check(NewPorts::Union, members, expected);
        check(
            &["http:80", "http:80 metrics:9090"],
            &[
                "http:80 metrics:9090",
                "http:80 !0",
                "http:80 metrics:9090 !0",
            ],
        );
        // The name means something else: no traffic.
        check(&["http:80", "http:81"], &["http:80", "http:80 !0", " !1"]);
        // The number has another name: traffic, under the first one's.
        check(
            &["http:80", "web:80"],
            &["http:80", "http:80 !0", "http:80 !1"],
        );
        // A name that changed places.
        check(
            &["http:80", "http:8080 web:80"],
            &["http:80", "http:80 !0", "http:80 !2"],
        );
    }

    #[test]
    fn a_port_without_a_name_gets_one_where_it_needs_one() {
        let check = |members: &[&str], expected: &[&str]| check(NewPorts::Union, members, expected);
        check(&[":80", ":80"], &[":80", ":80 !0", ":80 !0"]);
        check(&[":80", ":81"], &[":80", ":80 !0", " !1"]);
        check(
            &[":80", "metrics:9090"],
            &["tcp-80:80 metrics:9090", "tcp-80:80 !0", "metrics:9090 !0"],
        );
        check(
            &["tcp-80:81", ":80"],
            &["tcp-80:81 tcp-80x:80", "tcp-80:81 !0", "tcp-80x:80 !0"],
        );
    }

    #[test]
    fn ports_are_not_added_to_a_service_that_is_not_ours() {
        check(
            NewPorts::Fixed,
            &[":80", "web:80 metrics:9090"],
            &[":80", ":80 !0", ":80 !2"],
        );
    }

    #[test]
    fn a_union_has_a_limit() {
        let many: Vec<_> = (0..300).map(|i| port(&format!("p{i}"), i + 1)).collect();
        let mut union = Union::default();
        let (_, conflicts) = union.add(0, &many, NewPorts::Union);
        assert_eq!(conflicts.len(), 300 - MAX_PORTS);
        assert_eq!(union.finish(&mut []).len(), MAX_PORTS);
    }
}
