//! What there is in a source to begin with.

use std::net::Ipv4Addr;

use proto_types::label;
use serde_json::{Value, json};

/// The label that emitters of the playground export by.
pub(crate) const EXPORT: &str = "heliograph.dev/export";

/// The namespace of a source's Services.
pub(crate) const NAMESPACE: &str = "demo";

/// Where mirrors go.
pub(crate) const MIRRORS: &str = "mirrors";

/// Exported, and longer than a mirror's name can be.
const TOO_LONG: &str = "checkout-with-a-name-that-is-too-long-once-it-has-a-prefix";

/// Not exported.
pub(crate) const INTERNAL: &str = "internal";

/// A Service of a source, with its endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Its name.
    pub(crate) name: String,
    /// Where its endpoints are: each Service of each source has its own.
    place: (u8, u16),
    traits: Traits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traits {
    Ordinary,
    Headless,
    /// One address would mean something else here, though API servers take it.
    WithMulticast,
    Internal,
}

/// The Services of a source: so many that can be mirrored, and two that cannot.
pub(crate) fn of_source(source: u8, n_services: u16) -> Vec<Sample> {
    let names = [
        ("web".to_owned(), Traits::Ordinary),
        ("cache".to_owned(), Traits::Headless),
        ("search".to_owned(), Traits::WithMulticast),
    ];
    let apps = (4..).map(|i| (format!("app-{i:02}"), Traits::Ordinary));
    let further = [
        (TOO_LONG.to_owned(), Traits::Ordinary),
        (INTERNAL.to_owned(), Traits::Internal),
    ];
    let names = names
        .into_iter()
        .chain(apps)
        .take(n_services.into())
        .chain(further);
    let samples = names.zip(0..).map(|((name, traits), i)| Sample {
        name,
        place: (source, i),
        traits,
    });
    samples.collect()
}

/// The Service that comes and goes.
pub(crate) fn passing(source: u8) -> Sample {
    Sample {
        name: "batch".to_owned(),
        place: (source, u16::MAX),
        traits: Traits::Ordinary,
    }
}

impl Sample {
    /// The Service.
    pub(crate) fn service(&self) -> Value {
        let mut spec = json!({"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]});
        if self.traits == Traits::Headless {
            spec["clusterIP"] = json!("None");
        }
        json!({
            "apiVersion": "v1", "kind": "Service", "spec": spec,
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": self.labels()},
        })
    }

    /// The slice of its endpoints.
    pub(crate) fn slice(&self, n_endpoints: u8, changed: jiff::Timestamp) -> Value {
        let mut labels = self.labels();
        labels[label::SERVICE_NAME] = json!(self.name);
        // A slice that somebody else looks after: real controllers leave it alone.
        labels[label::SLICE_MANAGED_BY] = json!("playground");
        if self.traits == Traits::Headless {
            labels[label::HEADLESS] = json!("");
        }
        let mut slice = self.endpoints(n_endpoints, changed);
        slice["apiVersion"] = json!("discovery.k8s.io/v1");
        slice["kind"] = json!("EndpointSlice");
        slice["addressType"] = json!("IPv4");
        slice["ports"] = json!([{"name": "http", "port": 8080, "protocol": "TCP"}]);
        slice["metadata"]["name"] = json!(self.slice_name());
        slice["metadata"]["namespace"] = json!(NAMESPACE);
        slice["metadata"]["labels"] = labels;
        slice
    }

    /// The change to other endpoints.
    pub(crate) fn endpoints(&self, n_endpoints: u8, changed: jiff::Timestamp) -> Value {
        let mut addresses: Vec<_> = (1..=n_endpoints).map(|i| self.address(i)).collect();
        if self.traits == Traits::WithMulticast {
            addresses.push(Ipv4Addr::new(239, 255, 0, 1));
        }
        let n_addresses = addresses.len();
        let endpoints = addresses.iter().zip(1..).map(|(address, i)| {
            // The newest of several has yet to become ready.
            let ready = n_addresses < 4 || i < n_addresses;
            json!({"addresses": [address], "conditions": {"ready": ready}})
        });
        json!({
            "metadata": {"annotations": {label::LAST_CHANGE: changed.to_string()}},
            "endpoints": endpoints.collect::<Vec<_>>(),
        })
    }

    /// The slice's name.
    pub(crate) fn slice_name(&self) -> String {
        // Beside 58 characters of a Service's name there is room for this in a label.
        format!("{}-1", self.name)
    }

    fn labels(&self) -> Value {
        let mut labels = json!({"app": self.name});
        if self.traits != Traits::Internal {
            labels[EXPORT] = json!("true");
        }
        labels
    }

    fn address(&self, i: u8) -> Ipv4Addr {
        let (source, place) = self.place;
        let [high, low] = (place << 3).to_be_bytes();
        Ipv4Addr::new(10, source, high, low | (i & 7))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn services_do_not_share_addresses() {
        let mut samples = of_source(1, 1000);
        samples.push(passing(1));
        let addresses: BTreeSet<_> = samples
            .iter()
            .flat_map(|it| (1..=4).map(|i| it.address(i)))
            .collect();
        assert_eq!(addresses.len(), samples.len() * 4);
    }

    #[test]
    fn a_source_has_what_was_asked_for_and_what_cannot_be_mirrored() {
        let samples = of_source(1, 12);
        assert_eq!(samples.len(), 14);
        let names: BTreeSet<_> = samples.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names.len(), samples.len());
        assert!(names.iter().all(|name| name.len() <= 63));
        let longest = format!("c99-{NAMESPACE}-73736d-{TOO_LONG}");
        assert!(63 < longest.len());
        let exported = |it: &&Sample| it.service()["metadata"]["labels"][EXPORT] == "true";
        assert_eq!(samples.iter().filter(exported).count(), 13);
    }
}
