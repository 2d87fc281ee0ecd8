//! semaphore-service-mirror's JSON, with its flags and variables.
//!
//! A flag goes before its variable, and both before the file; what is empty is not set.

use reflector_planner::SourceName;
use serde_json::Value;

use super::settings::{Settings, prefix as prefix_of, secured, words_of, wrong};
use super::{Environment, Error, defaults, label_of};
use crate::config::{Args, FailbackEntry, GlobalEntry, ImportEntry, SourceEntry};
use runtime::flags::{self, Dashes, Syntax};

const SYNTAX: Syntax = Syntax {
    values: &[
        "admin-bind-address",
        "config",
        "kube-config",
        // As its documentation has it, to the last.
        "label-selector",
        "listen",
        "log-level",
        "mirror-ns",
        "mirror-svc-label-selector",
        "global-svc-label-selector",
        "global-svc-routing-strategy-label",
    ],
    switches: &[],
    dashes: Dashes::OneOrTwo,
};

/// Returns whether a file of its is named, as `-config` and its variable do.
pub(super) fn has_file(words: &[String], environment: &Environment) -> bool {
    let variable = environment.get("SSM_CONFIG");
    let is_flag = |it: &String| SYNTAX.has(it) == Some("config");
    variable.is_some_and(|it| !it.is_empty()) || words.iter().any(is_flag)
}

/// Returns whether these words, or the variables without any, are for it.
pub(super) fn is_its(words: &[String], environment: &Environment) -> bool {
    if words.is_empty() {
        return has_file(words, environment);
    }
    words
        .iter()
        .enumerate()
        .any(|(i, word)| match SYNTAX.has(word) {
            // This program has that flag too: the file decides.
            Some("config") if word.starts_with("--") => {
                let path = word.split_once('=').map(|(_, path)| path);
                let path = path.or_else(|| words.get(i + 1).map(String::as_str));
                path.is_some_and(is_its_file)
            }
            Some("admin-bind-address" | "log-level" | "listen") => !word.starts_with("--"),
            Some(_) => true,
            None => false,
        })
}

fn is_its_file(path: &str) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    get(&json, "remoteClusters").is_some() || get(&json, "localCluster").is_some()
}

/// One that must be set, here or in the file.
fn need(
    settings: &Settings<'_>,
    json: &Value,
    names: [&str; 3],
    what: &str,
) -> Result<String, Error> {
    let [flag, variable, key] = names;
    let global = get(json, "global").unwrap_or(&Value::Null);
    let here = settings.get(flag, variable).map(ToOwned::to_owned);
    let value = here.map_or_else(|| text(global, "global", key), Ok)?;
    if value.is_empty() {
        return Err(Error::Words(format!(
            "{what} should be specified either via global json config, env vars or flag"
        )));
    }
    Ok(value)
}

/// The same as flags of this program.
pub(super) fn translate(words: &[String], environment: &Environment) -> Result<Args, Error> {
    let flags = SYNTAX.read(words)?;
    let settings = Settings { flags, environment };
    let json = read(&settings)?;
    let mut args = defaults();
    args.semaphore_metrics = true;
    settings.note(&mut args.notes);
    args.inputs = settings
        .get("config", "SSM_CONFIG")
        .map(Into::into)
        .into_iter()
        .collect();
    let local = get(&json, "localCluster").unwrap_or(&Value::Null);
    let documented = text(local, "localCluster", "kubeConfigPath")?;
    args.kubeconfig = match settings.get("kube-config", "SSM_KUBE_CONFIG") {
        Some(path) => Some(path.into()),
        None => (!documented.is_empty()).then(|| documented.into()),
    };
    args.habits.sweeps = true;
    args.listen = settings.admin_address()?;
    let level = settings.get("log-level", "SSM_LOG_LEVEL").unwrap_or("info");
    // It took an unknown level for the default.
    args.log_level = level.to_lowercase().parse().unwrap_or_default();
    let selector = globals(&settings, &json, &mut args)?;
    let remotes = get(&json, "remoteClusters").and_then(Value::as_array);
    let remotes = remotes.filter(|it| !it.is_empty());
    let remotes = remotes.ok_or_else(|| words_of("No remote cluster configuration defined"))?;
    for remote in remotes {
        let source = source(remote, &selector, &mut args.notes)?;
        args.sources.push(source);
    }
    Ok(args)
}

fn read(settings: &Settings<'_>) -> Result<Value, Error> {
    let path = settings.get("config", "SSM_CONFIG");
    let path = path.ok_or_else(|| words_of("-config or SSM_CONFIG must name a file"))?;
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|why| Error::Value {
        flag: path.to_owned(),
        why: why.to_string(),
    })
}

/// Takes over what is set for all clusters; returns the selector.
fn globals(settings: &Settings<'_>, json: &Value, args: &mut Args) -> Result<String, Error> {
    let documented = settings.get("label-selector", "SSM_LABEL_SELECTOR");
    let selector = need(
        settings,
        json,
        [
            "mirror-svc-label-selector",
            "SSM_MIRROR_SVC_LABEL_SELECTOR",
            "mirrorSvcLabelSelector",
        ],
        "Label selector for service mirroring",
    );
    let selector = documented.map_or(selector, |it| Ok(it.to_owned()))?;
    let global_selector = need(
        settings,
        json,
        [
            "global-svc-label-selector",
            "SSM_GLOBAL_SVC_LABEL_SELECTOR",
            "globalSvcLabelSelector",
        ],
        "Label selector for global services",
    )?;
    let routing = need(
        settings,
        json,
        // The variable's name follows no pattern.
        [
            "global-svc-routing-strategy-label",
            "SSM_GLOBAL_SVC_TOPOLOGY_LABEL",
            "globalSvcRoutingStrategyLabel",
        ],
        "Label to enable topology aware hints for global services",
    )?;
    let namespace = need(
        settings,
        json,
        ["mirror-ns", "SSM_MIRROR_NS", "mirrorNamespace"],
        "Local mirroring namespace",
    )?;
    let namespace = namespace.parse();
    let namespace = namespace.map_err(|why| wrong("mirrorNamespace", why))?;
    args.mirror_namespace = Some(namespace);
    let cluster = cluster(json, &mut args.notes)?;
    args.global = Some(GlobalEntry {
        write_endpoints: false,
        cluster,
        selector: global_selector,
        same_name: false,
        zones: zones(json)?,
        local_first: routing,
        failover: Vec::new(),
        failback: FailbackEntry::default(),
        precedence: Vec::new(),
        migration: false,
    });
    note_unused(json, &mut args.notes)?;
    Ok(selector)
}

/// The zones of the local cluster's nodes.
fn zones(json: &Value) -> Result<Vec<String>, Error> {
    let local = get(json, "localCluster").unwrap_or(&Value::Null);
    let Some(zones) = get(local, "zones") else {
        return Ok(vec!["local".to_owned()]);
    };
    let zones: Vec<String> =
        serde_json::from_value(zones.clone()).map_err(|why| wrong("localCluster.zones", why))?;
    Ok(if zones.is_empty() {
        vec!["local".to_owned()]
    } else {
        zones
    })
}

/// Returns the name of the local cluster.
fn cluster(json: &Value, notes: &mut Vec<String>) -> Result<SourceName, Error> {
    let local = get(json, "localCluster").unwrap_or(&Value::Null);
    let name = text(local, "localCluster", "name")?;
    if name.is_empty() {
        return Err(words_of("Configuration is missing local cluster name"));
    }
    let label = label_of(&name).map_err(|why| wrong("localCluster.name", why))?;
    if label.as_str() != name {
        notes.push(format!("local cluster {name:?} is called {label}"));
    }
    let name = label.to_string().parse();
    name.map_err(|why| wrong("localCluster.name", why))
}

/// Notes values that are not needed.
fn note_unused(json: &Value, notes: &mut Vec<String>) -> Result<(), Error> {
    let global = get(json, "global").unwrap_or(&Value::Null);
    for key in ["serviceSync", "endpointSliceSync"] {
        match get(global, key) {
            None => {}
            Some(Value::Bool(_)) => notes.push(format!(
                "{key} is accepted; mirrors always converge, and guards make that safe"
            )),
            Some(other) => {
                let why = format!("{other} is neither true nor false");
                return Err(wrong(&format!("global.{key}"), why));
            }
        }
    }
    Ok(())
}

fn source(remote: &Value, selector: &str, notes: &mut Vec<String>) -> Result<SourceEntry, Error> {
    let text = |key: &str| text(remote, "remoteClusters", key);
    let name = text("name")?;
    if name.is_empty() {
        return Err(words_of("Configuration is missing remote cluster name"));
    }
    let label = label_of(&name).map_err(|why| wrong("remoteClusters.name", why))?;
    let mut source = SourceEntry::named(
        label
            .to_string()
            .parse()
            .map_err(|why| wrong("name", why))?,
    );
    let (kubeconfig, url) = (text("kubeConfigPath")?, text("remoteAPIURL")?);
    let (authority, token) = (text("remoteCAURL")?, text("remoteSATokenPath")?);
    if !kubeconfig.is_empty() {
        source.kubeconfig = Some(kubeconfig.into());
    } else if url.is_empty() || authority.is_empty() || token.is_empty() {
        return Err(words_of(
            "Insufficient configuration to create remote cluster client. Set kubeConfigPath or \
             remoteAPIURL and remoteCAURL and remoteSATokenPath",
        ));
    } else {
        source.url = Some(secured(&url));
        source.ca_url = Some(secured(&authority));
        source.token_file = Some(token.into());
    }
    let prefix = text("servicePrefix")?;
    if prefix.is_empty() {
        return Err(words_of(
            "Configuration is missing a service prefix for services mirrored from the remote",
        ));
    }
    let legal = prefix_of("servicePrefix", &prefix, notes)?;
    if label.as_str() != name {
        notes.push(format!("remote cluster {name:?} is source {label}"));
    }
    if let Some(period) = get(remote, "resyncPeriod") {
        let is_duration = period.is_number() || period.as_str().is_some_and(flags::is_duration);
        if !is_duration {
            let why = format!("{period} is not a duration: write it as \"10s\"");
            return Err(wrong("remoteClusters.resyncPeriod", why));
        }
        notes.push(format!(
            "source {label}: resyncPeriod is accepted, and not needed"
        ));
    }
    source.prefix = Some(legal);
    source.import = ImportEntry::naming_nodes();
    source.selector = Some(selector.to_owned());
    Ok(source)
}

/// A key's value. Go does not care for the case of keys.
fn get<'a>(json: &'a Value, key: &str) -> Option<&'a Value> {
    let object = json.as_object()?;
    let same = |(name, _): &(&String, &Value)| name.eq_ignore_ascii_case(key);
    let value = object
        .get(key)
        .or_else(|| object.iter().find(same).map(|(_, value)| value));
    value.filter(|it| !it.is_null())
}

fn text(json: &Value, place: &str, key: &str) -> Result<String, Error> {
    match get(json, key) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(wrong(
            &format!("{place}.{key}"),
            format!("{other} is not a text"),
        )),
    }
}
