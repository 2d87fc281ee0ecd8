//! Import policy of a source, as in the file.

use std::fmt::Display;
use std::str::FromStr;

use ipnet::IpNet;
use reflector_planner::import::{MetadataFilter, NameRules, Nodes, Pattern, Ports, may_come};
use reflector_planner::{Import, PolicyRight};
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::limits;
use super::schema::{Host, Pattern as PatternText, Port, Range};

/// A source's `import`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Import")]
pub struct ImportEntry {
    /// Namespaces that are allowed.
    namespaces: RulesEntry,
    /// Names that are allowed.
    names: RulesEntry,
    /// Ports of Services that are allowed.
    #[serde(deserialize_with = "some_ports")]
    #[schemars(with = "Vec<Port>", length(min = 1))]
    ports: Vec<String>,
    /// Ports of endpoints that are allowed.
    #[serde(deserialize_with = "some_ports")]
    #[schemars(with = "Vec<Port>", length(min = 1))]
    target_ports: Vec<String>,
    /// Allowed addresses of endpoints: the pod CIDRs of the source.
    #[serde(
        rename = "endpointCIDRs",
        alias = "addresses",
        deserialize_with = "some"
    )]
    #[schemars(with = "Vec<Range>", length(min = 1))]
    addresses: Vec<String>,
    /// Host names that ExternalName Services and FQDN endpoints may lead to.
    #[serde(deserialize_with = "some")]
    #[schemars(with = "Vec<Host>", length(min = 1))]
    external_names: Vec<String>,
    /// Policies of its Services that count for other clusters too.
    policies: Vec<PolicyEntry>,
    /// Maximum number of Services.
    max_services: Option<usize>,
    /// Maximum number of endpoints of one Service.
    max_endpoints: Option<usize>,
    /// Labels that are copied.
    #[serde(deserialize_with = "some")]
    #[schemars(with = "Vec<PatternText>", length(min = 1))]
    labels: Vec<String>,
    /// Annotations that are copied.
    #[serde(deserialize_with = "some")]
    #[schemars(with = "Vec<PatternText>", length(min = 1))]
    annotations: Vec<String>,
    /// `true` if endpoints keep the names of their nodes.
    node_names: bool,
}

/// As the file spells the planner's enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Policy")]
enum PolicyEntry {
    /// `heliograph.dev/failover` and `heliograph.dev/failover-min`.
    Failover,
    /// Labels that `global.localFirstSelector` selects.
    Routing,
}

/// Allowed and denied names; `deny` takes precedence over `allow`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Rules")]
struct RulesEntry {
    /// Only these.
    #[serde(deserialize_with = "some")]
    #[schemars(with = "Vec<PatternText>", length(min = 1))]
    allow: Vec<String>,
    /// Never these.
    #[serde(deserialize_with = "some")]
    #[schemars(with = "Vec<PatternText>", length(min = 1))]
    deny: Vec<String>,
}

/// A port or a range of ports: YAML makes a number of the first.
#[derive(Deserialize)]
#[serde(untagged)]
enum PortEntry {
    Number(u64),
    Text(String),
}

impl ImportEntry {
    /// A policy that copies all allowed labels and annotations.
    pub(crate) fn carrying_all() -> Self {
        Self {
            labels: vec!["*".to_owned()],
            annotations: vec!["*".to_owned()],
            ..Self::default()
        }
    }

    /// One with which endpoints keep the names of their nodes.
    pub(crate) fn naming_nodes() -> Self {
        Self {
            node_names: true,
            ..Self::default()
        }
    }

    /// Adds namespaces that may come in.
    pub(crate) fn allow_namespaces(&mut self, names: &[&str]) {
        let names = names.iter().map(|it| (*it).to_owned());
        self.namespaces.allow.extend(names);
    }

    /// Returns whether it names namespaces.
    pub(super) fn names_namespaces(&self) -> bool {
        !self.namespaces.allow.is_empty()
    }

    /// Returns which policies of its Services count for other clusters too.
    pub(super) fn rights(&self) -> Box<[PolicyRight]> {
        let right = |it: &PolicyEntry| match it {
            PolicyEntry::Failover => PolicyRight::Failover,
            PolicyEntry::Routing => PolicyRight::Routing,
        };
        self.policies.iter().map(right).collect()
    }

    /// Returns the import policy, or the invalid key with its error.
    pub(super) fn check(&self) -> Result<Import, String> {
        Ok(Import {
            namespaces: self.namespaces.check("import.namespaces")?,
            names: self.names.check("import.names")?,
            ports: Ports::new(parsed("import.ports", &self.ports)?),
            target_ports: Ports::new(parsed("import.targetPorts", &self.target_ports)?),
            addresses: ranges("import.endpointCIDRs", &self.addresses)?,
            hosts: parsed("import.externalNames", &self.external_names)?,
            max_services: Some(self.max_services.unwrap_or(limits::MAX_SERVICES)),
            max_endpoints: Some(self.max_endpoints.unwrap_or(limits::MAX_ENDPOINTS)),
            carry: MetadataFilter {
                labels: carried("import.labels", &self.labels)?,
                annotations: carried("import.annotations", &self.annotations)?,
            },
            nodes: if self.node_names {
                Nodes::Named
            } else {
                Nodes::Unnamed
            },
        })
    }
}

impl RulesEntry {
    fn check(&self, key: &str) -> Result<NameRules, String> {
        Ok(NameRules {
            allow: parsed(&format!("{key}.allow"), &self.allow)?,
            deny: parsed(&format!("{key}.deny"), &self.deny)?,
        })
    }
}

/// Reads CIDRs; an error names the invalid one and the cause.
pub(super) fn ranges(key: &str, texts: &[String]) -> Result<Vec<IpNet>, String> {
    let range = |text: &String| match text.parse::<IpNet>() {
        Err(_) => Err(format!(
            "{key}: {text:?} is not a range of addresses: write it as 10.1.0.0/16"
        )),
        Ok(range) if range != range.trunc() => Err(format!(
            "{key}: {text} has bits behind its mask: write {}",
            range.trunc()
        )),
        Ok(range) => Ok(range),
    };
    texts.iter().map(range).collect()
}

fn carried(key: &str, texts: &[String]) -> Result<Vec<Pattern>, String> {
    match texts.iter().find(|it| !may_come(it)) {
        Some(text) => Err(format!(
            "{key}: {text} never comes along, since Kubernetes, Heliograph or a program that it \
             replaces reads it on mirrors: remove it"
        )),
        None => parsed(key, texts),
    }
}

fn parsed<T: FromStr<Err: Display>>(key: &str, texts: &[String]) -> Result<Vec<T>, String> {
    let parse = |text: &String| text.parse().map_err(|why| format!("{key}: {why}"));
    texts.iter().map(parse).collect()
}

/// An empty list could mean all or nothing, so that it is neither.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    if texts.is_empty() {
        return Err(D::Error::custom(
            "an empty list admits nothing or everything: leave the key out, or fill it",
        ));
    }
    Ok(texts)
}

fn some_ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let entries = Vec::<PortEntry>::deserialize(deserializer)?;
    if entries.is_empty() {
        return Err(D::Error::custom(
            "an empty list admits nothing or everything: leave the key out, or fill it",
        ));
    }
    let entries = entries.into_iter().map(|it| match it {
        PortEntry::Number(number) => number.to_string(),
        PortEntry::Text(text) => text,
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::ImportEntry;
    use crate::config::tests::schema::agrees_of_source;

    #[track_caller]
    fn check(yaml: &str, expected: &str) {
        let outcome = match serde_saphyr::from_str::<ImportEntry>(yaml) {
            Ok(entry) => entry.check().err().unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        let error = Some(&*outcome).filter(|it| !it.is_empty());
        agrees_of_source("import", yaml, error);
        assert!(outcome.contains(expected), "{yaml}: {outcome}");
        assert_eq!(outcome.is_empty(), expected.is_empty(), "{yaml}: {outcome}");
    }

    #[test]
    fn an_import_policy_is_read() {
        check("{}", "");
        check(
            "{namespaces: {allow: [demo, shop-*]}, names: {deny: [secret*]}, ports: [80, 8000-8999], \
             targetPorts: [\"8080\"], endpointCIDRs: [10.1.0.0/16, 'fd00::/64'], maxServices: 10, \
             maxEndpoints: 100, externalNames: ['*.example.org', db.example.net], \
             policies: [failover, routing]}",
            "",
        );
    }

    #[test]
    fn a_wrong_value_is_named_with_its_remedy() {
        check(
            "{endpointCIDRs: [10.1.0.1]}",
            "import.endpointCIDRs: \"10.1.0.1\" is not a range",
        );
        check("{endpointCIDRs: [10.1.0.1/16]}", "write 10.1.0.0/16");
        check("{ports: [http]}", "import.ports: \"http\" is no port");
        check("{ports: [70000]}", "import.ports: \"70000\" is no port");
        check("{targetPorts: [9-8]}", "import.targetPorts: \"9-8\"");
        check(
            "{namespaces: {allow: ['*x']}}",
            "import.namespaces.allow: \"*x\" is not a pattern",
        );
        check("{namespaces: {allow: []}}", "an empty list");
        check("{names: {only: [a]}}", "unknown field");
        check(
            "{externalNames: ['*']}",
            "import.externalNames: \"*\" is not a host name",
        );
        check("{policies: [everything]}", "everything");
        check("{maxServices: -1}", "maxServices");
        check(
            "{labels: [heliograph.dev/source]}",
            "import.labels: heliograph.dev/source never",
        );
        check("{annotations: ['*']}", "");
    }
}
