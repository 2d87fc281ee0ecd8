//! Where the control plane's binaries are.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::toolchain;

/// A directory that holds the binaries.
#[derive(Debug, Clone)]
pub struct Assets {
    directory: PathBuf,
}

/// Whether there are binaries.
#[derive(Debug)]
pub enum Found {
    /// There are.
    Ready(Assets),
    /// There are none and none can be built, for that reason.
    Missing(String),
}

/// Names a directory with binaries to use instead of building them, as other tools
/// for testing with Kubernetes do.
const OVERRIDE: &str = "KUBEBUILDER_ASSETS";

/// The binaries: from `KUBEBUILDER_ASSETS`, from the cache, or built. A build that
/// fails is an error; where nothing can build, they are missing.
pub fn find_or_build() -> anyhow::Result<Found> {
    if let Some(directory) = std::env::var_os(OVERRIDE).filter(|it| !it.is_empty()) {
        let assets = Assets {
            directory: PathBuf::from(directory),
        };
        assets
            .check()
            .with_context(|| format!("cannot use {OVERRIDE}"))?;
        return Ok(Found::Ready(assets));
    }
    let directory = toolchain::cache()?;
    let assets = Assets { directory };
    if assets.check().is_ok() {
        return Ok(Found::Ready(assets));
    }
    if let Err(why) = toolchain::go() {
        return Ok(Found::Missing(format!(
            "{why}; install Go 1.26 or later, or set {OVERRIDE} to a directory with \
             etcd, kube-apiserver, kube-controller-manager and kubectl"
        )));
    }
    toolchain::build(&assets.directory)?;
    assets.check()?;
    Ok(Found::Ready(assets))
}

impl Assets {
    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of a binary.
    #[must_use]
    pub fn binary(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn check(&self) -> anyhow::Result<()> {
        for tool in toolchain::TOOLS {
            let path = self.binary(tool.name);
            ensure!(path.is_file(), "there is no {}", path.display());
        }
        Ok(())
    }
}
