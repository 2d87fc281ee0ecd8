//! The real client.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// kubectl, pointed at one server.
#[derive(Debug, Clone)]
pub struct Kubectl {
    binary: PathBuf,
    home: PathBuf,
    target: Target,
}

#[derive(Debug, Clone)]
enum Target {
    Kubeconfig(PathBuf),
    Server(String),
}

impl Kubectl {
    /// With a kubeconfig; what it caches goes to `home`.
    #[must_use]
    pub fn new(binary: PathBuf, home: &Path, kubeconfig: PathBuf) -> Self {
        Self {
            binary,
            home: home.to_owned(),
            target: Target::Kubeconfig(kubeconfig),
        }
    }

    /// The same client for a server that needs no credentials.
    #[must_use]
    pub fn for_server(&self, url: &str) -> Self {
        Self {
            target: Target::Server(url.to_owned()),
            ..self.clone()
        }
    }

    /// The same client with another kubeconfig.
    #[must_use]
    pub fn for_kubeconfig(&self, kubeconfig: &Path) -> Self {
        Self {
            target: Target::Kubeconfig(kubeconfig.to_owned()),
            ..self.clone()
        }
    }

    /// A command that is ready to be run, or to be left running.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> std::process::Command {
        let mut command = std::process::Command::new(&self.binary);
        match &self.target {
            Target::Kubeconfig(path) => command.arg("--kubeconfig").arg(path),
            Target::Server(url) => command
                .arg("--server")
                .arg(url)
                .env("KUBECONFIG", "/dev/null"),
        };
        command
            .args(args)
            .env("HOME", &self.home)
            // Who edits puts a `z` where `a` is `b` or `c`.
            .env("KUBE_EDITOR", "sed -i /a:.[bc]$/s/[bc]$/z/")
            // Either would lead it out of its home again.
            .env_remove("KUBECACHEDIR")
            .env_remove("KUBERC");
        command
    }

    /// Runs it and returns what it printed; what it complains of is the error.
    pub async fn run<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> anyhow::Result<String> {
        self.feed(args, "").await
    }

    /// `kubectl apply` of a manifest.
    pub async fn apply(&self, manifest: &str) -> anyhow::Result<String> {
        self.feed(["apply", "-f", "-"], manifest).await
    }

    /// The same with something to read.
    pub async fn feed<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &str,
    ) -> anyhow::Result<String> {
        let command = self.command(args);
        let line = format!("{:?}", command.get_args().collect::<Vec<_>>());
        let mut child = Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run kubectl")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!(
                "kubectl {line}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
