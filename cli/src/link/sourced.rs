//! The source cluster of a link: its emitter, the address, the CA and the access configuration.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::access::{EmitterAccess, granted, revoked};
use super::address;
use super::change::{Changed, with_data};
use super::place::{EmitterAddress, audience, helm_note, uid};
use super::reader::ReflectorCluster;
use super::{Pair, Via};
use crate::args::{self, Global};
use crate::cluster::{Cluster, data};
use crate::installation::{Installed, Mounted, Program};

/// Facts about the source cluster.
pub(crate) struct Sourced {
    cluster: Cluster,
    namespace: String,
    emitter: Installed,
    /// UID of its namespace `kube-system`.
    pub(crate) uid: String,
    mounted: Mounted,
    /// ConfigMap of the access configuration.
    pub(crate) access: Changed,
    /// CA certificates of the emitter's own CA, where it has one.
    authority: Option<String>,
    service: Option<Value>,
    nodes: Vec<Value>,
}

const REMEDY: &str = "install the emitter with an access configuration in a ConfigMap, as \
    manifests/emitter and the chart do: --access-config=/etc/heliograph/access.yaml";

impl Sourced {
    /// Reads what a link needs.
    pub(crate) async fn read(cluster: &Cluster, global: &Global) -> anyhow::Result<Self> {
        let namespace = &global.namespace;
        let name = &cluster.name;
        let emitter = Installed::existing(cluster, namespace, Program::Emitter).await?;
        let mounted = emitter.mounted("--access-config");
        let mounted =
            mounted.with_context(|| format!("the emitter of {name} has no access: {REMEDY}"))?;
        ensure!(
            !emitter.has_flag("--anonymous-auth"),
            "the emitter of {name} has --anonymous-auth: with consumers its clients without \
             credentials can read nothing; remove the flag first"
        );
        let map = format!(
            "/api/v1/namespaces/{namespace}/configmaps/{}",
            mounted.config_map
        );
        let access = cluster.existing(&map, REMEDY).await?;
        let path = format!("/api/v1/namespaces/{namespace}/services");
        let services = cluster.list(&path).await?;
        let is_ours = |it: &Value| {
            it["spec"]["selector"]["app.kubernetes.io/name"] == Program::Emitter.label()
        };
        let service = services.into_iter().find(is_ours);
        let is_node_port = service
            .as_ref()
            .is_some_and(|it| it["spec"]["type"] == "NodePort");
        let nodes = match is_node_port {
            true => cluster.list("/api/v1/nodes").await?,
            false => Vec::new(),
        };
        Ok(Self {
            uid: uid(cluster).await?,
            authority: authority(cluster, &emitter).await?,
            namespace: namespace.clone(),
            cluster: cluster.clone(),
            emitter,
            mounted,
            access: Changed::new(cluster, map, access),
            service,
            nodes,
        })
    }

    /// Address, name and CA of the emitter.
    pub(crate) fn place(&self, pair: &Pair, asked: &args::Link) -> anyhow::Result<EmitterAddress> {
        let named = asked
            .url
            .iter()
            .find_map(|it| match it.split_once("=http") {
                Some((context, rest)) => {
                    (context == pair.source_context).then(|| format!("http{rest}"))
                }
                None => Some(it.clone()),
            });
        let url = match named {
            Some(url) => url,
            None => self.own_url(asked.via)?,
        };
        address::check(&url)?;
        let from_file = asked.ca_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path);
            text.with_context(|| format!("cannot read {} (--ca-file)", path.display()))
        });
        let from_file = from_file.transpose()?;
        let is_own = from_file.is_none() && self.authority.is_some();
        let own_name = format!("heliograph-emitter.{}.svc", self.namespace);
        let server_name = asked.server_name.clone();
        Ok(EmitterAddress {
            cluster: self.uid.clone(),
            url,
            server_name: server_name.or_else(|| is_own.then_some(own_name)),
            authority: from_file.or_else(|| self.authority.clone()),
        })
    }

    fn own_url(&self, via: Option<Via>) -> anyhow::Result<String> {
        let name = &self.cluster.name;
        let service = self.service.as_ref();
        let service = service.with_context(|| {
            format!("cluster {name} has no Service for the emitter: name its URL with --url")
        })?;
        let url = address::url(service, &self.nodes, via);
        url.with_context(|| format!("cluster {name}"))
    }

    /// Grants a reflector its view.
    pub(crate) fn grant(
        &mut self,
        reader: &ReflectorCluster,
        pair: &Pair,
        asked: &args::Link,
    ) -> anyhow::Result<()> {
        let keys = keys_of(&pair.reader);
        let grant = EmitterAccess {
            consumer: pair.reader.clone(),
            issuer: reader.issuer.clone(),
            keys_file: format!("{}/{keys}", self.mounted.directory),
            audience: audience(&pair.source),
            account: reader.account(),
            namespaces: (!asked.namespaces.is_empty()).then(|| asked.namespaces.clone()),
            selector: asked.selector.clone(),
        };
        let key = self.mounted.key.as_str();
        let new = granted(data(&self.access.after, key), &grant);
        let new = new.with_context(|| format!("cluster {}", self.cluster.name))?;
        let values = [(key, Some(new)), (keys.as_str(), Some(reader.keys.clone()))];
        let what = format!("cluster {} can read", pair.reader);
        self.access
            .set(with_data(&self.access.after, &values), what);
        Ok(())
    }

    /// Takes a reflector's view back.
    pub(crate) fn revoke(&mut self, reader: &str) -> anyhow::Result<()> {
        let key = self.mounted.key.as_str();
        let new = revoked(data(&self.access.after, key), reader);
        let new = new.with_context(|| format!("cluster {}", self.cluster.name))?;
        let keys = keys_of(reader);
        // Keys that another consumer's issuer still names stay.
        let gone = (!new.contains(&keys)).then_some((keys.as_str(), None));
        let values: Vec<_> = [(key, Some(new))].into_iter().chain(gone).collect();
        let what = format!("cluster {reader} can no longer read");
        self.access
            .set(with_data(&self.access.after, &values), what);
        Ok(())
    }

    /// Returns notes for the operator.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = helm_note(&self.cluster.name, &self.access.after);
        if self.emitter.flag("--secure-port") == Some("0") {
            let name = &self.cluster.name;
            notes.push(format!(
                "the emitter of {name} serves no HTTPS (--secure-port=0): its URL must lead to a \
                 proxy that does"
            ));
        }
        notes
    }
}

fn keys_of(reader: &str) -> String {
    format!("{reader}.jwks")
}

/// CA certificates of the emitter's own CA: the ConfigMap has the name of its Secret.
async fn authority(cluster: &Cluster, emitter: &Installed) -> anyhow::Result<Option<String>> {
    let secrets = emitter.flag("--ca-secret").unwrap_or_default();
    let Some((namespace, name)) = secrets.split(',').next().and_then(|it| it.split_once('/'))
    else {
        return Ok(None);
    };
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
    let map = cluster.get(&path).await?.unwrap_or_default();
    let pem = data(&map, "ca.crt");
    ensure!(
        pem.contains("CERTIFICATE"),
        "ConfigMap {namespace}/{name} of cluster {} has no ca.crt yet: the emitter writes it when \
         it runs; see kubectl logs deployment/{}",
        cluster.name,
        emitter.name()
    );
    Ok(Some(pem.to_owned()))
}
