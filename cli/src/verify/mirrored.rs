//! The mirror of a Service: what the reflector reports of it, and its objects.

use anyhow::Context;
use proto_types::{ObjectKey, label};
use reflector_planner::Explanation;
use serde_json::Value;

use super::observed::Targets;
use crate::admin::Admin;
use crate::cluster::Cluster;

/// A local Service with endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    /// Namespace and name.
    pub(super) service: ObjectKey,
    cluster_ips: Vec<String>,
    port: u16,
    /// Addresses with ports.
    endpoints: Vec<String>,
}

/// Report of the reflector about a source's Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Home {
    /// `true` if the reflector reads the Service from the source.
    pub(super) is_claimed: bool,
    /// The local Service.
    pub(super) local: Option<ObjectKey>,
    /// Problems.
    pub(super) problems: Vec<String>,
}

/// Number of endpoints that are probed.
const ENDPOINTS: usize = 20;

/// Asks the reflector about a Service of a source.
pub(super) async fn home(
    reflector: &Admin,
    service: &ObjectKey,
    source: &str,
) -> anyhow::Result<Home> {
    let explanations: Vec<Explanation> = reflector.json(&format!("/explain/{service}")).await?;
    Ok(read_home(&explanations, service, source))
}

fn read_home(explanations: &[Explanation], service: &ObjectKey, source: &str) -> Home {
    let claims = |it: &&Explanation| {
        let mut said = it.sources.iter().filter(|it| it.source == source);
        said.any(|it| it.claims.iter().any(|it| *it == service.as_str()))
    };
    let claimed = explanations.iter().find(claims);
    let problems = explanations.iter().flat_map(|it| it.problems.clone());
    Home {
        is_claimed: claimed.is_some(),
        local: claimed.and_then(|it| ObjectKey::parse(&it.service)),
        problems: problems.collect(),
    }
}

/// Reads a Service and its endpoints; `None` if it does not exist or has no ready endpoint.
pub(super) async fn mirror(
    cluster: &Cluster,
    service: &ObjectKey,
) -> anyhow::Result<Option<Mirror>> {
    let (namespace, name) = (service.namespace(), service.name());
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    let Some(object) = cluster.get(&path).await? else {
        return Ok(None);
    };
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector={}%3D{name}",
        label::SERVICE_NAME
    );
    let slices = cluster.list(&path).await?;
    read_mirror(service, &object, &slices)
}

fn read_mirror(
    service: &ObjectKey,
    object: &Value,
    slices: &[Value],
) -> anyhow::Result<Option<Mirror>> {
    let spec = &object["spec"];
    let ports = spec["ports"].as_array().into_iter().flatten();
    let mut tcp = ports.filter(|it| it["protocol"].as_str().unwrap_or("TCP") == "TCP");
    let port = tcp.next().with_context(|| {
        format!("Service {service} has no TCP port, and only TCP can be probed")
    })?;
    let name = port["name"].as_str().unwrap_or_default();
    let mut endpoints = Vec::new();
    for slice in slices.iter().filter(|it| it["addressType"] != "FQDN") {
        let ports = slice["ports"].as_array().into_iter().flatten();
        let mut same = ports.filter(|it| it["name"].as_str().unwrap_or_default() == name);
        let Some(number) = same.next().and_then(|it| it["port"].as_u64()) else {
            continue;
        };
        let ready = slice["endpoints"].as_array().into_iter().flatten();
        let ready = ready.filter(|it| it["conditions"]["ready"] != Value::Bool(false));
        let addresses = ready.filter_map(|it| it["addresses"][0].as_str());
        endpoints.extend(addresses.map(|it| with_port(it, number)));
    }
    endpoints.truncate(ENDPOINTS);
    let addresses = spec["clusterIPs"].as_array().into_iter().flatten();
    let addresses = addresses.filter_map(Value::as_str);
    let cluster_ips = addresses.filter(|it| *it != "None").map(str::to_owned);
    let mirror = Mirror {
        service: service.clone(),
        cluster_ips: cluster_ips.collect(),
        port: u16::try_from(port["port"].as_u64().unwrap_or_default())?,
        endpoints,
    };
    Ok((!mirror.endpoints.is_empty()).then_some(mirror))
}

fn with_port(address: &str, port: u64) -> String {
    match address.contains(':') {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    }
}

impl Mirror {
    /// Returns the addresses and names to connect to.
    pub(super) fn targets(&self) -> Targets {
        let port = u64::from(self.port);
        let first = self.cluster_ips.first();
        let (namespace, name) = (self.service.namespace(), self.service.name());
        Targets {
            endpoints: self.endpoints.clone(),
            cluster_ip: first.map(|it| with_port(it, port)),
            name: format!("{name}.{namespace}.svc:{port}"),
            cluster_ips: self.cluster_ips.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proto_types::ObjectKey;
    use serde_json::json;

    use super::{read_home, read_mirror};

    #[test]
    fn targets_are_ready_endpoints_the_cluster_ip_and_the_name() {
        let key = ObjectKey::new("mirrors", "east-web");
        let service = json!({"spec": {"clusterIPs": ["10.96.0.9"], "ports": [
            {"name": "dns", "protocol": "UDP", "port": 53},
            {"name": "http", "protocol": "TCP", "port": 80},
        ]}});
        let slice = json!({"addressType": "IPv6", "ports": [{"name": "http", "port": 8080}],
            "endpoints": [
                {"addresses": ["fd00::5"], "conditions": {"ready": true}},
                {"addresses": ["fd00::6"], "conditions": {"ready": false}},
                {"addresses": ["fd00::7"], "conditions": {}},
        ]});
        let mirror = read_mirror(&key, &service, &[slice]).unwrap().unwrap();
        let targets = mirror.targets();
        assert_eq!(targets.endpoints, ["[fd00::5]:8080", "[fd00::7]:8080"]);
        assert_eq!(targets.cluster_ip.as_deref(), Some("10.96.0.9:80"));
        assert_eq!(targets.all()[3], "east-web.mirrors.svc:80");
        assert_eq!(read_mirror(&key, &service, &[]).unwrap(), None);
        let udp = json!({"spec": {"ports": [{"protocol": "UDP", "port": 53}]}});
        assert!(read_mirror(&key, &udp, &[]).is_err());
    }

    #[test]
    fn the_local_service_is_that_with_a_claim_of_the_source() {
        let explanation = |local: &str, source: &str| {
            json!({"service": local, "reasons": [], "objects": [], "problems": ["p"],
                "sources": [{"source": source, "services": "synced", "slices": "synced",
                    "claims": ["demo/web"]}]})
        };
        let explanations = json!([explanation("m/a", "west"), explanation("m/b", "east")]);
        let explanations: Vec<_> = serde_json::from_value(explanations).unwrap();
        let service = ObjectKey::new("demo", "web");
        let home = read_home(&explanations, &service, "east");
        assert!(home.is_claimed);
        assert_eq!(home.local.unwrap().to_string(), "m/b");
        assert!(!read_home(&explanations, &service, "north").is_claimed);
    }
}
