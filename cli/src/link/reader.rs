//! The cluster of a link that reads: its reflector, its issuer and the public keys of that.

use anyhow::Context;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::Pair;
use super::change::{Changed, with_data};
use super::deployment::{TOKENS, add_token, remove_token};
use super::place::{EmitterAddress, audience, helm_note, uid};
use super::source::{Placement, Source, added, keeps_mirrors, removed};
use crate::args::{self, Global};
use crate::cluster::{Cluster, data};
use crate::installation::{Installed, Mounted, Program};

/// Facts about the cluster that reads.
pub(crate) struct ReflectorCluster {
    cluster: Cluster,
    namespace: String,
    reflector: Installed,
    mounted: Mounted,
    /// ConfigMap of the configuration.
    pub(crate) config: Changed,
    /// Deployment of the reflector.
    pub(crate) deployment: Changed,
    /// UID of its namespace `kube-system`.
    pub(crate) uid: String,
    /// Issuer of the tokens of its ServiceAccounts.
    pub(crate) issuer: String,
    /// Public keys of that issuer, as a JSON Web Key Set.
    pub(crate) keys: String,
}

const REMEDY: &str = "install the reflector with its configuration in a ConfigMap, as \
    manifests/reflector and the chart do: --config=/etc/heliograph/config.yaml";

impl ReflectorCluster {
    /// Reads what a link needs.
    pub(crate) async fn read(cluster: Cluster, global: &Global) -> anyhow::Result<Self> {
        let namespace = global.namespace.clone();
        let reflector = Installed::existing(&cluster, &namespace, Program::Reflector).await?;
        let mounted = reflector.mounted("--config");
        let name = &cluster.name;
        let mounted = mounted
            .with_context(|| format!("the reflector of {name} has no configuration: {REMEDY}"))?;
        let map = format!(
            "/api/v1/namespaces/{namespace}/configmaps/{}",
            mounted.config_map
        );
        let config = cluster.existing(&map, REMEDY).await?;
        let path = format!(
            "/apis/apps/v1/namespaces/{namespace}/deployments/{}",
            reflector.name()
        );
        let deployment = serde_json::to_value(&reflector.deployment)?;
        let discovery = "/.well-known/openid-configuration";
        let remedy = "its API server has no issuer of tokens";
        let document = cluster.existing(discovery, remedy).await?;
        let issuer = document["issuer"].as_str().map(str::to_owned);
        let keys = cluster.existing("/openid/v1/jwks", remedy).await?;
        Ok(Self {
            uid: uid(&cluster).await?,
            issuer: issuer.context("its discovery document has no issuer")?,
            keys: public(&keys)?,
            namespace,
            reflector,
            mounted,
            config: Changed::new(&cluster, map, config),
            deployment: Changed::new(&cluster, path, deployment),
            cluster,
        })
    }

    /// User of its reflector, as its tokens name it.
    pub(crate) fn account(&self) -> String {
        let (namespace, account) = (&self.namespace, self.reflector.account());
        format!("system:serviceaccount:{namespace}:{account}")
    }

    /// Adds a source, its CA and the token for it.
    pub(crate) fn add(
        &mut self,
        place: &EmitterAddress,
        pair: &Pair,
        asked: &args::Link,
    ) -> anyhow::Result<()> {
        let name = &pair.source;
        let ca = ca_of(name);
        let prefix = asked.prefix.clone().unwrap_or_else(|| name.clone());
        let source = Source {
            name: name.clone(),
            url: place.url.clone(),
            server_name: place.server_name.clone(),
            ca_file: place
                .authority
                .as_ref()
                .map(|_| format!("{}/{ca}", self.mounted.directory)),
            token_file: format!("{TOKENS}/{name}"),
            cluster: place.cluster.clone(),
            placement: match asked.same_name {
                true => Placement::SameName(asked.namespaces.clone()),
                false => Placement::Prefix(prefix),
            },
        };
        let key = self.mounted.key.as_str();
        let new = added(data(&self.config.after, key), &source);
        let new = new.with_context(|| format!("cluster {}", self.cluster.name))?;
        let mut values = vec![(key, Some(new))];
        if let Some(authority) = &place.authority {
            values.push((&ca, Some(authority.clone())));
        }
        let what = format!("source {name} at {}", place.url);
        self.config
            .set(with_data(&self.config.after, &values), what);
        let what = format!("a token for {name} alone");
        self.change_deployment(what, |it| add_token(it, name, &audience(name)))
    }

    /// Removes a source; returns what becomes of its mirrors.
    pub(crate) fn remove(&mut self, name: &str) -> anyhow::Result<String> {
        let key = self.mounted.key.as_str();
        let text = data(&self.config.after, key);
        let new = removed(text, name)?;
        let is_there = new.is_some();
        let keeps_mirrors = keeps_mirrors(text)?;
        let ca = ca_of(name);
        let values = [
            (key, Some(new.unwrap_or_else(|| text.to_owned()))),
            (&ca, None),
        ];
        let after = with_data(&self.config.after, &values);
        self.config.set(after, format!("no source {name}"));
        let what = format!("no token for {name}");
        self.change_deployment(what, |it| remove_token(it, name))?;
        let cluster = &self.cluster.name;
        Ok(match (is_there, keeps_mirrors) {
            (false, _) => format!("cluster {cluster} had no source {name}"),
            (true, true) => format!(
                "the mirrors of source {name} stay in cluster {cluster} as they are \
                 (removedSources: keep); to delete them, set removedSources: delete, or run \
                 kubectl delete services,endpointslices -A -l heliograph.dev/source={name}"
            ),
            (true, false) => format!(
                "the reflector of cluster {cluster} deletes the mirrors of source {name} \
                 (removedSources: delete)"
            ),
        })
    }

    fn change_deployment(
        &mut self,
        what: String,
        change: impl FnOnce(&mut Deployment),
    ) -> anyhow::Result<()> {
        change(&mut self.reflector.deployment);
        let after = serde_json::to_value(&self.reflector.deployment)?;
        self.deployment.set(after, what);
        Ok(())
    }

    /// Returns notes for the operator.
    pub(crate) fn notes(&self) -> Vec<String> {
        helm_note(&self.cluster.name, &self.config.after)
    }
}

fn ca_of(source: &str) -> String {
    format!("{source}-ca.crt")
}

/// A key set with the public parts of its keys only.
fn public(set: &Value) -> anyhow::Result<String> {
    const PUBLIC: [&str; 8] = ["kty", "kid", "use", "alg", "n", "e", "crv", "x"];
    let keys = set["keys"].as_array().context("its key set has no keys")?;
    let keys = keys.iter().map(|key| {
        let fields = key.as_object().into_iter().flatten();
        let is_public = |name: &str| PUBLIC.contains(&name) || name == "y";
        let fields = fields.filter(|(name, _)| is_public(name));
        fields
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
    });
    let keys: Vec<_> = keys.collect();
    Ok(json!({ "keys": keys }).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::public;

    #[test]
    fn private_parts_of_keys_are_left_out() {
        let set = json!({"keys": [{"kty": "RSA", "kid": "1", "n": "x", "e": "AQAB", "d": "private",
            "p": "private", "x5c": ["y"]}]});
        let text = public(&set).unwrap();
        assert!(!text.contains("private"), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            read["keys"][0],
            json!({"kty": "RSA", "kid": "1", "n": "x", "e": "AQAB"})
        );
        assert!(public(&json!({})).is_err());
    }
}
