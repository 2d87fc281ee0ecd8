//! What is refused, for the mistakes that people make.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::Kind;
use crate::metadata::text;
use crate::refusal::Wrong;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const PORT: &str = "must be between 1 and 65535, inclusive";
const ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// What is wrong with a status that is written.
pub(crate) fn check_status(kind: Kind, object: &Value) -> Vec<Wrong> {
    let ingress = object["status"]["loadBalancer"]["ingress"].as_array();
    let has_ingress = kind == Kind::Services && ingress.is_some_and(|it| !it.is_empty());
    match has_ingress && object["spec"]["type"] != "LoadBalancer" {
        true => vec![Wrong::forbidden(
            "status.loadBalancer.ingress",
            "may only be used when `spec.type` is 'LoadBalancer'",
        )],
        false => Vec::new(),
    }
}

/// What is wrong with an object, with its defaults filled in.
pub(crate) fn check(kind: Kind, object: &Value) -> Vec<Wrong> {
    let mut wrongs = Vec::new();
    name(kind, object, &mut wrongs);
    labels(object, &mut wrongs);
    match kind {
        Kind::Services => service(&object["spec"], &mut wrongs),
        Kind::Endpoints => endpoints(object, &mut wrongs),
        Kind::EndpointSlices => slice(object, &mut wrongs),
        Kind::ConfigMaps
        | Kind::CoreEvents
        | Kind::Namespaces
        | Kind::Secrets
        | Kind::Leases
        | Kind::Events
        | Kind::ServiceExports
        | Kind::ServiceImports => {}
    }
    wrongs
}

fn name(kind: Kind, object: &Value, wrongs: &mut Vec<Wrong>) {
    let name = text(object, "name");
    let is_label = matches!(kind, Kind::Services | Kind::Namespaces);
    let (limit, form) = if is_label {
        (63, LABEL)
    } else {
        (253, SUBDOMAIN)
    };
    if name.is_empty() {
        wrongs.push(Wrong::required(
            "metadata.name",
            "name or generateName is required",
        ));
        return;
    }
    if limit < name.len() {
        let why = format!("must be no more than {limit} bytes");
        wrongs.push(Wrong::invalid("metadata.name", &name, &why));
    }
    let is_valid = match is_label {
        true => is_dns_label(name),
        false => name.split('.').all(is_dns_label),
    };
    if !is_valid {
        wrongs.push(Wrong::invalid("metadata.name", &name, form));
    }
}

fn labels(object: &Value, wrongs: &mut Vec<Wrong>) {
    const FIELD: &str = "metadata.labels";
    for (key, value) in object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let name = key.rsplit('/').next().unwrap_or_default();
        if !is_qualified(name) {
            wrongs.push(Wrong::invalid(FIELD, key, QUALIFIED));
        }
        let value = value.as_str().unwrap_or_default();
        if 63 < value.len() {
            wrongs.push(Wrong::invalid(
                FIELD,
                &value,
                "must be no more than 63 bytes",
            ));
        }
        if !value.is_empty() && !is_qualified(value) {
            wrongs.push(Wrong::invalid(FIELD, &value, LABEL_VALUE));
        }
    }
}

fn service(spec: &Value, wrongs: &mut Vec<Wrong>) {
    const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    let service_type = spec["type"].as_str().unwrap_or_default();
    let is_headless = spec["clusterIP"] == "None";
    let ports: Vec<&Value> = spec["ports"].as_array().into_iter().flatten().collect();
    if ports.is_empty() && !is_headless && service_type != "ExternalName" {
        wrongs.push(Wrong::required("spec.ports", ""));
    }
    let mut names = HashSet::new();
    for (i, port) in ports.iter().enumerate() {
        service_port(&format!("spec.ports[{i}]"), port, 1 < ports.len(), wrongs);
        let name = port["name"].as_str().unwrap_or_default();
        if !name.is_empty() && !names.insert(name) {
            wrongs.push(Wrong::duplicate(format!("spec.ports[{i}].name"), &name));
        }
    }
    let mut numbers = HashSet::new();
    for (i, port) in ports.iter().enumerate() {
        let number = (port["protocol"].to_string(), port["port"].to_string());
        if !numbers.insert(number) {
            let shown = json!({ "port": port["port"], "protocol": port["protocol"] });
            wrongs.push(Wrong::duplicate(format!("spec.ports[{i}]"), &shown));
        }
    }
    if !TYPES.contains(&service_type) {
        wrongs.push(Wrong::unsupported("spec.type", service_type, &TYPES));
    }
    let external = spec["externalName"].as_str().unwrap_or_default();
    if service_type == "ExternalName" && external.is_empty() {
        wrongs.push(Wrong::required("spec.externalName", ""));
    }
    let affinity = spec["sessionAffinity"].as_str().unwrap_or_default();
    if !["ClientIP", "None"].contains(&affinity) {
        wrongs.push(Wrong::unsupported(
            "spec.sessionAffinity",
            affinity,
            &["ClientIP", "None"],
        ));
    }
    let one = spec["clusterIP"].as_str().filter(|it| !it.is_empty());
    let all: Vec<&str> = match spec["clusterIPs"].is_array() {
        true => strings(&spec["clusterIPs"]).collect(),
        false => one.into_iter().collect(),
    };
    for (i, address) in all.into_iter().enumerate() {
        if address != "None" && address.parse::<IpAddr>().is_err() {
            wrongs.push(Wrong::invalid(
                format!("spec.clusterIPs[{i}]"),
                &address,
                ADDRESS,
            ));
        }
    }
}

fn service_port(field: &str, port: &Value, needs_name: bool, wrongs: &mut Vec<Wrong>) {
    let name = port["name"].as_str().unwrap_or_default();
    if name.is_empty() && needs_name {
        wrongs.push(Wrong::required(format!("{field}.name"), ""));
    } else if !name.is_empty() && !is_dns_label(name) {
        wrongs.push(Wrong::invalid(format!("{field}.name"), &name, LABEL));
    }
    number(&format!("{field}.port"), &port["port"], wrongs);
    protocol(&format!("{field}.protocol"), &port["protocol"], wrongs);
    if port["targetPort"].is_number() {
        number(&format!("{field}.targetPort"), &port["targetPort"], wrongs);
    }
}

fn number(field: &str, value: &Value, wrongs: &mut Vec<Wrong>) {
    let number = value.as_i64().unwrap_or_default();
    if !(1..=65_535).contains(&number) {
        wrongs.push(Wrong::invalid(field, &number, PORT));
    }
}

fn protocol(field: &str, value: &Value, wrongs: &mut Vec<Wrong>) {
    const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
    let protocol = value.as_str().unwrap_or_default();
    if !PROTOCOLS.contains(&protocol) {
        wrongs.push(Wrong::unsupported(field, protocol, &PROTOCOLS));
    }
}

fn endpoints(object: &Value, wrongs: &mut Vec<Wrong>) {
    for (i, subset) in object["subsets"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let field = format!("subsets[{i}]");
        let lists = ["addresses", "notReadyAddresses"];
        let count = |list: &str| subset[list].as_array().map_or(0, Vec::len);
        if lists.iter().all(|list| count(list) == 0) {
            wrongs.push(Wrong::required(
                &field,
                "must specify `addresses` or `notReadyAddresses`",
            ));
        }
        for list in lists {
            for (j, address) in subset[list].as_array().into_iter().flatten().enumerate() {
                let ip = address["ip"].as_str().unwrap_or_default();
                let field = format!("{field}.{list}[{j}].ip");
                match ip.parse() {
                    Ok(ip) => unusable(&field, ip, wrongs),
                    Err(_) => wrongs.push(Wrong::invalid(field, &ip, ADDRESS)),
                }
            }
        }
        for (j, port) in subset["ports"].as_array().into_iter().flatten().enumerate() {
            number(&format!("{field}.ports[{j}].port"), &port["port"], wrongs);
            protocol(
                &format!("{field}.ports[{j}].protocol"),
                &port["protocol"],
                wrongs,
            );
        }
    }
}

fn slice(object: &Value, wrongs: &mut Vec<Wrong>) {
    const TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];
    let address_type = object["addressType"].as_str().unwrap_or_default();
    if address_type.is_empty() {
        wrongs.push(Wrong::required("addressType", ""));
    } else if !TYPES.contains(&address_type) {
        wrongs.push(Wrong::unsupported("addressType", address_type, &TYPES));
    }
    let endpoints = object["endpoints"].as_array().into_iter().flatten();
    for (i, endpoint) in endpoints.enumerate() {
        let field = format!("endpoints[{i}].addresses");
        let mut addresses = strings(&endpoint["addresses"]).enumerate().peekable();
        if addresses.peek().is_none() {
            wrongs.push(Wrong::required(field, "must contain at least 1 address"));
            continue;
        }
        for (j, address) in addresses {
            match (address_type, address.parse::<IpAddr>()) {
                ("IPv4", Ok(IpAddr::V4(_))) | ("IPv6", Ok(IpAddr::V6(_))) => {
                    let ip = address.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]));
                    unusable(&format!("{field}[{j}]"), ip, wrongs);
                }
                ("IPv4" | "IPv6", _) => {
                    let why = format!("must be an {address_type} address");
                    wrongs.push(Wrong::invalid(&field, &address, &why));
                }
                _ => {}
            }
        }
    }
    for (i, port) in object["ports"].as_array().into_iter().flatten().enumerate() {
        if !port["port"].is_null() {
            number(&format!("ports[{i}].port"), &port["port"], wrongs);
        }
        protocol(&format!("ports[{i}].protocol"), &port["protocol"], wrongs);
    }
}

/// Addresses that lead nowhere, or to whoever asks.
fn unusable(field: &str, ip: IpAddr, wrongs: &mut Vec<Wrong>) {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let why = if ip.is_unspecified() {
        "may not be unspecified (0.0.0.0, ::)".to_owned()
    } else if ip.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()
    } else if is_link_local {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()
    } else {
        return;
    };
    wrongs.push(Wrong::invalid(field, &ip.to_string(), &why));
}

/// What may not change, or not like this.
pub(crate) fn check_update(kind: Kind, old: &Value, new: &Value) -> Vec<Wrong> {
    let mut wrongs = Vec::new();
    if text(new, "uid") != text(old, "uid") {
        let uid = text(new, "uid");
        wrongs.push(Wrong::invalid("metadata.uid", &uid, IMMUTABLE));
    }
    // A kube-apiserver looks for them in whatever there is, and again in what it knows.
    let new_finalizers = new_finalizers(old, new);
    wrongs.extend(new_finalizers.clone().into_iter().chain(new_finalizers));
    match kind {
        Kind::Services => service_update(&old["spec"], &new["spec"], &mut wrongs),
        Kind::EndpointSlices if old["addressType"] != new["addressType"] => {
            wrongs.push(Wrong::invalid(
                "addressType",
                &new["addressType"],
                IMMUTABLE,
            ));
        }
        Kind::ConfigMaps | Kind::Secrets => {
            let data = ["data", "binaryData"];
            let is_changed = data.iter().any(|field| old[field] != new[field]);
            if old["immutable"] == true && (is_changed || new["immutable"] != true) {
                let why = "field is immutable when `immutable` is set";
                wrongs.push(Wrong::forbidden("data", why));
            }
        }
        Kind::Endpoints
        | Kind::CoreEvents
        | Kind::Namespaces
        | Kind::Leases
        | Kind::EndpointSlices
        | Kind::Events
        | Kind::ServiceExports
        | Kind::ServiceImports => {}
    }
    wrongs
}

const IMMUTABLE: &str = "field is immutable";

/// Who is on its way out waits for nobody else.
fn new_finalizers(old: &Value, new: &Value) -> Option<Wrong> {
    let of = |object: &Value| -> Vec<String> {
        let finalizers = strings(&object["metadata"]["finalizers"]);
        finalizers.map(str::to_owned).collect()
    };
    let is_going = !text(old, "deletionTimestamp").is_empty();
    let (before, mut added) = (of(old), of(new));
    added.retain(|it| is_going && !before.contains(it));
    let listed: Vec<_> = added.iter().map(|it| format!("{it:?}")).collect();
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers \
         []string{{{}}}",
        listed.join(", ")
    );
    (!added.is_empty()).then(|| Wrong::forbidden("metadata.finalizers", &why))
}

fn service_update(old: &Value, new: &Value, wrongs: &mut Vec<Wrong>) {
    let has_addresses = |spec: &Value| spec["type"] != "ExternalName";
    if !has_addresses(old) || !has_addresses(new) {
        return;
    }
    let (before, after) = (&old["clusterIPs"][0], &new["clusterIPs"][0]);
    if !before.is_null() && before != after {
        wrongs.push(Wrong::invalid(
            "spec.clusterIPs[0]",
            &new["clusterIPs"],
            "may not change once set",
        ));
    }
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn is_dns_label(name: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.iter().all(|c| is_inner(*c) || *c == b'-')
        && bytes.first().copied().is_some_and(is_inner)
        && bytes.last().copied().is_some_and(is_inner)
}

fn is_qualified(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_outer = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    name.len() <= 63
        && is_outer(bytes.first())
        && is_outer(bytes.last())
        && bytes
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
}
