//! Cells: what `k8s.io/kubernetes/pkg/printers/internalversion` prints.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::human_duration;

/// Returns the cells of a Service.
pub fn service(json: &[u8], now: Timestamp) -> Vec<Value> {
    encoded(read::<Service>(json).cells(now))
}

/// Returns the cells of an EndpointSlice.
pub fn endpoint_slice(json: &[u8], now: Timestamp) -> Vec<Value> {
    encoded(read::<Slice>(json).cells(now))
}

/// Returns the cells of Endpoints.
pub fn endpoints(json: &[u8], now: Timestamp) -> Vec<Value> {
    encoded(read::<Endpoints>(json).cells(now))
}

fn encoded(cells: Vec<String>) -> Vec<Value> {
    cells.into_iter().map(Value::from).collect()
}

/// An object as far as its row needs it, or an empty one.
pub fn read<T: DeserializeOwned + Default>(json: &[u8]) -> T {
    serde_json::from_slice(json).unwrap_or_default()
}

/// Metadata that every row shows.
#[derive(Debug, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// The name.
    pub name: String,
    creation_timestamp: Option<Timestamp>,
}

impl Metadata {
    /// Returns the age of the object as kubectl prints it.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> String {
        self.creation_timestamp.map_or_else(unknown, |created| {
            human_duration(now.as_second() - created.as_second())
        })
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Service {
    metadata: Metadata,
    spec: ServiceSpec,
    status: ServiceStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "type")]
    service_type: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Vec<String>,
    external_name: String,
    ports: Vec<ServicePort>,
    selector: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ServicePort {
    port: i32,
    node_port: i32,
    protocol: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ServiceStatus {
    load_balancer: LoadBalancer,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<Ingress>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ingress {
    ip: String,
    hostname: String,
}

impl Service {
    fn cells(self, now: Timestamp) -> Vec<String> {
        let age = self.metadata.age(now);
        let external = self.external();
        let selector: Vec<String> = self
            .spec
            .selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let ports: Vec<String> = self.spec.ports.iter().map(ServicePort::cell).collect();
        vec![
            self.metadata.name,
            self.spec.service_type,
            self.spec
                .cluster_ips
                .into_iter()
                .next()
                .unwrap_or_else(none),
            external,
            or_none(ports.join(",")),
            age,
            or_none(selector.join(",")),
        ]
    }

    fn external(&self) -> String {
        let spec = &self.spec;
        match spec.service_type.as_str() {
            "ClusterIP" | "NodePort" => or_none(spec.external_ips.join(",")),
            "LoadBalancer" => {
                let mut addresses: Vec<&str> = self
                    .status
                    .load_balancer
                    .ingress
                    .iter()
                    .map(|it| {
                        if it.ip.is_empty() {
                            &it.hostname
                        } else {
                            &it.ip
                        }
                    })
                    .map(String::as_str)
                    .filter(|address| !address.is_empty())
                    .collect();
                addresses.sort_unstable();
                addresses.dedup();
                addresses.extend(spec.external_ips.iter().map(String::as_str));
                match addresses.is_empty() {
                    true => "<pending>".to_owned(),
                    false => addresses.join(","),
                }
            }
            "ExternalName" => spec.external_name.clone(),
            _ => unknown(),
        }
    }
}

impl ServicePort {
    fn cell(&self) -> String {
        match self.node_port {
            0 => format!("{}/{}", self.port, self.protocol),
            node_port => format!("{}:{node_port}/{}", self.port, self.protocol),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Slice {
    metadata: Metadata,
    address_type: String,
    ports: Option<Vec<SlicePort>>,
    endpoints: Option<Vec<SliceEndpoint>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SlicePort {
    name: Option<String>,
    port: Option<i32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SliceEndpoint {
    addresses: Vec<String>,
}

impl Slice {
    fn cells(self, now: Timestamp) -> Vec<String> {
        let ports = self.ports.unwrap_or_default();
        let ports = ports.into_iter().map(|port| match port.port {
            Some(number) => number.to_string(),
            None => port.name.unwrap_or_default(),
        });
        let endpoints = self.endpoints.unwrap_or_default();
        let addresses = endpoints.into_iter().flat_map(|it| it.addresses);
        let age = self.metadata.age(now);
        vec![
            self.metadata.name,
            self.address_type,
            first_three(ports).unwrap_or_else(unset),
            first_three(addresses).unwrap_or_else(unset),
            age,
        ]
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Endpoints {
    metadata: Metadata,
    subsets: Vec<Subset>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Subset {
    addresses: Vec<Address>,
    ports: Vec<SubsetPort>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Address {
    ip: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SubsetPort {
    port: i32,
}

impl Endpoints {
    fn cells(self, now: Timestamp) -> Vec<String> {
        let addresses = self.subsets.iter().flat_map(Subset::addresses);
        let cell = match self.subsets.is_empty() {
            true => none(),
            false => first_three(addresses).unwrap_or_default(),
        };
        let age = self.metadata.age(now);
        vec![self.metadata.name, cell, age]
    }
}

impl Subset {
    fn addresses(&self) -> Vec<String> {
        let ips = self.addresses.iter().map(|address| &address.ip);
        if self.ports.is_empty() {
            return ips.cloned().collect();
        }
        self.ports
            .iter()
            .flat_map(|port| ips.clone().map(|ip| join_host_port(ip, port.port)))
            .collect()
    }
}

fn join_host_port(ip: &str, port: i32) -> String {
    match ip.contains(':') {
        true => format!("[{ip}]:{port}"),
        false => format!("{ip}:{port}"),
    }
}

/// Three items and how many more there are; `None` where there is no item.
fn first_three(items: impl Iterator<Item = String>) -> Option<String> {
    let items: Vec<String> = items.collect();
    match items.len() {
        0 => None,
        1..=3 => Some(items.join(",")).filter(|it| !it.is_empty()),
        n => Some(format!("{} + {} more...", items[..3].join(","), n - 3)),
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { none() } else { text }
}

fn none() -> String {
    "<none>".to_owned()
}

fn unset() -> String {
    "<unset>".to_owned()
}

fn unknown() -> String {
    "<unknown>".to_owned()
}

#[cfg(test)]
mod tests {
    use super::Timestamp;
    use crate::ResourceDescriptor;
    use proto_types::Resource;

    fn check(resource: Resource, json: &str, cells: &str) {
        let now: Timestamp = "2026-01-01T00:02:30Z".parse().unwrap();
        let form: &ResourceDescriptor = resource.into();
        let cells: Vec<super::Value> = serde_json::from_str(cells).unwrap();
        assert_eq!((form.cells)(json.as_bytes(), now), cells);
    }

    #[test]
    fn a_service_prints_as_kubectl_knows_it() {
        check(
            Resource::Services,
            r#"{"metadata":{"name":"web","creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"type":"NodePort","clusterIPs":["10.0.0.1"],"ports":[{"port":80,"nodePort":30000,"protocol":"TCP"},{"port":53,"protocol":"UDP"}],"selector":{"b":"2","a":"1"}}}"#,
            r#"["web","NodePort","10.0.0.1","\u003cnone\u003e","80:30000/TCP,53/UDP","2m30s","a=1,b=2"]"#,
        );
        check(
            Resource::Services,
            "{}",
            r#"["","","\u003cnone\u003e","\u003cunknown\u003e","\u003cnone\u003e","\u003cunknown\u003e","\u003cnone\u003e"]"#,
        );
        check(
            Resource::Services,
            r#"{"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{}}}"#,
            r#"["","LoadBalancer","\u003cnone\u003e","\u003cpending\u003e","\u003cnone\u003e","\u003cunknown\u003e","\u003cnone\u003e"]"#,
        );
    }

    #[test]
    fn many_endpoints_are_counted() {
        check(
            Resource::EndpointSlices,
            r#"{"metadata":{"name":"s"},"addressType":"IPv4","ports":[{"port":80},{"name":"x"},{}],"endpoints":[{"addresses":["a"]},{"addresses":["b"]},{"addresses":["c","d","e"]}]}"#,
            r#"["s","IPv4","80,x,","a,b,c + 2 more...","\u003cunknown\u003e"]"#,
        );
        check(
            Resource::EndpointSlices,
            r#"{"metadata":{"name":"s"},"addressType":"IPv4","ports":[{"name":"","port":null}],"endpoints":[]}"#,
            r#"["s","IPv4","\u003cunset\u003e","\u003cunset\u003e","\u003cunknown\u003e"]"#,
        );
        check(
            Resource::Endpoints,
            r#"{"metadata":{"name":"e"},"subsets":[{"addresses":[{"ip":"::1"},{"ip":"10.0.0.1"}],"ports":[{"port":80}]}]}"#,
            r#"["e","[::1]:80,10.0.0.1:80","\u003cunknown\u003e"]"#,
        );
    }
}
