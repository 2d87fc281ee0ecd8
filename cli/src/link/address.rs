//! The URL at which another cluster reaches an emitter.

use anyhow::{Context, bail, ensure};
use http::Uri;
use serde_json::Value;

/// Kind of the address at which another cluster reaches an emitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Via {
    /// Address of the LoadBalancer
    LoadBalancer,
    /// Address of a node, and the node port
    NodePort,
    /// Cluster IP, where other clusters route to Service addresses
    ClusterIp,
}

/// The URL of a Service of type LoadBalancer or NodePort, or the given one.
pub(crate) fn url(service: &Value, nodes: &[Value], via: Option<Via>) -> anyhow::Result<String> {
    let spec = &service["spec"];
    let via = match (via, spec["type"].as_str()) {
        (Some(via), _) => via,
        (None, Some("LoadBalancer")) => Via::LoadBalancer,
        (None, Some("NodePort")) => Via::NodePort,
        (None, _) => bail!(
            "the Service of the emitter has type ClusterIP, which other clusters may not reach: \
             name its URL with --url, or pass --via cluster-ip if they route to Service addresses"
        ),
    };
    let ports = spec["ports"].as_array().into_iter().flatten();
    let port = ports.clone().find(|it| it["name"] == "https");
    let port = port.context(
        "the Service of the emitter has no port https, and tokens are not sent over plain HTTP: \
         name its URL with --url",
    )?;
    let (host, port) = match via {
        Via::LoadBalancer => {
            let ingress = &service["status"]["loadBalancer"]["ingress"][0];
            let host = ingress["ip"].as_str().or(ingress["hostname"].as_str());
            let host = host.context(
                "the LoadBalancer of the emitter has no address yet: wait for it, or name its URL \
                 with --url",
            )?;
            (host, &port["port"])
        }
        Via::NodePort => {
            let host = nodes.iter().find_map(address_of);
            let host = host.context("no node has an address: name the URL with --url")?;
            (host, &port["nodePort"])
        }
        Via::ClusterIp => {
            let host = spec["clusterIP"].as_str().filter(|it| *it != "None");
            let host = host.context("the Service of the emitter has no cluster IP")?;
            (host, &port["port"])
        }
    };
    let port = port
        .as_u64()
        .context("the Service of the emitter has no such port")?;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    Ok(match port {
        443 => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    })
}

fn address_of(node: &Value) -> Option<&str> {
    let addresses = node["status"]["addresses"].as_array()?;
    let of = |kind: &str| addresses.iter().find(|it| it["type"] == kind);
    of("InternalIP").or_else(|| of("ExternalIP"))?["address"].as_str()
}

/// Refuses URLs over which a token would be readable.
pub(crate) fn check(url: &str) -> anyhow::Result<()> {
    let parsed: Uri = url
        .parse()
        .with_context(|| format!("{url:?} is not a URL"))?;
    ensure!(
        runtime::client::is_protected(&parsed) && parsed.host().is_some(),
        "{url}: tokens are not sent over plain HTTP: name an https:// URL"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Via, check, url};

    fn service(kind: &str, ingress: &Value) -> Value {
        json!({
            "spec": {"type": kind, "clusterIP": "10.96.0.9",
                "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443, "nodePort": 30443}]},
            "status": {"loadBalancer": {"ingress": ingress}},
        })
    }

    #[test]
    fn the_url_follows_from_the_service() {
        let of = |kind, ingress| url(&service(kind, &ingress), &[node()], None);
        assert_eq!(
            of("LoadBalancer", json!([{"ip": "10.1.2.3"}])).unwrap(),
            "https://10.1.2.3"
        );
        let named = of("LoadBalancer", json!([{"hostname": "lb.example"}])).unwrap();
        assert_eq!(named, "https://lb.example");
        assert_eq!(
            of("LoadBalancer", json!([{"ip": "fd00::1"}])).unwrap(),
            "https://[fd00::1]"
        );
        assert_eq!(
            of("NodePort", json!(null)).unwrap(),
            "https://192.168.0.7:30443"
        );
        let said = of("ClusterIP", json!(null)).unwrap_err().to_string();
        assert!(
            said.contains("--url") && said.contains("--via cluster-ip"),
            "{said}"
        );
        let said = of("LoadBalancer", json!([])).unwrap_err().to_string();
        assert!(said.contains("no address yet"), "{said}");
        let routed = url(
            &service("ClusterIP", &json!(null)),
            &[],
            Some(Via::ClusterIp),
        );
        assert_eq!(routed.unwrap(), "https://10.96.0.9");
    }

    fn node() -> Value {
        let addresses = json!([{"type": "Hostname", "address": "n"},
            {"type": "InternalIP", "address": "192.168.0.7"}]);
        json!({"status": {"addresses": addresses}})
    }

    #[test]
    fn tokens_travel_encrypted_only() {
        check("https://east.example:8443").unwrap();
        assert!(
            check("http://east.example")
                .unwrap_err()
                .to_string()
                .contains("https://")
        );
        assert!(check("nonsense").is_err() && check("").is_err());
    }
}
