//! What a Service is given: addresses, families, ports of nodes.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::address::{NodePorts, Range, Taken};
use crate::refusal::Wrong;

/// What can be given, and what is.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    ranges: Vec<Range>,
    ports: NodePorts,
}

impl Addresses {
    /// One range, or one for each family; the first is the primary one.
    pub(crate) fn new(ranges: Vec<Range>) -> Self {
        let ports = NodePorts::default();
        Self { ranges, ports }
    }

    /// The same ranges, with nothing taken.
    pub(crate) fn emptied(&self) -> Self {
        Self::new(self.ranges.iter().map(Range::emptied).collect())
    }

    /// The address of the API server's own Service.
    pub(crate) fn first(&self) -> IpAddr {
        self.ranges[0].first()
    }

    /// Takes what a Service has.
    pub(crate) fn keep(&mut self, spec: &Value) {
        for address in addresses_of(spec) {
            if let Some(range) = self.range_of(address) {
                let _ = range.take(address);
            }
        }
        for port in node_ports_of(spec) {
            let _ = self.ports.take(port);
        }
    }

    /// Gives back what a Service had, apart from what it still has.
    pub(crate) fn release(&mut self, old: &Value, new: &Value) {
        let kept: Vec<IpAddr> = addresses_of(new).collect();
        for address in addresses_of(old).filter(|it| !kept.contains(it)) {
            if let Some(range) = self.range_of(address) {
                range.give_back(address);
            }
        }
        let kept: Vec<u16> = node_ports_of(new).collect();
        for port in node_ports_of(old).filter(|it| !kept.contains(it)) {
            self.ports.give_back(port);
        }
    }

    /// Gives a Service what it needs. `old` is what it was, or null.
    pub(crate) fn give(&mut self, old: &Value, new: &mut Value) -> Result<(), Vec<Wrong>> {
        let before = self.clone();
        let given = self.give_addresses(old, new);
        let given = given.and_then(|()| self.give_ports(old, new));
        match given {
            Ok(()) => Ok(()),
            Err(wrong) => {
                *self = before;
                Err(vec![wrong])
            }
        }
    }

    fn give_addresses(&mut self, old: &Value, spec: &mut Value) -> Result<(), Wrong> {
        let had: Vec<IpAddr> = addresses_of(old).collect();
        self.give_families(spec)?;
        if spec["type"] == "ExternalName" || spec["clusterIP"] == "None" {
            return Ok(());
        }
        let wanted: Vec<String> = strings(&spec["clusterIPs"]);
        let mut given = Vec::new();
        for (i, family) in strings(&spec["ipFamilies"]).iter().enumerate() {
            let is_ipv4 = family == "IPv4";
            let range = self.ranges.iter_mut().find(|it| it.is_ipv4() == is_ipv4);
            let Some(range) = range else { continue };
            let asked: Option<IpAddr> = wanted.get(i).and_then(|it| it.parse().ok());
            let address = match asked {
                Some(address) if had.contains(&address) => Ok(address),
                Some(address) => range.take(address).map(|()| address),
                None => range.take_any(),
            };
            let shown = if wanted.is_empty() {
                vec![String::new()]
            } else {
                wanted.clone()
            };
            given.push(
                address
                    .map_err(|why| refused(&shown, asked, why))?
                    .to_string(),
            );
        }
        spec["clusterIP"] = json!(given.first());
        spec["clusterIPs"] = json!(given);
        Ok(())
    }

    /// Decides on families, and what becomes of the fields about them.
    fn give_families(&self, spec: &mut Value) -> Result<(), Wrong> {
        if spec["type"] == "ExternalName" {
            let fields = ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"];
            remove(spec, &fields);
            return Ok(());
        }
        agree(spec)?;
        let has_selector = spec["selector"]
            .as_object()
            .is_some_and(|it| !it.is_empty());
        // Without addresses and without pods, any families will do.
        let is_free = spec["clusterIP"] == "None" && !has_selector;
        let mut families = strings(&spec["ipFamilies"]);
        let configured = |family: &str| self.ranges.iter().any(|it| name(it) == family);
        if let Some(i) = families.iter().position(|it| !is_free && !configured(it)) {
            let field = format!("spec.ipFamilies[{i}]");
            let why = "not configured on this cluster";
            return Err(Wrong::invalid(field, &families[i], why));
        }
        let is_dual = self.ranges.len() == 2;
        let policy = policy(spec, is_free);
        if policy == "RequireDualStack" && !is_dual && !is_free {
            let why = "this cluster is not configured for dual-stack services";
            return Err(Wrong::invalid("spec.ipFamilyPolicy", &policy, why));
        }
        if families.is_empty() {
            families.extend(addresses_of(spec).map(|it| family_of(it).to_owned()));
        }
        if families.is_empty() {
            families.push(name(&self.ranges[0]).to_owned());
        }
        if policy == "SingleStack" {
            families.truncate(1);
            let mut addresses = strings(&spec["clusterIPs"]);
            addresses.truncate(1);
            spec["clusterIPs"] = json!(addresses);
        } else if families.len() == 1 && (is_dual || is_free) {
            families.push(other(&families[0]).to_owned());
        }
        spec["ipFamilyPolicy"] = policy.into();
        spec["ipFamilies"] = json!(families);
        Ok(())
    }

    fn give_ports(&mut self, old: &Value, spec: &mut Value) -> Result<(), Wrong> {
        let needs = match spec["type"].as_str() {
            Some("NodePort") => true,
            Some("LoadBalancer") => spec["allocateLoadBalancerNodePorts"] != false,
            _ => false,
        };
        let mut kept: Vec<u16> = node_ports_of(old).collect();
        let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
        for (i, port) in ports.into_iter().flatten().enumerate() {
            if !needs {
                remove(port, &["nodePort"]);
                continue;
            }
            let asked = port["nodePort"].as_u64().filter(|it| *it != 0);
            let asked = asked.map(|it| u16::try_from(it).unwrap_or(u16::MAX));
            let before = had_before(old, port);
            let number = match asked {
                Some(number) if kept.contains(&number) => {
                    kept.retain(|it| *it != number);
                    Ok(number)
                }
                Some(number) => self.ports.take(number).map(|()| number),
                None if before.is_some_and(|it| kept.contains(&it)) => Ok(before.unwrap_or(0)),
                None => self.ports.take_any(),
            };
            let number = number.map_err(|why| {
                let field = format!("spec.ports[{i}].nodePort");
                Wrong::invalid(field, &asked, port_refused(why))
            })?;
            port["nodePort"] = number.into();
        }
        Ok(())
    }

    fn range_of(&mut self, address: IpAddr) -> Option<&mut Range> {
        let mut ranges = self.ranges.iter_mut();
        ranges.find(|it| it.is_ipv4() == address.is_ipv4())
    }
}

/// One address and the list of them must say the same.
fn agree(spec: &mut Value) -> Result<(), Wrong> {
    let cluster_ip = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    let all = strings(&spec["clusterIPs"]);
    let why = match (cluster_ip.as_str(), all.first()) {
        ("", None) => return Ok(()),
        (one, None) => {
            spec["clusterIPs"] = json!([one]);
            return Ok(());
        }
        (one, Some(first)) if one == first => return Ok(()),
        ("", Some(_)) => "must be empty when `clusterIP` is not specified",
        (_, Some(_)) => "first value must match `clusterIP`",
    };
    Err(Wrong::invalid("spec.clusterIPs", &all, why))
}

/// How many families a Service wants, said or not.
fn policy(spec: &Value, is_free: bool) -> String {
    let n_families = strings(&spec["ipFamilies"]).len();
    let n_addresses = strings(&spec["clusterIPs"]).len();
    match spec["ipFamilyPolicy"].as_str() {
        Some(policy) => policy.to_owned(),
        None if is_free && n_families == 0 => "RequireDualStack".to_owned(),
        None if 1 < n_families || 1 < n_addresses => "RequireDualStack".to_owned(),
        None => "SingleStack".to_owned(),
    }
}

/// What a change of type leaves behind goes; what was not said stays as it was.
pub(crate) fn carry_over(old: &Value, new: &mut Value) {
    let has_addresses = |spec: &Value| spec["type"] != "ExternalName";
    if has_addresses(new)
        && has_addresses(old)
        && new["clusterIP"].as_str().unwrap_or("").is_empty()
    {
        for field in ["clusterIP", "clusterIPs"] {
            if !old[field].is_null() {
                new[field] = old[field].clone();
            }
        }
    }
    let said_only_one =
        new["clusterIP"] != old["clusterIP"] && new["clusterIPs"] == old["clusterIPs"];
    if said_only_one && has_addresses(new) && !new["clusterIP"].is_null() {
        new["clusterIPs"] = json!([new["clusterIP"]]);
    }
    let families = ["ipFamilies", "ipFamilyPolicy"];
    for field in families {
        if has_addresses(new) && new[field].is_null() && !old[field].is_null() {
            new[field] = old[field].clone();
        }
    }
}

/// Removes what does not go with the type.
pub(crate) fn trim(spec: &mut Value) {
    let service_type = spec["type"].as_str().unwrap_or_default().to_owned();
    if !matches!(service_type.as_str(), "NodePort" | "LoadBalancer") {
        remove(spec, &["externalTrafficPolicy", "healthCheckNodePort"]);
    }
    if service_type != "LoadBalancer" {
        remove(
            spec,
            &["allocateLoadBalancerNodePorts", "loadBalancerClass"],
        );
    }
    if service_type == "ExternalName" {
        remove(spec, &["internalTrafficPolicy"]);
    }
}

fn remove(value: &mut Value, fields: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, _| !fields.contains(&name.as_str()));
    }
}

fn refused(shown: &[String], asked: Option<IpAddr>, why: Taken) -> Wrong {
    let which = asked.map_or_else(String::new, |it| format!(" {it}"));
    let why = match why {
        Taken::Already => "provided IP is already allocated",
        Taken::Elsewhere => "the provided network does not match the current range",
        Taken::All => "range is full",
    };
    let why = format!("failed to allocate IP{which}: {why}");
    Wrong::invalid("spec.clusterIPs", &shown, &why)
}

const fn port_refused(why: Taken) -> &'static str {
    match why {
        Taken::Already => "provided port is already allocated",
        Taken::Elsewhere => {
            "provided port is not in the valid range. The range of valid ports is 30000-32767"
        }
        Taken::All => "range is full",
    }
}

fn had_before(old: &Value, port: &Value) -> Option<u16> {
    let mut ports = old["ports"].as_array().into_iter().flatten();
    let same = |it: &&Value| it["port"] == port["port"] && it["protocol"] == port["protocol"];
    let number = ports.find(same)?["nodePort"].as_u64()?;
    u16::try_from(number).ok()
}

fn addresses_of(spec: &Value) -> impl Iterator<Item = IpAddr> {
    let addresses = spec["clusterIPs"].as_array().into_iter().flatten();
    addresses.filter_map(|it| it.as_str()?.parse().ok())
}

fn node_ports_of(spec: &Value) -> impl Iterator<Item = u16> {
    let ports = spec["ports"].as_array().into_iter().flatten();
    ports.filter_map(|it| u16::try_from(it["nodePort"].as_u64()?).ok())
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect()
}

const fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

const fn name(range: &Range) -> &'static str {
    if range.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn other(family: &str) -> &'static str {
    if family == "IPv4" { "IPv6" } else { "IPv4" }
}
