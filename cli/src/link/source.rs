//! The configuration of the local reflector, with and without a source.

use anyhow::{Context, ensure};
use reflector::config::File;
use serde_json::{Map, Value, json};

use crate::output::yaml;

/// A source that is read with a token of the reflector's own ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its name.
    pub(crate) name: String,
    /// URL of its emitter.
    pub(crate) url: String,
    /// Name in the emitter's certificate, where that is another one than in the URL.
    pub(crate) server_name: Option<String>,
    /// File with its CA certificates, in the container of the reflector.
    pub(crate) ca_file: Option<String>,
    /// File with the token.
    pub(crate) token_file: String,
    /// UID of its namespace `kube-system`.
    pub(crate) cluster: String,
    /// Placement of its mirrors, where it is a new source.
    pub(crate) placement: Placement,
}

/// Names of mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placement {
    /// In the mirror namespace, with a prefix.
    Prefix(String),
    /// With the namespaces and names of their source Services; of these namespaces alone.
    SameName(Vec<String>),
}

/// The configuration with a source. What else a known source has stays as it is.
pub(crate) fn added(text: &str, source: &Source) -> anyhow::Result<String> {
    let mut config = read(text)?;
    let sources = sources(&mut config)?;
    let known = sources.iter_mut().find(|it| it["name"] == *source.name);
    let is_known = known.is_some();
    let mut entry = match known {
        Some(it) => std::mem::take(it),
        None => json!({"name": source.name}),
    };
    let fields = entry.as_object_mut().context("a source is no map")?;
    ensure!(
        !fields.contains_key("kubeconfig"),
        "source {} is read by a kubeconfig: remove it from the configuration, or choose another \
         name with --source-name",
        source.name
    );
    for other in ["ca", "caUrl", "tokenVariable"] {
        fields.remove(other);
    }
    set(fields, "url", Some(&source.url));
    set(fields, "serverName", source.server_name.as_ref());
    set(fields, "caFile", source.ca_file.as_ref());
    set(fields, "tokenFile", Some(&source.token_file));
    set(fields, "cluster", Some(&source.cluster));
    if !is_known {
        place(fields, &source.placement);
    }
    match sources.iter_mut().find(|it| it.is_null()) {
        Some(it) => *it = entry,
        None => sources.push(entry),
    }
    written(text, &config)
}

/// The configuration without a source; `None` if it has none of that name.
pub(crate) fn removed(text: &str, name: &str) -> anyhow::Result<Option<String>> {
    let mut config = read(text)?;
    let sources = sources(&mut config)?;
    let n_before = sources.len();
    sources.retain(|it| it["name"] != *name);
    if sources.len() == n_before {
        return Ok(None);
    }
    written(text, &config).map(Some)
}

/// Returns whether the mirrors of a removed source are kept.
pub(crate) fn keeps_mirrors(text: &str) -> anyhow::Result<bool> {
    Ok(read(text)?["removedSources"] != "delete")
}

fn place(fields: &mut Map<String, Value>, placement: &Placement) {
    match placement {
        Placement::Prefix(prefix) => set(fields, "prefix", Some(prefix)),
        Placement::SameName(namespaces) => {
            fields.insert("sameName".to_owned(), true.into());
            let import = json!({"namespaces": {"allow": namespaces}});
            fields.insert("import".to_owned(), import);
        }
    }
}

fn set(fields: &mut Map<String, Value>, key: &str, value: Option<&String>) {
    match value {
        Some(value) => fields.insert(key.to_owned(), value.as_str().into()),
        None => fields.remove(key),
    };
}

fn read(text: &str) -> anyhow::Result<Value> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    let config: Value =
        serde_saphyr::from_str(text).context("the reflector's configuration is not valid YAML")?;
    ensure!(
        config.is_object(),
        "the reflector's configuration is no map"
    );
    Ok(config)
}

fn sources(config: &mut Value) -> anyhow::Result<&mut Vec<Value>> {
    let map = config
        .as_object_mut()
        .context("the configuration is no map")?;
    let value = map.entry("sources").or_insert_with(|| json!([]));
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut().context("sources is no list")
}

/// The text as it was, if it means the same; otherwise new text that the reflector accepts.
fn written(text: &str, config: &Value) -> anyhow::Result<String> {
    if read(text)? == *config {
        return Ok(text.to_owned());
    }
    let new = yaml(config)?;
    let invalid = |why: String| anyhow::anyhow!("the configuration would be invalid: {why}");
    let file: File = serde_saphyr::from_str(&new).map_err(|error| invalid(error.to_string()))?;
    for source in file.sources {
        source.check().map_err(|error| invalid(error.to_string()))?;
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use reflector::config::File;

    use super::{Placement, Source, added, keeps_mirrors, removed};

    fn source() -> Source {
        Source {
            name: "east".to_owned(),
            url: "https://10.1.255.10".to_owned(),
            server_name: Some("heliograph-emitter.heliograph.svc".to_owned()),
            ca_file: Some("/etc/heliograph/east-ca.crt".to_owned()),
            token_file: "/var/run/secrets/heliograph/east".to_owned(),
            cluster: "uid-of-east".to_owned(),
            placement: Placement::Prefix("east".to_owned()),
        }
    }

    fn file(text: &str) -> File {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn a_source_is_added_once_and_removed() {
        let empty = "mirrorNamespace: mirrors\nsources: []\n# sources:\n";
        let one = added(empty, &source()).unwrap();
        let east = &file(&one).sources[0];
        assert_eq!(east.cluster.as_deref(), Some("uid-of-east"));
        assert!(east.prefix.is_some() && east.token_file.is_some());
        assert_eq!(added(&one, &source()).unwrap(), one);
        let none = removed(&one, "east").unwrap().unwrap();
        assert!(file(&none).sources.is_empty() && file(&none).mirror_namespace.is_some());
        assert_eq!(removed(&none, "east").unwrap(), None);
    }

    #[test]
    fn keys_that_a_user_added_to_a_source_stay() {
        let text = "removedSources: delete\nsources:\n- {name: west, url: https://w, prefix: w}\n\
            - {name: east, url: http://old, prefix: e, selector: tier=public, ca: x}\n";
        let new = added(text, &source()).unwrap();
        let file = file(&new);
        let east = &file.sources[1];
        assert_eq!(east.url.as_deref(), Some("https://10.1.255.10"));
        assert_eq!(east.selector.as_deref(), Some("tier=public"));
        assert_eq!(
            east.prefix.as_ref().map(ToString::to_string).as_deref(),
            Some("e")
        );
        assert!(east.ca.is_none());
        assert!(!keeps_mirrors(text).unwrap() && keeps_mirrors("sources: []").unwrap());
    }

    #[test]
    fn same_names_are_limited_to_namespaces() {
        let mut it = source();
        it.placement = Placement::SameName(vec!["shop".to_owned()]);
        let new = added("", &it).unwrap();
        assert!(file(&new).sources[0].same_name, "{new}");
        it.placement = Placement::SameName(Vec::new());
        assert!(added("", &it).is_err());
    }

    #[test]
    fn a_source_that_is_read_otherwise_is_not_taken_over() {
        let text = "sources:\n- {name: east, kubeconfig: /k, prefix: e}\n";
        let said = added(text, &source()).unwrap_err().to_string();
        assert!(said.contains("--source-name"), "{said}");
    }
}
