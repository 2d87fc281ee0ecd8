//! The access configuration of the source's emitter, with and without a consumer.

use anyhow::{Context, bail, ensure};
use emitter::access::policy::Policy;
use serde_json::{Map, Value, json};

use crate::output::yaml;

/// View of a reflector of another cluster, and the keys that verify its tokens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EmitterAccess {
    /// Name of the consumer: of the cluster that reads.
    pub(crate) consumer: String,
    /// Issuer of its tokens.
    pub(crate) issuer: String,
    /// File with its public keys, in the container of the emitter.
    pub(crate) keys_file: String,
    /// Audience of its tokens.
    pub(crate) audience: String,
    /// ServiceAccount of its reflector, as `system:serviceaccount:NAMESPACE:NAME`.
    pub(crate) account: String,
    /// Namespaces that it can read; all of them, if absent.
    pub(crate) namespaces: Option<Vec<String>>,
    /// Labels of Services that it can read; all of them, if absent.
    pub(crate) selector: Option<String>,
}

impl EmitterAccess {
    /// Prefix of the users of this issuer, which no other issuer has.
    fn prefix(&self) -> String {
        format!("{}:", self.consumer)
    }
}

/// The access configuration with a grant. The same grant twice changes nothing.
pub(crate) fn granted(text: &str, grant: &EmitterAccess) -> anyhow::Result<String> {
    let mut config = read(text)?;
    let was_open = config["consumers"].is_null() && has_any(&config["issuers"]);
    ensure!(
        !was_open,
        "the access configuration has issuers and no consumers, so all their clients can read \
         everything: write consumers for them first, because the first consumer takes that from \
         all others"
    );
    let prefix = with_issuer(array(&mut config, "issuers")?, grant)?;
    let mut consumer = json!({
        "name": grant.consumer,
        "users": [format!("{prefix}{}", grant.account)],
    });
    if let Some(namespaces) = &grant.namespaces {
        consumer["namespaces"] = json!(namespaces);
    }
    if let Some(selector) = &grant.selector {
        consumer["selector"] = json!(selector);
    }
    let consumers = array(&mut config, "consumers")?;
    match consumers
        .iter_mut()
        .find(|it| it["name"] == *grant.consumer)
    {
        Some(it) => *it = consumer,
        // The first that fits counts: a wider entry must not hide this one.
        None => consumers.insert(0, consumer),
    }
    written(text, &config)
}

/// Adds the issuer, or the audience where it is there; returns the prefix of its users.
fn with_issuer(issuers: &mut Vec<Value>, grant: &EmitterAccess) -> anyhow::Result<String> {
    let Some(known) = issuers.iter_mut().find(|it| it["issuer"] == *grant.issuer) else {
        let prefix = grant.prefix();
        issuers.push(json!({
            "issuer": grant.issuer,
            "audiences": [grant.audience],
            "keys": {"file": grant.keys_file},
            "userPrefix": prefix,
        }));
        return Ok(prefix);
    };
    let prefix = known["userPrefix"].as_str().unwrap_or_default().to_owned();
    let keys = known["keys"]["file"].as_str();
    if keys.is_some_and(|it| it != grant.keys_file) {
        bail!(
            "issuer {} is another cluster's already, with the keys of {}: two clusters have the \
             same issuer; start one with another --service-account-issuer",
            grant.issuer,
            keys.unwrap_or_default()
        );
    }
    let audiences = known["audiences"]
        .as_array_mut()
        .context("an issuer has no audiences")?;
    if !audiences.contains(&json!(grant.audience)) {
        audiences.push(json!(grant.audience));
    }
    Ok(prefix)
}

/// The access configuration without a consumer, and without the issuer that served it alone.
pub(crate) fn revoked(text: &str, consumer: &str) -> anyhow::Result<String> {
    let mut config = read(text)?;
    let consumers = array(&mut config, "consumers")?;
    consumers.retain(|it| it["name"] != *consumer);
    let consumers = consumers.clone();
    let prefix = format!("{consumer}:");
    let begins = |it: &Value| it.as_str().is_some_and(|it| it.starts_with(&prefix));
    let is_used = |it: &Value| {
        let names = ["users", "groups"].map(|key| it[key].as_array());
        names.into_iter().flatten().flatten().any(begins)
    };
    if !consumers.iter().any(is_used) {
        array(&mut config, "issuers")?.retain(|it| it["userPrefix"] != *prefix);
    }
    written(text, &config)
}

fn read(text: &str) -> anyhow::Result<Value> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    let config: Value =
        serde_saphyr::from_str(text).context("the access configuration is not valid YAML")?;
    ensure!(
        config.is_object() || config.is_null(),
        "the access configuration is no map"
    );
    let config = if config.is_null() { json!({}) } else { config };
    Ok(config)
}

fn has_any(value: &Value) -> bool {
    value.as_array().is_some_and(|it| !it.is_empty())
}

fn array<'a>(config: &'a mut Value, key: &str) -> anyhow::Result<&'a mut Vec<Value>> {
    let map: &mut Map<String, Value> = config.as_object_mut().context("it is no map")?;
    let value = map.entry(key).or_insert_with(|| json!([]));
    if value.is_null() {
        *value = json!([]);
    }
    let array = value.as_array_mut();
    array.with_context(|| format!("{key} of the access configuration is no list"))
}

/// The text as it was, if it means the same; otherwise new text that the emitter accepts.
fn written(text: &str, config: &Value) -> anyhow::Result<String> {
    if read(text)? == *config {
        return Ok(text.to_owned());
    }
    let new = yaml(config)?;
    serde_saphyr::from_str::<Policy>(&new)
        .map_err(|error| anyhow::anyhow!("the access configuration would be invalid: {error}"))?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use emitter::access::policy::Policy;

    use super::{EmitterAccess, granted, revoked};

    fn grant(consumer: &str, issuer: &str) -> EmitterAccess {
        EmitterAccess {
            consumer: consumer.to_owned(),
            issuer: issuer.to_owned(),
            keys_file: format!("/etc/heliograph/{consumer}.jwks"),
            audience: "heliograph-east".to_owned(),
            account: "system:serviceaccount:heliograph:reflector".to_owned(),
            namespaces: None,
            selector: None,
        }
    }

    fn policy(text: &str) -> Policy {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn a_grant_is_added_once_and_taken_back() {
        let empty = "issuers: []\nconsumers: []\n# nobody\n";
        let one = granted(empty, &grant("west", "https://west")).unwrap();
        let read = policy(&one);
        assert_eq!(read.issuers[0].user_prefix, "west:");
        let users = ["west:system:serviceaccount:heliograph:reflector"];
        assert_eq!(read.consumers.as_ref().unwrap()[0].users, users);
        assert_eq!(granted(&one, &grant("west", "https://west")).unwrap(), one);
        let two = granted(&one, &grant("north", "https://north")).unwrap();
        assert_eq!(policy(&two).issuers.len(), 2);
        let back = revoked(&two, "north").unwrap();
        assert_eq!(policy(&back), policy(&one));
        assert_eq!(revoked(&back, "north").unwrap(), back);
        let none = policy(&revoked(&back, "west").unwrap());
        // Not absent: without consumers all that are known could read everything.
        assert_eq!(
            (none.issuers.len(), none.consumers.map(|it| it.len())),
            (0, Some(0))
        );
    }

    #[test]
    fn a_grant_can_be_narrowed_later() {
        let mut it = grant("west", "https://west");
        let wide = granted("", &it).unwrap();
        it.namespaces = Some(vec!["shop".to_owned()]);
        it.selector = Some("tier=public".to_owned());
        let narrow = granted(&wide, &it).unwrap();
        assert!(
            narrow.contains("shop") && narrow.contains("tier=public"),
            "{narrow}"
        );
        let consumers = policy(&narrow).consumers.unwrap();
        assert_eq!(consumers.len(), 1);
        it.selector = Some("tier in".to_owned());
        let said = granted(&wide, &it).unwrap_err().to_string();
        assert!(said.contains("would be invalid"), "{said}");
    }

    #[test]
    fn other_consumers_and_issuers_stay_as_they_are() {
        let others = "issuers:\n- {issuer: https://idp, audiences: [x], userPrefix: 'idp:'}\n\
            consumers:\n- {name: all, groups: ['idp:all']}\n";
        let added = granted(others, &grant("west", "https://west")).unwrap();
        let names: Vec<_> = policy(&added)
            .consumers
            .unwrap()
            .into_iter()
            .map(|it| it.name)
            .collect();
        assert_eq!(names, ["west", "all"]);
        assert_eq!(policy(&revoked(&added, "west").unwrap()), policy(others));
    }

    #[test]
    fn two_clusters_with_one_issuer_are_refused() {
        let one = granted("", &grant("west", "https://kubernetes.default.svc")).unwrap();
        let said = granted(&one, &grant("north", "https://kubernetes.default.svc"));
        let said = said.unwrap_err().to_string();
        assert!(said.contains("--service-account-issuer"), "{said}");
    }

    #[test]
    fn a_consumer_that_reads_everything_is_not_cut_off_silently() {
        let open = "issuers:\n- {issuer: https://idp, audiences: [x], userPrefix: 'idp:'}\n";
        let said = granted(open, &grant("west", "https://west"))
            .unwrap_err()
            .to_string();
        assert!(said.contains("write consumers for them first"), "{said}");
    }
}
