//! The ConfigMap `source-api`: URLs of emitters, as service-reflector took them, each a
//! source.
//!
//! It is mounted, or read through the API of the local cluster; either way the URLs that
//! come and go are sources that come and go.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;
use proto_types::escape;
use reflector_planner::SourceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::RemovedSources;
use super::source_discovery::{InvalidGroup, LEFT_OUT, SourceDefaults};
use super::{SourceEntry, hash_of, label_of, schema};

/// Place of a list of URLs, each of a source.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = schema::of_source_api)]
pub struct SourceApi {
    /// In a file, such as of a ConfigMap that is mounted.
    pub file: Option<PathBuf>,
    /// In a ConfigMap of the local cluster, which is read through its API.
    #[schemars(with = "Option<schema::ConfigMap>")]
    pub config_map: Option<ConfigMapKey>,
    /// Defaults of its sources.
    #[serde(default, rename = "defaults", alias = "each")]
    pub each: SourceDefaults,
}

/// A key of a ConfigMap, written as `NAMESPACE/NAME` or `NAMESPACE/NAME/KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConfigMapKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The key.
    pub key: String,
}

const GROUP: &str = "sourceURLs";
/// The key that service-reflector's manifest has.
const KEY: &str = "source-api";

impl SourceApi {
    /// Adds its sources in the order of its URLs. `config_map` is the text of the ConfigMap, if
    /// that is known; returns the one that is to be read, if it is one.
    pub(super) fn add(
        &self,
        config_map: Option<&str>,
        removed_sources: RemovedSources,
        entries: &mut Vec<SourceEntry>,
        notes: &mut Vec<String>,
    ) -> Result<(), InvalidGroup> {
        let text = match (&self.file, &self.config_map) {
            (Some(path), None) => {
                let text = std::fs::read_to_string(path);
                text.map_err(|source| InvalidGroup::ReadUrls {
                    path: path.clone(),
                    source,
                })?
            }
            (None, Some(_)) => match config_map {
                Some(text) => text.to_owned(),
                None => return Ok(()),
            },
            (Some(_), Some(_)) | (None, None) => return Err(InvalidGroup::NoPlace),
        };
        // Errors of the defaults are reported before there is a URL.
        self.each.source(GROUP, &"name".parse().expect("a label"))?;
        let n_others = entries.len();
        for url in urls(&text) {
            let others = &entries[n_others..];
            if others.iter().any(|it| it.url.as_ref() == Some(&url)) {
                continue;
            }
            let name = match name_of_url(&url, entries) {
                Ok(name) => name,
                Err(why) => {
                    let remedy = "write URLs as http://HOST:PORT, one a line or between commas";
                    notes.push(format!("{LEFT_OUT} {why}; {remedy}"));
                    continue;
                }
            };
            entries.push(SourceEntry {
                url: Some(url),
                ..self.each.source(GROUP, &name)?
            });
        }
        if entries.len() == n_others && removed_sources == RemovedSources::Delete {
            return Err(InvalidGroup::NoUrls);
        }
        Ok(())
    }
}

/// URLs between commas, blanks and ends of lines; a line that begins with `#` is none.
fn urls(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|it| !it.trim().starts_with('#'));
    let urls = lines.flat_map(|it| it.split([',', ' ', '\t']));
    urls.filter(|it| !it.is_empty()).map(whole).collect()
}

/// A host alone is one that speaks HTTP.
pub(crate) fn whole(text: &str) -> String {
    if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    }
}

/// Returns the name of a source: host and port of its URL, as a DNS label. If several URLs have the
/// same name, a hash of the URL is added.
pub(crate) fn name_of_url(url: &str, others: &[SourceEntry]) -> Result<SourceName, String> {
    let printed = escape::without_user_info(url);
    let parsed: Uri = url.parse().map_err(|why| format!("{printed:?}: {why}"))?;
    let host = parsed.host().unwrap_or_default();
    let text = match parsed.port_u16() {
        Some(port) => format!("{host}-{port}"),
        None => host.to_owned(),
    };
    let label = label_of(&text).map_err(|_| format!("{printed:?} names no host"))?;
    let is_taken = others.iter().any(|it| it.name.as_str() == label.as_str());
    let name = if is_taken {
        format!("{label}-{}", hash_of(url))
    } else {
        label.to_string()
    };
    name.parse().map_err(|why| format!("{printed:?}: {why}"))
}

impl FromStr for ConfigMapKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('/').collect();
        let (namespace, name, key) = match parts[..] {
            [namespace, name] => (namespace, name, KEY),
            [namespace, name, key] => (namespace, name, key),
            _ => ("", "", ""),
        };
        if [namespace, name, key].contains(&"") {
            return Err(format!(
                "{text:?} is no ConfigMap: write it as NAMESPACE/NAME or NAMESPACE/NAME/KEY"
            ));
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            key: key.to_owned(),
        })
    }
}

impl TryFrom<String> for ConfigMapKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ConfigMapKey> for String {
    fn from(key: ConfigMapKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for ConfigMapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigMapKey, urls};

    #[test]
    fn urls_come_one_a_line_or_between_commas() {
        let text = "http://a:8080, https://b\n# https://not\n\n  c:80 ,,\r\nhttp://d";
        let found = urls(text);
        assert_eq!(
            found,
            ["http://a:8080", "https://b", "http://c:80", "http://d"]
        );
        assert!(urls(" \n").is_empty());
    }

    #[test]
    fn a_config_map_is_named_with_its_namespace() {
        let key: ConfigMapKey = "a/b".parse().unwrap();
        assert_eq!(key.to_string(), "a/b/source-api");
        let key: ConfigMapKey = "a/b/c".parse().unwrap();
        assert_eq!(key.key, "c");
        for wrong in ["a", "a/", "a/b/c/d", ""] {
            let said = wrong.parse::<ConfigMapKey>().unwrap_err();
            assert!(said.contains("NAMESPACE/NAME"), "{said}");
        }
    }
}
