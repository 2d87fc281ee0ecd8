//! Access providers of ClusterProfiles: a server in the profile, and a credential plugin in the
//! configuration ([KEP-5339](https://github.com/kubernetes/enhancements/issues/5339)).

use proto_types::escape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Refusal, invalid};
use crate::config::source::Provided;

/// Access provider, with the keys of a provider file of the cluster-inventory API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessProvider {
    /// Name, as in `status.accessProviders` of a ClusterProfile.
    pub name: String,
    /// Credential plugin that the reflector runs for the cluster.
    pub exec_config: ExecConfig,
}

/// Credential plugin, with the keys of `exec` in a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecConfig {
    /// Version of the API of credential plugins: `client.authentication.k8s.io/v1` or `v1beta1`.
    pub api_version: String,
    /// Program of the plugin.
    pub command: String,
    /// Arguments of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// `true` if the plugin gets the server and the extension of the profile.
    #[serde(default)]
    pub provide_cluster_info: bool,
}

/// Environment variable of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Extension of a cluster that a plugin gets.
const EXEC: &str = "client.authentication.k8s.io/exec";

/// Fields of a cluster that are read. All of them are data: no field names a file.
const FIELDS: [&str; 4] = [
    "server",
    "certificate-authority-data",
    "tls-server-name",
    "proxy-url",
];

/// Returns the access to a cluster by the first configured provider that its profile has; `None`
/// if it has none of them.
pub(super) fn provided(
    profile: &str,
    clusters: &Value,
    providers: &[AccessProvider],
) -> Option<Result<Provided, Refusal>> {
    let known = providers.iter();
    let mut known = known.filter_map(|it| Some((it, clusters.get(&it.name)?)));
    let (provider, cluster) = known.next()?;
    let name = &provider.name;
    let checked = check(cluster).map_err(|why| {
        invalid(format!(
            "status.accessProviders, {name}: {why}; have the cluster manager correct it, or \
             exclude the profile with clusterProfiles.selector"
        ))
    });
    Some(checked.map(|()| Provided {
        origin: format!("of ClusterProfile {profile} (access provider {name})"),
        kubeconfig: kubeconfig(cluster, &provider.exec_config).to_string(),
    }))
}

fn check(cluster: &Value) -> Result<(), String> {
    let server = cluster["server"].as_str().unwrap_or_default();
    if !server.starts_with("https://") {
        let server = escape::without_user_info(server);
        return Err(format!(
            "cluster.server is {server:?}, and credentials are sent to an https:// URL only"
        ));
    }
    if cluster["insecure-skip-tls-verify"] == true {
        return Err(
            "cluster.insecure-skip-tls-verify is true: a credential needs a verified server"
                .to_owned(),
        );
    }
    if cluster["certificate-authority"].is_string() {
        return Err(
            "cluster.certificate-authority names a file: use certificate-authority-data".to_owned(),
        );
    }
    Ok(())
}

fn kubeconfig(cluster: &Value, exec: &ExecConfig) -> Value {
    let fields = FIELDS.iter().filter_map(|it| {
        let value = cluster.get(*it)?;
        Some(((*it).to_owned(), value.clone()))
    });
    let mut fields: Map<_, _> = fields.collect();
    let extensions = cluster["extensions"].as_array().into_iter().flatten();
    let extensions: Vec<_> = extensions.filter(|it| it["name"] == EXEC).collect();
    fields.insert("extensions".to_owned(), json!(extensions));
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "cluster",
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "plugin"}}],
        "clusters": [{"name": "cluster", "cluster": fields}],
        "users": [{"name": "plugin", "user": {"exec": exec}}],
    })
}
