//! A source behind `--source`: keys and values, between commas.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::{InvalidSource, SourceEntry};

const KEYS: [&str; 28] = [
    "name",
    "url",
    "kubeconfig",
    "context",
    "caFile",
    "ca",
    "caUrl",
    "serverName",
    "tokenFile",
    "tokenVariable",
    "clientCertificateFile",
    "clientKeyFile",
    "proxyUrl",
    "cluster",
    "prefix",
    "sameName",
    "createNamespace",
    "writeEndpoints",
    "endpointsFrom",
    "pollInterval",
    "pollEvery",
    "global",
    "selector",
    "namespace",
    "namespaces",
    "staleness",
    "notReadyAfter",
    "dropAfter",
];

/// Those that are true or false.
const SWITCHES: [&str; 4] = ["sameName", "createNamespace", "writeEndpoints", "global"];

/// Those that stand under `staleness` in a file.
const STALENESS_KEYS: [&str; 2] = ["notReadyAfter", "dropAfter"];

impl FromStr for SourceEntry {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let (mut entry, mut staleness) = (Map::new(), Map::new());
        for pair in pairs(text) {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(InvalidSource::NotAPair(pair));
            };
            // No selector selects everything, and reports that.
            if value.is_empty() && key != "selector" {
                return Err(InvalidSource::Empty(key.to_owned()));
            }
            if key == "namespaces" {
                let allow: Vec<_> = value.split(',').collect();
                let import = json!({"namespaces": {"allow": allow}});
                if entry.insert("import".to_owned(), import).is_some() {
                    return Err(InvalidSource::Twice(key.to_owned()));
                }
                continue;
            }
            let value = match (key, value) {
                (key, "true") if SWITCHES.contains(&key) => json!(true),
                (key, "false") if SWITCHES.contains(&key) => json!(false),
                (_, value) => json!(value),
            };
            let known = if STALENESS_KEYS.contains(&key) {
                staleness.insert(key.to_owned(), value)
            } else {
                entry.insert(key.to_owned(), value)
            };
            if known.is_some() {
                return Err(InvalidSource::Twice(key.to_owned()));
            }
        }
        if !staleness.is_empty() {
            let staleness = Value::Object(staleness);
            if entry.insert("staleness".to_owned(), staleness).is_some() {
                return Err(InvalidSource::Twice("staleness".to_owned()));
            }
        }
        serde_json::from_value(Value::Object(entry))
            .map_err(|error| InvalidSource::Entry(error.to_string()))
    }
}

/// Returns the keys of a source.
pub(crate) fn keys(text: &str) -> Vec<String> {
    let pairs = pairs(text).into_iter();
    let keys = pairs.filter_map(|it| Some(it.split_once('=')?.0.to_owned()));
    keys.collect()
}

/// Splits at commas, but not at those within a value: a selector and a list have some of
/// their own. What follows a comma and looks like no key belongs to what precedes it.
fn pairs(text: &str) -> Vec<String> {
    let mut pairs: Vec<String> = Vec::new();
    for part in text.split(',') {
        let has_commas =
            |pair: &String| pair.starts_with("selector=") || pair.starts_with("namespaces=");
        let in_list = pairs.last().is_some_and(has_commas);
        let key = part.split('=').next().unwrap_or_default();
        match pairs.last_mut() {
            Some(list) if in_list && !KEYS.contains(&key) => {
                list.push(',');
                list.push_str(part);
            }
            Some(_) | None => pairs.push(part.to_owned()),
        }
    }
    pairs
}
