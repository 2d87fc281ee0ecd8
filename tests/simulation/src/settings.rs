//! Configuration of a fleet's reflectors, and what it demands beyond mirrors.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::oracle::MIRRORS;
use crate::plan::{Fleet, LOCAL};
use crate::sabotage::Defect;
use crate::truth::{EXPORT, key, ready};

/// Namespace of all Services.
pub(crate) const NAMESPACE: &str = "demo";

/// Namespace of the sources that keeps its Services to itself.
pub(crate) const PRIVATE: &str = "private";

/// Ports with which Services come in, if the settings say so.
pub(crate) const IMPORTED: [u64; 2] = [80, 82];

/// Second number of the addresses of the local cluster's pods.
pub(crate) const LOCAL_NETWORK: u8 = 250;

/// Use of the reflectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scene {
    /// Each Service has a mirror of its own.
    #[default]
    Mirrors,
    /// Services are global, and the local cluster is the first that serves.
    Failover,
    /// Services are replicated under their own names, except those of one namespace.
    Replicas,
    /// Each Service has a mirror, and a ServiceExport that makes a ServiceImport.
    Imports,
}

/// Settings of a fleet's reflectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Use of the reflectors.
    pub scene: Scene,
    /// Seconds after which the endpoints of a silent source are not ready.
    pub not_ready_after: Option<u64>,
    /// Seconds after which the endpoints of a silent source are removed.
    pub drop_after: Option<u64>,
    /// Whether Services come in only with the ports of `IMPORTED`.
    pub imports_ports: bool,
    /// Whether mirrors of sources that are not configured are deleted.
    pub deletes_removed: bool,
}

/// Changes of the configuration by operators.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Sources that are not configured.
    pub(crate) unconfigured: BTreeSet<String>,
    /// Sources that have another name.
    pub(crate) renamed: BTreeSet<String>,
}

/// Name of a source that was renamed.
pub(crate) fn other_name(source: &str) -> String {
    format!("new-{source}")
}

/// First name of a source that may have been renamed.
pub(crate) fn first_name(source: &str) -> &str {
    source.strip_prefix("new-").unwrap_or(source)
}

/// Returns the configuration of the reflectors.
pub(crate) fn config(fleet: &Fleet, changes: &Changes, defect: Option<Defect>) -> Value {
    let settings = fleet.settings;
    let sources = fleet.sources.iter();
    let sources = sources.filter(|it| !changes.unconfigured.contains(&it.name));
    let sources = sources.map(|it| {
        let name = match changes.renamed.contains(&it.name) {
            true => other_name(&it.name),
            false => it.name.clone(),
        };
        let mut source = json!({ "name": name, "url": format!("http://{}", it.name) });
        match settings.scene {
            Scene::Mirrors | Scene::Imports => {
                source["prefix"] = it.name.as_str().into();
                source["selector"] = export().into();
                source["naming"] = json!({ "allowAliases": true });
            }
            Scene::Failover => source["selector"] = export().into(),
            Scene::Replicas => {
                source["import"] = json!({ "namespaces": { "allow": [NAMESPACE, PRIVATE] } });
            }
        }
        if let Some(seconds) = settings.not_ready_after {
            source["staleness"]["notReadyAfter"] = format!("{seconds}s").into();
        }
        if let Some(seconds) = settings.drop_after {
            source["staleness"]["dropAfter"] = format!("{seconds}s").into();
        }
        if settings.imports_ports {
            source["import"]["ports"] = json!(IMPORTED);
        }
        source
    });
    let sources: Vec<Value> = sources.collect();
    let mut config = json!({ "mirrorNamespace": MIRRORS, "sources": sources });
    match settings.scene {
        Scene::Mirrors => {}
        Scene::Imports => config["clusterSet"] = json!({ "cluster": LOCAL }),
        Scene::Failover => {
            config["global"] = json!({
                "cluster": LOCAL, "selector": export(), "failover": [LOCAL, "east"],
            });
        }
        Scene::Replicas => {
            config["global"] = json!({
                "cluster": LOCAL, "migration": true, "sameName": true,
                "selector": "replicated!=true",
            });
        }
    }
    if settings.deletes_removed {
        config["removedSources"] = "delete".into();
    }
    if defect == Some(Defect::HoldOff) {
        config["deletionHold"] = "1s".into();
    }
    config
}

fn export() -> String {
    format!("{}={}", EXPORT.0, EXPORT.1)
}

impl Scene {
    /// Returns why an object of the local cluster must not be as it is now.
    pub(crate) fn forbids(self, object: &Value) -> Option<String> {
        let (namespace, name) = key(object);
        match self {
            Self::Mirrors | Self::Imports => None,
            Self::Failover => {
                let addresses = ready(object);
                let is_local = |it: &String| it.starts_with(&local_addresses());
                let standby = addresses.iter().find(|it| !is_local(it))?;
                let is_global = namespace == MIRRORS;
                is_global.then(|| format!("{name} has {standby} of a standby cluster"))
            }
            Self::Replicas => {
                let is_private = namespace == PRIVATE;
                is_private.then(|| format!("{name} is of a namespace that opted out"))
            }
        }
    }

    /// Returns what is missing in the end.
    pub(crate) fn missing(
        self,
        services: &BTreeMap<(String, String), Value>,
        ready: impl Fn(&(String, String)) -> BTreeSet<String>,
    ) -> Option<String> {
        let (namespace, name) = match self {
            Self::Mirrors | Self::Imports => return None,
            Self::Failover => (MIRRORS, "gl-demo-73736d-s0"),
            Self::Replicas => (NAMESPACE, "s0"),
        };
        let service = (namespace.to_owned(), name.to_owned());
        if !services.contains_key(&service) {
            return Some(format!("{name} is missing"));
        }
        ready(&service)
            .is_empty()
            .then(|| format!("{name} has no endpoint"))
    }
}

fn local_addresses() -> String {
    format!("10.{LOCAL_NETWORK}.")
}
