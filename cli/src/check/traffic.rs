//! Checks of the path of requests: kube-proxy, and NetworkPolicies between reflector and emitters.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::facts::{Facts, Known};
use super::finding::Finding;
use crate::installation::Program;

/// Findings about kube-proxy and NetworkPolicies.
pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = kube_proxy(&facts.kube_proxy);
    let policies = match &facts.policies {
        Ok(policies) => policies,
        Err(why) => {
            let message = format!(
                "those of namespace {} are not known: {why}",
                facts.namespace
            );
            let remedy = (
                "allow list of networkpolicies for this check",
                "cli.md#access",
            );
            findings.push(Finding::warning("NetworkPolicy", message, remedy));
            return findings;
        }
    };
    let Ok((config, _)) = &facts.config else {
        return findings;
    };
    for source in &config.sources {
        let place = source.url.as_deref().and_then(place);
        if let Some((host, port)) = place {
            findings.extend(egress(policies, source.name.as_str(), (&host, port)));
        }
    }
    findings
}

/// The mode of kube-proxy; each mode serves mirrors.
pub(crate) fn kube_proxy(mode: &Known<Option<String>>) -> Vec<Finding> {
    const CHECK: &str = "kube-proxy";
    let finding = match mode {
        Ok(Some(mode)) if ["iptables", "nftables", "ipvs"].contains(&mode.as_str()) => {
            Finding::ok(CHECK, format!("mode {mode}"))
        }
        Ok(Some(mode)) => Finding::failed(
            CHECK,
            format!("mode {mode} does not read EndpointSlices"),
            (
                "use the mode nftables or iptables",
                "compatibility.md#kubernetes",
            ),
        ),
        Ok(None) => Finding::warning(
            CHECK,
            "there is no ConfigMap kube-system/kube-proxy",
            (
                "if another program serves cluster IPs, check that it reads EndpointSlices of \
                 Services without a selector",
                "compatibility.md#kubernetes",
            ),
        ),
        Err(why) => Finding::warning(
            CHECK,
            format!("its configuration is not known: {why}"),
            (
                "allow get of ConfigMap kube-system/kube-proxy for this check",
                "cli.md#access",
            ),
        ),
    };
    vec![finding]
}

/// Host and port of a URL.
fn place(url: &str) -> Option<(String, u16)> {
    let url: http::Uri = url.parse().ok()?;
    let port = url.port_u16();
    let port = port.unwrap_or(if url.scheme_str() == Some("http") {
        80
    } else {
        443
    });
    let host = url.host()?.trim_matches(['[', ']']);
    Some((host.to_owned(), port))
}

/// Returns whether the policies of the reflector's namespace let it connect to a source.
fn egress(policies: &[Value], source: &str, (host, port): (&str, u16)) -> Option<Finding> {
    const CHECK: &str = "NetworkPolicy";
    let selects = |policy: &&Value| {
        let spec = &policy["spec"];
        let types = spec["policyTypes"].as_array();
        let is_egress = match types {
            Some(types) => types.iter().any(|it| it == "Egress"),
            None => !spec["egress"].is_null(),
        };
        is_egress && selects_reflector(&spec["podSelector"])
    };
    let selecting: Vec<_> = policies.iter().filter(selects).collect();
    if selecting.is_empty() {
        return None;
    }
    let address: Option<IpAddr> = host.parse().ok();
    let mut rules = selecting
        .iter()
        .flat_map(|it| it["spec"]["egress"].as_array())
        .flatten();
    let is_open = rules.any(|rule| allows_port(rule, port) && allows_address(rule, address));
    let names: Vec<_> = selecting
        .iter()
        .filter_map(|it| it["metadata"]["name"].as_str())
        .collect();
    let names = names.join(", ");
    Some(if is_open {
        Finding::ok(
            CHECK,
            format!("{names} allows the reflector to reach source {source}"),
        )
    } else {
        Finding::failed(
            CHECK,
            format!("{names} keeps the reflector from source {source} at {host}:{port}"),
            ("allow egress to that address and port", "trust-model.md"),
        )
    })
}

/// Returns whether a pod selector selects the pods of the reflector by their label.
fn selects_reflector(selector: &Value) -> bool {
    let labels = selector["matchLabels"].as_object();
    let mut labels = labels.into_iter().flatten();
    // Other labels may be the reflector's too: only a contradiction excludes it.
    labels.all(|(key, value)| {
        key != "app.kubernetes.io/name" || *value == *Program::Reflector.label()
    }) && selector["matchExpressions"]
        .as_array()
        .is_none_or(Vec::is_empty)
}

fn allows_port(rule: &Value, port: u16) -> bool {
    let Some(ports) = rule["ports"].as_array().filter(|it| !it.is_empty()) else {
        return true;
    };
    ports.iter().any(|it| {
        let is_tcp = it["protocol"].is_null() || it["protocol"] == "TCP";
        let Some(first) = it["port"].as_u64() else {
            // Names of ports are those of pods, which a source at a URL is not.
            return is_tcp && it["port"].is_null();
        };
        let last = it["endPort"].as_u64().unwrap_or(first);
        is_tcp && (first..=last).contains(&u64::from(port))
    })
}

fn allows_address(rule: &Value, address: Option<IpAddr>) -> bool {
    let Some(peers) = rule["to"].as_array().filter(|it| !it.is_empty()) else {
        return true;
    };
    peers.iter().any(|it| {
        let block = &it["ipBlock"];
        let net = |value: &Value| value.as_str().and_then(|it| it.parse::<IpNet>().ok());
        match (net(&block["cidr"]), address) {
            // A name may lead to any address of the block.
            (Some(_), None) => true,
            (Some(cidr), Some(address)) => {
                let except = block["except"].as_array().into_iter().flatten();
                let mut except = except.filter_map(net);
                cidr.contains(&address) && !except.any(|it| it.contains(&address))
            }
            (None, _) => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{egress, kube_proxy, place};
    use crate::output::Mark;

    fn policy(egress: &Value) -> Value {
        json!({"metadata": {"name": "reflector"}, "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "heliograph-reflector"}},
            "policyTypes": ["Egress"],
            "egress": egress,
        }})
    }

    #[test]
    fn a_policy_in_the_way_is_found() {
        let rule = json!([{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}}],
            "ports": [{"port": 443}, {"port": 8000, "endPort": 8100}]}]);
        let policies = [policy(&rule)];
        let mark = |host: &str, port| egress(&policies, "east", (host, port)).unwrap().mark;
        assert_eq!(mark("10.1.2.3", 443), Mark::Ok);
        assert_eq!(mark("10.1.2.3", 8050), Mark::Ok);
        assert_eq!(mark("10.1.2.3", 6443), Mark::Failed);
        assert_eq!(mark("10.9.2.3", 443), Mark::Failed);
        assert_eq!(mark("192.168.0.1", 443), Mark::Failed);
        assert_eq!(mark("east.example", 443), Mark::Ok);
        let closed = [policy(&json!([]))];
        assert_eq!(
            egress(&closed, "east", ("10.1.2.3", 443)).unwrap().mark,
            Mark::Failed
        );
    }

    #[test]
    fn policies_of_other_pods_do_not_count() {
        let mut other = policy(&json!([]));
        other["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] = json!("web");
        let ingress = json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}});
        assert_eq!(egress(&[other, ingress], "east", ("10.1.2.3", 443)), None);
    }

    #[test]
    fn hosts_and_ports_are_those_of_urls() {
        assert_eq!(
            place("https://east.example"),
            Some(("east.example".to_owned(), 443))
        );
        assert_eq!(
            place("http://[fd00::1]:8080/x"),
            Some(("fd00::1".to_owned(), 8080))
        );
        assert_eq!(place("nonsense"), Some(("nonsense".to_owned(), 443)));
    }

    #[test]
    fn the_userspace_mode_is_refused() {
        assert_eq!(
            kube_proxy(&Ok(Some("nftables".to_owned())))[0].mark,
            Mark::Ok
        );
        assert_eq!(
            kube_proxy(&Ok(Some("userspace".to_owned())))[0].mark,
            Mark::Failed
        );
        assert_eq!(kube_proxy(&Ok(None))[0].mark, Mark::Warning);
    }
}
