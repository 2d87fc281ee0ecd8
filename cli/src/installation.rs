//! The Deployments of Heliograph in a cluster, and the files that they read.

use anyhow::{Context, bail};
use k8s_openapi::api::apps::v1::Deployment;

use crate::cluster::Cluster;

/// One of both programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Serves the objects of a source cluster.
    Emitter,
    /// Writes the mirrors of the local cluster.
    Reflector,
}

/// A Deployment of a program.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Installed {
    /// As the API server has it.
    pub(crate) deployment: Deployment,
}

/// A ConfigMap that a Deployment has as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Name of the ConfigMap.
    pub(crate) config_map: String,
    /// Key of the file that a flag names.
    pub(crate) key: String,
    /// Directory of its files in the container.
    pub(crate) directory: String,
}

impl Program {
    /// Value of the label `app.kubernetes.io/name` of its pods.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Emitter => "heliograph-emitter",
            Self::Reflector => "heliograph-reflector",
        }
    }

    /// Name of its container.
    pub(crate) const fn container(self) -> &'static str {
        match self {
            Self::Emitter => "emitter",
            Self::Reflector => "reflector",
        }
    }
}

impl Installed {
    /// Finds the Deployment whose pods have the label of a program.
    pub(crate) async fn find(
        cluster: &Cluster,
        namespace: &str,
        program: Program,
    ) -> anyhow::Result<Option<Self>> {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
        let mut found = Vec::new();
        for deployment in cluster.list(&path).await? {
            let labels = &deployment["spec"]["template"]["metadata"]["labels"];
            if labels["app.kubernetes.io/name"] == program.label() {
                found.push(serde_json::from_value(deployment)?);
            }
        }
        if 1 < found.len() {
            bail!(
                "cluster {} has {} Deployments of {} in namespace {namespace}: keep one",
                cluster.name,
                found.len(),
                program.label()
            );
        }
        Ok(found.pop().map(|deployment| Self { deployment }))
    }

    /// The same, where it must exist.
    pub(crate) async fn existing(
        cluster: &Cluster,
        namespace: &str,
        program: Program,
    ) -> anyhow::Result<Self> {
        let found = Self::find(cluster, namespace, program).await?;
        found.with_context(|| {
            format!(
                "cluster {} has no Deployment of {} in namespace {namespace}: install it as in \
                 docs/install.md, or name its namespace with --namespace",
                cluster.name,
                program.label()
            )
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.deployment.metadata.name.as_deref().unwrap_or_default()
    }

    /// Arguments of its program.
    pub(crate) fn arguments(&self) -> &[String] {
        let container = self.container();
        container
            .and_then(|it| it.args.as_deref())
            .unwrap_or_default()
    }

    /// Value of a flag, written as `--flag=value` or in two words.
    pub(crate) fn flag(&self, name: &str) -> Option<&str> {
        let arguments = self.arguments();
        let at = arguments.iter().position(|it| {
            let rest = it.strip_prefix(name);
            rest.is_some_and(|it| it.is_empty() || it.starts_with('='))
        })?;
        match arguments[at].split_once('=') {
            Some((_, value)) => Some(value),
            None => Some(arguments.get(at + 1).map_or("", String::as_str)),
        }
    }

    /// Returns whether a flag without a value is given.
    pub(crate) fn has_flag(&self, name: &str) -> bool {
        let yes = format!("{name}=true");
        self.arguments().iter().any(|it| *it == name || *it == yes)
    }

    /// Name of its ServiceAccount.
    pub(crate) fn account(&self) -> &str {
        let pod = self.pod_spec();
        let name = pod.and_then(|it| it.service_account_name.as_deref());
        name.unwrap_or("default")
    }

    /// Image of its container.
    pub(crate) fn image(&self) -> &str {
        let image = self.container().and_then(|it| it.image.as_deref());
        image.unwrap_or_default()
    }

    /// Number of its replicas that are ready.
    pub(crate) fn n_ready(&self) -> i32 {
        let status = self.deployment.status.as_ref();
        status.and_then(|it| it.ready_replicas).unwrap_or_default()
    }

    /// Number of its replicas as wanted.
    pub(crate) fn n_wanted(&self) -> i32 {
        let spec = self.deployment.spec.as_ref();
        spec.and_then(|it| it.replicas).unwrap_or(1)
    }

    /// The ConfigMap with the file that a flag names.
    pub(crate) fn mounted(&self, flag: &str) -> Option<Mounted> {
        let path = self.flag(flag)?;
        let (directory, key) = path.rsplit_once('/')?;
        let mounts = self.container()?.volume_mounts.as_deref()?;
        let mount = mounts
            .iter()
            .find(|it| it.mount_path.trim_end_matches('/') == directory)?;
        let mut volumes = self.pod_spec()?.volumes.iter().flatten();
        let volume = volumes.find(|it| it.name == mount.name)?;
        Some(Mounted {
            config_map: volume.config_map.as_ref()?.name.clone(),
            key: key.to_owned(),
            directory: directory.to_owned(),
        })
    }

    /// Number of the admin port.
    pub(crate) fn admin_port(&self) -> u16 {
        let address = self.flag("--admin-bind-address");
        let port = address.and_then(|it| it.rsplit_once(':')?.1.parse().ok());
        port.unwrap_or(9090)
    }

    fn container(&self) -> Option<&k8s_openapi::api::core::v1::Container> {
        self.pod_spec()?.containers.first()
    }

    fn pod_spec(&self) -> Option<&k8s_openapi::api::core::v1::PodSpec> {
        self.deployment.spec.as_ref()?.template.spec.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Installed, Mounted};

    #[test]
    fn flags_and_the_config_map_behind_a_file_are_found() {
        let deployment = json!({"spec": {"selector": {}, "template": {"spec": {
            "containers": [{
                "name": "reflector",
                "args": ["--config=/etc/heliograph/config.yaml", "--leader-elect",
                    "--admin-bind-address", "0.0.0.0:9191"],
                "volumeMounts": [{"name": "files", "mountPath": "/etc/heliograph"}],
            }],
            "volumes": [{"name": "files", "configMap": {"name": "source-api"}}],
        }}}});
        let deployment = serde_json::from_value(deployment).unwrap();
        let it = Installed { deployment };
        let mounted = Mounted {
            config_map: "source-api".to_owned(),
            key: "config.yaml".to_owned(),
            directory: "/etc/heliograph".to_owned(),
        };
        assert_eq!(it.mounted("--config"), Some(mounted));
        assert_eq!(it.mounted("--conf"), None);
        assert_eq!(it.admin_port(), 9191);
        assert!(it.has_flag("--leader-elect") && !it.has_flag("--leader"));
        assert_eq!(it.account(), "default");
    }
}
