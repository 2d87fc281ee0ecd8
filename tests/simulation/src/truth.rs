//! True history of one source cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use embedded_cluster::{Change, Kind};
use serde_json::Value;

/// Namespace and name.
pub(crate) type Key = (String, String);

/// Label of what is exported, and its value.
pub(crate) const EXPORT: (&str, &str) = ("heliograph.dev/export", "true");

/// Annotation by which a Service chooses the name of its mirror.
pub(crate) const ALIAS: &str = "heliograph.dev/alias";

/// Presence of something, now and before: each change, and to what.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(Vec<(Duration, bool)>);

impl History {
    fn set(&mut self, is_there: bool, now: Duration) {
        if self.is_there() != is_there {
            self.0.push((now, is_there));
        }
    }

    fn is_there(&self) -> bool {
        self.0.last().is_some_and(|it| it.1)
    }

    /// The moment since which it is not there.
    fn gone_since(&self) -> Option<Duration> {
        match self.0.last() {
            None => Some(Duration::ZERO),
            Some((_, true)) => None,
            Some((since, false)) => Some(*since),
        }
    }

    /// Spans, each with its begin and its state; the last one has no end.
    fn spans(&self) -> impl Iterator<Item = (Duration, Option<Duration>, bool)> {
        let ends = self.0.iter().map(|it| Some(it.0)).skip(1).chain([None]);
        let spans = self.0.iter().zip(ends);
        let spans = spans.map(|((from, is_there), to)| (*from, to, *is_there));
        let first = self.0.first().map(|it| it.0);
        [(Duration::ZERO, first, false)].into_iter().chain(spans)
    }

    /// The first moment within these at which it was there.
    pub(crate) fn first_there(&self, from: Duration, to: Duration) -> Option<Duration> {
        let mut spans = self.spans().filter(|it| it.2);
        spans.find_map(|(start, end, _)| {
            let is_within = start <= to && end.is_none_or(|end| from < end);
            is_within.then(|| start.max(from))
        })
    }

    /// Returns whether it was not there at a moment within these.
    pub(crate) fn lacked(&self, from: Duration, to: Duration) -> bool {
        let mut spans = self.spans().filter(|it| !it.2);
        spans.any(|(start, end, _)| start <= to && end.is_none_or(|end| from < end))
    }
}

/// What is exported of a Service.
#[derive(Debug, Default)]
pub(crate) struct Exported {
    pub(crate) spec: Value,
    /// Name that it chose for its mirror.
    pub(crate) alias: Option<String>,
}

/// True history of one source cluster.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    services: BTreeMap<Key, (History, Exported)>,
    slices: BTreeMap<Key, (String, BTreeSet<String>)>,
    endpoints: BTreeMap<(Key, String), History>,
    /// Ports without which a Service does not come in; any if there are none.
    ports: Vec<u64>,
}

impl Truth {
    /// Lets Services come in only with these ports, if there are any.
    pub(crate) fn import(&mut self, ports: &[u64]) {
        self.ports = ports.to_vec();
    }

    fn comes_in(&self, service: &Value) -> bool {
        let port = service["spec"]["ports"][0]["port"].as_u64();
        let is_imported = self.ports.is_empty() || port.is_some_and(|it| self.ports.contains(&it));
        is_imported && is_exported(service)
    }

    /// Takes in a change of the cluster.
    pub(crate) fn change(&mut self, change: Change<'_>, now: Duration) {
        match change.kind {
            Kind::Services => self.service(change, now),
            Kind::EndpointSlices => self.slice(change, now),
            Kind::ConfigMaps
            | Kind::Endpoints
            | Kind::CoreEvents
            | Kind::Namespaces
            | Kind::Secrets
            | Kind::Leases
            | Kind::Events
            | Kind::ServiceExports
            | Kind::ServiceImports => {}
        }
    }

    fn service(&mut self, change: Change<'_>, now: Duration) {
        let Some(object) = change.after.or(change.before) else {
            return;
        };
        let is_there = change.after.is_some_and(|it| self.comes_in(it));
        let (history, exported) = self.services.entry(key(object)).or_default();
        history.set(is_there, now);
        exported.spec.clone_from(&object["spec"]);
        let alias = object["metadata"]["annotations"].get(ALIAS);
        exported.alias = alias.and_then(Value::as_str).map(str::to_owned);
    }

    fn slice(&mut self, change: Change<'_>, now: Duration) {
        let Some(object) = change.after.or(change.before) else {
            return;
        };
        let slice = key(object);
        let service = (slice.0.clone(), service_of(object).to_owned());
        match change.after.filter(|it| is_exported(it)) {
            Some(after) => {
                let ready = ready(after);
                self.slices.insert(slice, (service.1.clone(), ready));
            }
            None => drop(self.slices.remove(&slice)),
        }
        let there = self.ready(&service);
        let known = self.endpoints.keys().filter(|it| it.0 == service);
        let known: BTreeSet<String> = known.map(|it| it.1.clone()).collect();
        for address in known.union(&there) {
            let is_there = there.contains(address);
            let key = (service.clone(), address.clone());
            self.endpoints.entry(key).or_default().set(is_there, now);
        }
    }

    /// Addresses of a Service's ready endpoints.
    pub(crate) fn ready(&self, service: &Key) -> BTreeSet<String> {
        let slices = self.slices.iter();
        let of = slices.filter(|(key, (name, _))| key.0 == service.0 && *name == service.1);
        of.flat_map(|(_, (_, ready))| ready.clone()).collect()
    }

    /// The exported Services, with their specifications.
    pub(crate) fn exported(&self) -> impl Iterator<Item = (&Key, &Exported)> {
        let services = self.services.iter();
        services
            .filter(|(_, (history, _))| history.is_there())
            .map(|(key, (_, exported))| (key, exported))
    }

    /// Name that a Service chose for its mirror.
    pub(crate) fn alias(&self, service: &Key) -> Option<&str> {
        self.services.get(service)?.1.alias.as_deref()
    }

    /// Presence of a Service among what is exported.
    pub(crate) fn service_history(&self, service: &Key) -> History {
        let known = self.services.get(service).map(|it| it.0.clone());
        known.unwrap_or_default()
    }

    /// Presence of an address among the ready endpoints of a Service.
    pub(crate) fn endpoint_history(&self, service: &Key, address: &str) -> History {
        let key = (service.clone(), address.to_owned());
        self.endpoints.get(&key).cloned().unwrap_or_default()
    }

    /// The moment since which a Service has no ready endpoint of that address.
    pub(crate) fn gone_since(&self, service: &Key, address: &str) -> Option<Duration> {
        self.endpoint_history(service, address).gone_since()
    }
}

/// Key of an object.
pub(crate) fn key(object: &Value) -> Key {
    let text = |field: &str| {
        let text = object["metadata"][field].as_str();
        text.unwrap_or_default().to_owned()
    };
    (text("namespace"), text("name"))
}

/// Value of a label.
pub(crate) fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["labels"].get(name)?.as_str()
}

/// Name of the Service that a slice belongs to.
pub(crate) fn service_of(slice: &Value) -> &str {
    label(slice, "kubernetes.io/service-name").unwrap_or_default()
}

/// Returns whether an object has the label of what is exported.
pub(crate) fn is_exported(object: &Value) -> bool {
    label(object, EXPORT.0) == Some(EXPORT.1)
}

/// Addresses of the ready endpoints of a slice.
pub(crate) fn ready(slice: &Value) -> BTreeSet<String> {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let ready = endpoints.filter(|it| it["conditions"]["ready"] != Value::Bool(false));
    let addresses = ready.filter_map(|it| it["addresses"].as_array());
    let addresses = addresses.flatten().filter_map(Value::as_str);
    addresses.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_history_says_when_something_was_there_and_when_not() {
        let mut history = History::default();
        assert!(history.lacked(seconds(0), seconds(5)));
        history.set(true, seconds(10));
        history.set(true, seconds(11));
        assert!(history.lacked(seconds(5), seconds(20)));
        assert!(!history.lacked(seconds(10), seconds(20)));
        assert_eq!(history.first_there(seconds(0), seconds(9)), None);
        assert_eq!(
            history.first_there(seconds(0), seconds(20)),
            Some(seconds(10))
        );
        history.set(false, seconds(30));
        history.set(true, seconds(31));
        assert!(history.lacked(seconds(10), seconds(40)));
        assert!(!history.lacked(seconds(31), seconds(40)));
        assert_eq!(
            history.first_there(seconds(15), seconds(40)),
            Some(seconds(15))
        );
        assert_eq!(history.gone_since(), None);
    }
}
