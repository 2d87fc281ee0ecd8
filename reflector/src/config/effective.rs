//! Effective configuration, for `reflector config`.

use std::fmt;

use proto_types::ObjectKey;
use proto_types::label;
use proto_types::name::DnsLabel;
use reflector_planner::{
    CoreEndpoints, GlobalPolicy, MissingNamespaces, Naming, Policy, RemovedSources, Sharing,
    Staleness, StalenessOf,
};
use serde::Serialize;

use super::endpoints::EndpointsFrom;
use super::{Config, Election, GlobalConfig, SourceConfig};

/// A configuration as it was understood, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveConfig {
    local: String,
    listen: String,
    removed_sources: String,
    deletion_hold: String,
    confirm_deletions: bool,
    election: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    global: Option<ShownGlobal>,
    sources: Vec<ShownSource>,
    notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownGlobal {
    cluster: String,
    services: String,
    selector: String,
    local_first: String,
    serving: String,
    members: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownSource {
    name: String,
    access: String,
    mirrors: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoints_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoints: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_namespaces: Option<String>,
    selector: String,
    namespace: String,
    staleness: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    staleness_overrides: Vec<String>,
    import: String,
}

impl From<&Config> for EffectiveConfig {
    fn from(config: &Config) -> Self {
        let removed_sources = match config.policy.removed_sources {
            RemovedSources::Keep => "keep",
            RemovedSources::Delete => "delete",
        };
        Self {
            local: config.local.to_string(),
            listen: config.listen.to_string(),
            removed_sources: removed_sources.to_owned(),
            deletion_hold: format!("{:?}", config.policy.hold),
            confirm_deletions: config.policy.confirm_deletions,
            election: config.election.as_ref().map_or("none".to_owned(), election),
            global: config.global.as_ref().map(|it| global(it, &config.policy)),
            sources: config
                .sources
                .iter()
                .map(|source| shown(source, &config.policy))
                .collect(),
            notes: config.notes.clone(),
        }
    }
}

fn election(election: &Election) -> String {
    let Election {
        name,
        namespace,
        duration,
    } = election;
    let namespace = namespace.as_ref().map_or("here", DnsLabel::as_str);
    format!("lease {name}, namespace {namespace}, {duration:?}")
}

fn global(global: &GlobalConfig, policy: &Policy) -> ShownGlobal {
    let members = policy.members().iter();
    let services = members.clone().next();
    let members: Vec<_> = members.map(|it| it.name.to_string()).collect();
    ShownGlobal {
        cluster: global.cluster.to_string(),
        services: services.map_or_else(String::new, |it| it.local(&any()).to_string()),
        selector: global.full_selector().to_string(),
        local_first: policy.global().map_or_else(String::new, local_first),
        serving: match policy.global().map(|it| it.sharing) {
            Some(Sharing::ByMode) => {
                format!("the first alone, or as {} says", label::SYNDICATE_MODE)
            }
            Some(Sharing::All) | None => "all".to_owned(),
        },
        members: members.join(", "),
    }
}

fn local_first(global: &GlobalPolicy) -> String {
    if global.zones.is_empty() {
        return "never, because global.zones does not name this cluster's zones".to_owned();
    }
    let selector = global.local_first.as_ref().map(ToString::to_string);
    let zones = global.zones.join(", ");
    format!("where {}, in zones {zones}", selector.unwrap_or_default())
}

/// Stands for any Service.
fn any() -> ObjectKey {
    ObjectKey::new("NAMESPACE", "NAME")
}

fn shown(source: &SourceConfig, policy: &Policy) -> ShownSource {
    let mut all = policy.sources().iter().chain(policy.members());
    let its = all.find(|it| it.name == source.name);
    let mirrors = its
        .filter(|_| source.mirrors)
        .map(|it| it.local(&any()).to_string());
    let namespace = source.namespace.as_ref();
    ShownSource {
        name: source.name.to_string(),
        access: source.access.to_string(),
        mirrors: mirrors.unwrap_or("none".to_owned()),
        names: its
            .filter(|it| it.naming != Naming::default())
            .map(|it| it.naming.to_string()),
        endpoints_from: endpoints_from(source),
        endpoints: its
            .filter(|it| it.endpoints == CoreEndpoints::Written)
            .map(|_| "written beside slices".to_owned()),
        missing_namespaces: its
            .filter(|it| it.missing_namespaces == MissingNamespaces::Created)
            .map(|_| "created".to_owned()),
        selector: source.full_selector().to_string(),
        namespace: namespace.map_or("all".to_owned(), ToString::to_string),
        staleness: rules(its.map(|it| it.staleness).unwrap_or_default()),
        staleness_overrides: its
            .into_iter()
            .flat_map(|it| it.staleness_of.iter().map(exception))
            .collect(),
        import: its.map_or_else(String::new, |it| it.import.to_string()),
    }
}

fn endpoints_from(source: &SourceConfig) -> Option<String> {
    let from = source.endpoints_from;
    let usual = from == EndpointsFrom::default() && source.poll_every.is_none();
    let polled = source
        .poll_every
        .map(|every| format!("; asked every {every:?} where it cannot be watched"));
    (!usual).then(|| format!("{}{}", from.describe(), polled.unwrap_or_default()))
}

fn exception(exception: &StalenessOf) -> String {
    let services = exception.services.iter().map(ToString::to_string);
    let services: Vec<_> = services.collect();
    format!("{}: {}", services.join(", "), rules(exception.staleness))
}

fn rules(staleness: Staleness) -> String {
    let Staleness {
        not_ready_after,
        drop_after,
    } = staleness;
    let not_ready = not_ready_after.map(|it| format!("not ready after {it:?}"));
    let drop = drop_after.map(|it| format!("dropped after {it:?}"));
    let rules: Vec<_> = not_ready.into_iter().chain(drop).collect();
    if rules.is_empty() {
        "keep".to_owned()
    } else {
        rules.join(", ")
    }
}

impl fmt::Display for EffectiveConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "local cluster: {}", self.local)?;
        writeln!(f, "listen: {}", self.listen)?;
        writeln!(f, "mirrors of removed sources: {}", self.removed_sources)?;
        writeln!(f, "deletion hold: {}", self.deletion_hold)?;
        if self.confirm_deletions {
            writeln!(f, "every deletion waits for another list")?;
        }
        writeln!(f, "leader election: {}", self.election)?;
        if let Some(global) = &self.global {
            global.fmt(f)?;
        }
        for source in &self.sources {
            source.fmt(f)?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ShownGlobal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "global Services: {}", self.services)?;
        writeln!(f, "  this cluster: {}", self.cluster)?;
        writeln!(f, "  members: {}", self.members)?;
        writeln!(f, "  selector: {}", self.selector)?;
        writeln!(f, "  who serves: {}", self.serving)?;
        writeln!(f, "  local endpoints first: {}", self.local_first)
    }
}

impl fmt::Display for ShownSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "source {}: {}", self.name, self.access)?;
        writeln!(f, "  mirrors: {}", self.mirrors)?;
        if let Some(names) = &self.names {
            writeln!(f, "  names: {names}")?;
        }
        if let Some(from) = &self.endpoints_from {
            writeln!(f, "  endpoints from: {from}")?;
        }
        if let Some(written) = &self.endpoints {
            writeln!(f, "  core/v1 Endpoints: {written}")?;
        }
        if let Some(created) = &self.missing_namespaces {
            writeln!(f, "  missing namespaces: {created}")?;
        }
        writeln!(f, "  selector: {}", self.selector)?;
        writeln!(f, "  namespace: {}", self.namespace)?;
        writeln!(f, "  endpoints while it is silent: {}", self.staleness)?;
        for exception in &self.staleness_overrides {
            writeln!(f, "    but of {exception}")?;
        }
        writeln!(f, "  may bring in: {}", self.import)
    }
}
