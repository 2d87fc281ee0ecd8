//! The access configuration: trusted token issuers, and the views of consumers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use emitter_cache::view_filter::{Port, Rules};
use http::Uri;
use proto_types::LabelSelector;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::User;

mod written;

/// The configuration file, in YAML or JSON.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Trusted issuers of tokens.
    #[serde(default)]
    pub issuers: Vec<Issuer>,
    /// Consumers and their views; the first match applies. Without it, every authenticated client
    /// can read everything.
    pub consumers: Option<Vec<Consumer>>,
}

/// A cluster, or another issuer of OpenID tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issuer {
    /// Value of `iss` in its tokens.
    pub issuer: String,
    /// One of these must be in `aud`.
    pub audiences: Vec<String>,
    /// Its public keys; those of its discovery document, if absent.
    #[serde(default)]
    pub keys: Keys,
    /// Prefix of its users and groups, so that service accounts of two clusters are not confused.
    /// It may be empty if there is no other issuer.
    pub user_prefix: String,
}

/// Place of the keys of an issuer, as a JSON Web Key Set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keys {
    /// In a file.
    pub file: Option<PathBuf>,
    /// At a URL.
    #[serde(default, deserialize_with = "url")]
    pub url: Option<Uri>,
    /// URL of the discovery document, if it is not below the URL of the issuer.
    #[serde(default, deserialize_with = "url")]
    pub discovery_url: Option<Uri>,
    /// The authority of these URLs; the system's if absent.
    pub ca_file: Option<PathBuf>,
    /// A bearer token for these URLs.
    pub token_file: Option<PathBuf>,
}

/// Consumer, and its view.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Consumer {
    /// Name of its view in logs and metrics.
    pub name: String,
    /// Users.
    #[serde(default)]
    pub users: Vec<String>,
    /// Groups, of which the client must be in one.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Claims that the token must have.
    #[serde(default)]
    pub claims: Value,
    /// Only in these namespaces; in all if absent.
    namespaces: Option<BTreeSet<String>>,
    /// Only Services with these labels.
    #[serde(default, deserialize_with = "selector")]
    selector: LabelSelector,
    /// Only these ports of them, by name or number; all if absent.
    ports: Option<Vec<PortEntry>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum PortEntry {
    Number(u16),
    Name(String),
}

/// Error of an access configuration.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It does not open.
    #[error("cannot read access configuration {path} (--access-config): {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// It is no access configuration.
    #[error("access configuration {path} (--access-config) is not valid: {why}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Error and its place.
        why: String,
    },
}

impl Policy {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let text = std::fs::read_to_string(path).map_err(|source| PolicyError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|why| PolicyError::Invalid {
            path: path.to_owned(),
            why,
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        written::check(text)?;
        let policy: Self = serde_saphyr::from_str(text)
            .map_err(|why| why.to_string().trim_start_matches("error: ").to_owned())?;
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), String> {
        let mut prefixes = BTreeSet::new();
        let mut names = BTreeSet::new();
        for it in &self.issuers {
            let issuer = &it.issuer;
            if it.audiences.is_empty() {
                return Err(format!(
                    "issuer {issuer:?} has no audiences: name those that tokens for this \
                     emitter are issued for"
                ));
            }
            let Keys {
                file,
                url,
                discovery_url,
                ..
            } = &it.keys;
            let ways = [file.is_some(), url.is_some(), discovery_url.is_some()];
            if 1 < ways.iter().filter(|is_there| **is_there).count() {
                return Err(format!(
                    "issuer {issuer:?}: keys are in a file, at a url or where discoveryUrl \
                     says, which is one of the three"
                ));
            }
            if !names.insert(issuer) {
                return Err(format!("issuer {issuer:?} is there twice"));
            }
            let prefix = it.user_prefix.as_str();
            let overlaps = |other: &&&str| other.starts_with(prefix) || prefix.starts_with(**other);
            if let Some(other) = prefixes.iter().find(overlaps) {
                return Err(format!(
                    "userPrefix {prefix:?} of issuer {issuer:?} and userPrefix {other:?} of \
                     another issuer begin alike: the one could name users of the other; \
                     choose prefixes of which none begins with another"
                ));
            }
            prefixes.insert(prefix);
        }
        let mut names = BTreeSet::new();
        for it in self.consumers.iter().flatten() {
            let name = &it.name;
            if !names.insert(name) {
                return Err(format!("consumer {name:?} is there twice"));
            }
            let claims = &it.claims;
            let has_claims = !claims.is_null() && *claims != Value::Object(serde_json::Map::new());
            if it.users.is_empty() && it.groups.is_empty() && !has_claims {
                return Err(format!(
                    "consumer {name:?} is nobody: give it users, groups or claims"
                ));
            }
        }
        Ok(())
    }

    /// Returns the consumer that a user matches.
    #[must_use]
    pub fn consumer(&self, user: &User) -> Option<&Consumer> {
        self.consumers.iter().flatten().find(|it| it.fits(user))
    }
}

impl Issuer {
    /// Returns whether one of its audiences is this.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        self.audiences.iter().any(|it| it == audience)
    }

    /// Returns the URL of its discovery document.
    pub(super) fn document(&self) -> Result<Uri, String> {
        if let Some(url) = &self.keys.discovery_url {
            return Ok(url.clone());
        }
        let base = self.issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration").parse::<Uri>();
        let url = url.ok().filter(|url| url.scheme().is_some());
        url.ok_or_else(|| {
            "it is no URL, below which its keys could be found: give keys a file, a url or a \
             discoveryUrl"
                .to_owned()
        })
    }
}

impl Consumer {
    fn fits(&self, user: &User) -> bool {
        let by_name = self.users.contains(&user.name);
        let by_group = user.groups.iter().any(|it| self.groups.contains(it));
        let by_claims = self.claims.is_null() || contains(&user.claims, &self.claims);
        let by_any = self.users.is_empty() && self.groups.is_empty();
        (by_name || by_group || by_any) && by_claims
    }

    /// Returns the rules of its view.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let port = |it: &PortEntry| match it {
            PortEntry::Number(number) => Port::Number(*number),
            PortEntry::Name(name) => Port::Name(name.clone()),
        };
        Rules {
            namespaces: self.namespaces.clone(),
            labels: self.selector.clone(),
            ports: self.ports.as_ref().map(|it| it.iter().map(port).collect()),
        }
    }
}

/// Returns whether all of `part` is in `whole`; of a list one element is enough.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|it| contains(it, part))),
        (Value::Array(whole), part) if !part.is_array() => whole.contains(part),
        (whole, part) => whole == part,
    }
}

fn selector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LabelSelector, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uri>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let url = text.map(|it| it.parse::<Uri>()).transpose();
    url.map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FILE: &str = "
issuers:
  - issuer: https://west.example
    audiences: [heliograph]
    keys: {file: /etc/west.json}
    userPrefix: 'west:'
consumers:
  - name: shop
    users: ['west:system:serviceaccount:shop:reader']
    namespaces: [demo]
    selector: team=a
    ports: [http, 9090]
  - name: blue
    groups: [blue]
    claims: {kubernetes.io: {namespace: blue}}
  - name: rest
    claims: {aud: heliograph}
";

    #[test]
    fn the_first_consumer_that_fits_counts() {
        let policy = Policy::parse(FILE).unwrap();
        let user = |name: &str, group: &str, claims: Value| {
            let mut user = User::known(name, vec![group.to_owned()]);
            user.claims = claims;
            policy.consumer(&user).map(|it| it.name.clone())
        };
        let reader = "west:system:serviceaccount:shop:reader";
        let blue = json!({"kubernetes.io": {"namespace": "blue", "pod": "x"}});
        for (name, group, claims, expected) in [
            (reader, "", Value::Null, Some("shop")),
            ("system:serviceaccount:shop:reader", "", Value::Null, None),
            ("x", "blue", blue.clone(), Some("blue")),
            ("x", "blue", Value::Null, None),
            ("x", "red", blue, None),
            ("x", "", json!({"aud": ["heliograph", "y"]}), Some("rest")),
        ] {
            let found = user(name, group, claims.clone());
            assert_eq!(found.as_deref(), expected, "{name} {group} {claims}");
        }
        let rules = policy.consumers.as_ref().unwrap()[0].rules();
        assert_eq!(rules.labels, "team=a".parse().unwrap());
        let ports = [Port::Name("http".to_owned()), Port::Number(9090)];
        assert_eq!(rules.ports, Some(ports.into()));
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    fn bad_configuration_is_explained() {
        let issuer = "issuers: [{issuer: a, audiences: [x], keys: {file: f}, userPrefix: ''}";
        for (text, words) in [
            ("", "consumers: []"),
            ("# consumers: []\n", "consumers: []"),
            ("~", "consumers: []"),
            ("---\n", "consumers: []"),
            ("{}", "consumers: []"),
            ("consumers:\n", "consumers has no value"),
            (
                "consumers:\n# - {name: a, users: [x]}\n",
                "consumers has no value",
            ),
            ("consumers: ~", "consumers has no value"),
            ("issuers:\nconsumers: []", "issuers has no value"),
            (
                "consumers:\n- name: a\n  users: [x]\n  namespaces:\n",
                "consumers[0].namespaces has no value",
            ),
            (
                "consumers: [{name: a, users: [x], ports: ~}]",
                "consumers[0].ports has no value",
            ),
            (
                "consumers: [{name: a, users: [x], selector: }]",
                "consumers[0].selector has no value",
            ),
            (
                "consumers: [{name: a, users: [x], claims: {aud: ~}}]",
                "consumers[0].claims.aud has no value",
            ),
            ("consumers: [{name: a, claims: {}}]", "\"a\" is nobody"),
            ("consumers: [{name: a, users: []}]", "\"a\" is nobody"),
            ("consumers: []\n---\nissuers: []", ""),
            ("consumer: []", "consumer"),
            ("consumers: [{name: a}]", "\"a\" is nobody"),
            ("consumers: [{name: a, users: [x], ports: [70000]}]", ""),
            ("consumers: [{name: a, users: [x], selector: 'a in'}]", ""),
            (
                "consumers: [{name: a, users: [x]}, {name: a, users: [y]}]",
                "\"a\" is there twice",
            ),
            (
                "issuers: [{issuer: a, audiences: [], keys: {file: f}, userPrefix: ''}]",
                "audiences",
            ),
            (
                "issuers: [{issuer: a, audiences: [x], keys: {file: f, discoveryUrl: 'https://x'}, userPrefix: ''}]",
                "one of the three",
            ),
            (
                &format!(
                    "{issuer}, {{issuer: b, audiences: [x], keys: {{file: f}}, userPrefix: ''}}]"
                ),
                "begin alike",
            ),
            (
                &format!(
                    "{issuer}, {{issuer: b, audiences: [x], keys: {{file: f}}, userPrefix: 'west:'}}]"
                ),
                "begin alike",
            ),
        ] {
            let why = Policy::parse(text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
