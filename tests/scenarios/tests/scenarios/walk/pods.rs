//! What a kubelet makes of a Deployment: mounted ConfigMaps and tokens, and a process.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use control_plane::Keeper;
use serde_json::Value;

use crate::lab::{Cluster, Lab, Program, eventually, program};
use crate::rbac::kubeconfig_of;

/// A pod of one of our Deployments that runs.
pub(super) struct Pod<'a> {
    mounts: Mounts<'a>,
    _keeper: Keeper,
    pub(super) program: Program,
}

struct Mounts<'a> {
    cluster: &'a Cluster,
    account: String,
    volumes: Vec<Volume>,
    /// Texts that are others here: addresses and paths.
    replaced: Vec<(String, String)>,
}

struct Volume {
    directory: PathBuf,
    spec: Value,
}

impl<'a> Pod<'a> {
    /// Starts it with further flags.
    pub(super) async fn start(
        lab: &Lab,
        cluster: &'a Cluster,
        name: &str,
        (mut replaced, more): (Vec<(String, String)>, Vec<String>),
    ) -> anyhow::Result<Pod<'a>> {
        let path = format!("/apis/apps/v1/namespaces/heliograph/deployments/{name}");
        let spec = cluster.read(&path).await?["spec"]["template"]["spec"].take();
        let account = spec["serviceAccountName"].as_str().context("an account")?;
        let container = &spec["containers"][0];
        let mut volumes = Vec::new();
        for mount in list(&container["volumeMounts"]) {
            let volume = list(&spec["volumes"]).find(|it| it["name"] == mount["name"]);
            let directory = lab.directory().join(format!("{name}-{}", volumes.len()));
            std::fs::create_dir_all(&directory)?;
            let path = mount["mountPath"].as_str().context("a path")?;
            replaced.push((path.to_owned(), directory.display().to_string()));
            volumes.push(Volume {
                directory,
                spec: volume.context("a volume")?.clone(),
            });
        }
        let mounts = Mounts {
            cluster,
            account: account.to_owned(),
            volumes,
            replaced,
        };
        mounts.config_maps().await?;
        mounts.tokens().await?;
        let keeper = Keeper::new("pods")?;
        let kubeconfig = kubeconfig_of(cluster, "heliograph", account, &keeper).await?;
        let args = list(&container["args"]).filter_map(Value::as_str);
        let of_pod = ["--admin-bind-address=", "--secure-port="];
        let args = args.filter(|it| !of_pod.iter().any(|flag| it.starts_with(flag)));
        let mut command = Command::new(program(name)?);
        command.args(args.map(|it| mounts.replace(it))).args(more);
        command.arg("--kubeconfig").arg(kubeconfig);
        let program = lab.start(name, command, None)?;
        program.ready().await?;
        Ok(Self {
            mounts,
            _keeper: keeper,
            program,
        })
    }

    /// Brings the mounted ConfigMaps up to date.
    pub(super) async fn mount(&self) -> anyhow::Result<()> {
        self.mounts.config_maps().await
    }

    /// Brings other tokens.
    pub(super) async fn renew_tokens(&self) -> anyhow::Result<()> {
        self.mounts.tokens().await
    }
}

impl Mounts<'_> {
    fn replace(&self, text: &str) -> String {
        let all = self.replaced.iter();
        all.fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    async fn config_maps(&self) -> anyhow::Result<()> {
        for Volume { directory, spec } in &self.volumes {
            let Some(name) = spec["configMap"]["name"].as_str() else {
                continue;
            };
            let path = format!("/api/v1/namespaces/heliograph/configmaps/{name}");
            let map = self.cluster.read(&path).await?;
            for (file, text) in map["data"].as_object().into_iter().flatten() {
                let text = self.replace(text.as_str().context("a text")?);
                write(&directory.join(file), &text)?;
            }
        }
        Ok(())
    }

    async fn tokens(&self) -> anyhow::Result<()> {
        for Volume { directory, spec } in &self.volumes {
            for source in list(&spec["projected"]["sources"]) {
                let source = &source["serviceAccountToken"];
                let file = source["path"].as_str().context("a token has a path")?;
                let audience = source["audience"].as_str().context("an audience")?;
                let audience = format!("--audience={audience}");
                let line = [
                    "create",
                    "token",
                    &self.account,
                    "-n",
                    "heliograph",
                    &audience,
                ];
                eventually("a token is issued", async || {
                    let token = self.cluster.plane.kubectl().run(line).await?;
                    write(&directory.join(file), token.trim())
                })
                .await?;
            }
        }
        Ok(())
    }
}

/// Replaces a file as a whole, as a kubelet does.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    Ok(std::fs::rename(new, path)?)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
