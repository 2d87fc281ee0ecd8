//! Where the control plane's binaries are.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

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

/// Such directories often lack it, and only planes with controllers need it.
pub(crate) const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// The binaries: from `KUBEBUILDER_ASSETS`, from the cache, or built. A build that
/// fails is an error; where nothing can build, they are missing.
pub fn find_or_build() -> anyhow::Result<Found> {
    find_or_build_with(&[])
}

/// As [`find_or_build`], with some binaries that not every suite needs: `kube-proxy`,
/// `coredns`, `gator`.
pub fn find_or_build_with(further: &[&str]) -> anyhow::Result<Found> {
    if let Some(directory) = std::env::var_os(OVERRIDE).filter(|it| !it.is_empty()) {
        let assets = Assets::named(PathBuf::from(directory))
            .with_context(|| format!("cannot use {OVERRIDE}"))?;
        return Ok(match assets.lacks_one_of(further) {
            None => Found::Ready(assets),
            Some(name) => Found::Missing(format!(
                "there is no {}; put it there, or unset {OVERRIDE}",
                assets.binary(name).display()
            )),
        });
    }
    let directory = toolchain::cache()?;
    let assets = Assets { directory };
    if assets.lacks().is_none() && assets.lacks_one_of(further).is_none() {
        return Ok(Found::Ready(assets));
    }
    if let Err(why) = toolchain::go() {
        return Ok(Found::Missing(format!(
            "{why}; install Go 1.26 or later, or set {OVERRIDE} to a directory with \
             etcd, kube-apiserver, kube-controller-manager and kubectl"
        )));
    }
    toolchain::build(&assets.directory, further)?;
    Ok(Found::Ready(assets))
}

/// A tool in a folder of its own, such as `informers` or `kubelet`: from `KUBEBUILDER_ASSETS` if it is there, from
/// the cache, or built.
pub fn find_or_build_client(name: &str) -> anyhow::Result<Found> {
    let client = toolchain::CLIENTS.iter().find(|it| it.name == name);
    let client = client.with_context(|| format!("there is no client {name}"))?;
    let named = std::env::var_os(OVERRIDE).map(|it| PathBuf::from(it).join(name));
    let directory = match named.filter(|it| it.is_absolute() && it.is_file()) {
        Some(path) => path.with_file_name(""),
        None => toolchain::cache_of(client)?,
    };
    let assets = Assets { directory };
    if assets.lacks_one_of(&[name]).is_none() {
        return Ok(Found::Ready(assets));
    }
    if let Err(why) = toolchain::go() {
        return Ok(Found::Missing(format!(
            "{why}; install Go 1.26 or later, or put {name} into {OVERRIDE}"
        )));
    }
    toolchain::build_all(&assets.directory, [client])?;
    Ok(Found::Ready(assets))
}

impl Assets {
    fn named(directory: PathBuf) -> anyhow::Result<Self> {
        ensure!(
            directory.is_absolute(),
            "{} is not absolute, and cargo runs tests in the folder of their package",
            directory.display()
        );
        let assets = Self { directory };
        let lacks = assets.lacks().filter(|it| *it != CONTROLLER_MANAGER);
        if let Some(name) = lacks {
            bail!("there is no {}", assets.binary(name).display());
        }
        Ok(assets)
    }

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

    /// Whether planes can have controllers.
    pub(crate) fn have_controllers(&self) -> anyhow::Result<()> {
        let path = self.binary(CONTROLLER_MANAGER);
        ensure!(
            path.is_file(),
            "there is no {}, which a control plane with controllers needs; put it there, or \
             unset {OVERRIDE}",
            path.display()
        );
        Ok(())
    }

    /// A binary that is not there; of several, one that planes cannot do without.
    fn lacks(&self) -> Option<&'static str> {
        let names = toolchain::TOOLS.iter().map(|tool| tool.name);
        let absent = names.filter(|name| !self.binary(name).is_file());
        absent.min_by_key(|name| *name == CONTROLLER_MANAGER)
    }

    fn lacks_one_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        let mut names = names.iter().copied();
        names.find(|name| !self.binary(name).is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory_of(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        directory
    }

    #[test]
    fn a_named_directory_may_lack_the_controllers() {
        let directory = directory_of(&["etcd", "kube-apiserver", "kubectl"]);
        let assets = Assets::named(directory.path().to_owned()).unwrap();
        let error = assets.have_controllers().unwrap_err().to_string();
        assert!(error.contains("kube-controller-manager"), "{error}");
    }

    #[test]
    fn a_named_directory_that_lacks_more_is_refused_by_the_name_of_the_binary() {
        let directory = directory_of(&["etcd", "kube-apiserver"]);
        let error = Assets::named(directory.path().to_owned()).unwrap_err();
        assert!(error.to_string().ends_with("/kubectl"), "{error}");
        let error = Assets::named(PathBuf::from("bin")).unwrap_err();
        assert!(error.to_string().contains("not absolute"), "{error}");
    }
}
