//! Builds the binaries from pinned Go modules, once, into a cache.
//!
//! Invariants: a binary has its name only when it is whole, so a build that was killed
//! leaves nothing to trip over; of several processes, one builds and the others wait.

use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, bail, ensure};
use tokio::time::Instant;

/// One binary.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The module under `tools/` whose go.mod and go.sum pin it.
    module: &'static str,
    package: &'static str,
    /// What to expect on two cores with nothing cached.
    minutes: &'static str,
}

/// All binaries, the slowest first.
pub(crate) const TOOLS: [Tool; 4] = [
    Tool {
        name: "kube-apiserver",
        module: "kubernetes",
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        minutes: "about three minutes",
    },
    Tool {
        name: "kube-controller-manager",
        module: "kubernetes",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        minutes: "about a minute",
    },
    Tool {
        name: "kubectl",
        module: "kubernetes",
        package: "k8s.io/kubernetes/cmd/kubectl",
        minutes: "half a minute",
    },
    Tool {
        name: "etcd",
        module: "etcd",
        package: "go.etcd.io/etcd/server/v3",
        minutes: "about a minute",
    },
];

/// What only some suites need; built where one asks for it.
pub(crate) const FURTHER: [Tool; 3] = [
    Tool {
        name: "kube-proxy",
        module: "kubernetes",
        package: "k8s.io/kubernetes/cmd/kube-proxy",
        minutes: "half a minute",
    },
    Tool {
        name: "coredns",
        module: "coredns",
        package: "github.com/coredns/coredns",
        minutes: "about two minutes",
    },
    Tool {
        name: "gator",
        module: "gator",
        package: "github.com/open-policy-agent/gatekeeper/v3/cmd/gator",
        minutes: "about four minutes",
    },
];

/// Clients, an older server and a kubelet, that only scenarios about them need. Each lies in a
/// folder of its own, so that a change of one builds nothing else.
pub(crate) const CLIENTS: [Tool; 7] = [
    Tool {
        name: "informers",
        module: "informers",
        package: "heliograph.dev/tools/informers",
        minutes: "a minute",
    },
    Tool {
        name: "kubelet",
        module: "kubelet",
        package: "heliograph.dev/tools/kubelet",
        minutes: "half a minute",
    },
    Tool {
        name: "kubectl-1.28",
        module: "kubectl-1.28",
        package: "k8s.io/kubernetes/cmd/kubectl",
        minutes: "a minute",
    },
    Tool {
        name: "kube-apiserver-1.34",
        module: "kube-apiserver-1.34",
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        minutes: "five minutes",
    },
    Tool {
        name: "helm",
        module: "helm",
        package: "helm.sh/helm/v4/cmd/helm",
        minutes: "two minutes",
    },
    Tool {
        name: "promtool",
        module: "promtool",
        package: "github.com/prometheus/prometheus/cmd/promtool",
        minutes: "three minutes",
    },
    Tool {
        name: "actionlint",
        module: "actionlint",
        package: "github.com/rhysd/actionlint/cmd/actionlint",
        minutes: "half a minute",
    },
];

/// The oldest Go that builds the modules, as their go.mod files say.
const OLDEST_GO: (u32, u32) = (1, 26);

/// Another directory for the cache, such as one that CI keeps between runs.
const CACHE: &str = "HELIOGRAPH_TOOLS_CACHE";

fn module(tool: &Tool) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
    tools.join(tool.module)
}

/// The directory for exactly these versions.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    link(&TOOLS[0])?.hash(&mut hasher);
    machine().hash(&mut hasher);
    for tool in TOOLS.iter().chain(&FURTHER) {
        for file in ["go.mod", "go.sum"] {
            read(&module(tool).join(file))?.hash(&mut hasher);
        }
    }
    Ok(root()?.join(format!("{:016x}", hasher.finish())))
}

/// The directory for exactly this client.
pub(crate) fn cache_of(client: &Tool) -> anyhow::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    link(client)?.hash(&mut hasher);
    machine().hash(&mut hasher);
    let module = module(client);
    let files = fs::read_dir(&module).with_context(|| format!("no {}", module.display()))?;
    let mut files: Vec<PathBuf> = files.map(|it| Ok(it?.path())).collect::<io::Result<_>>()?;
    files.sort();
    for file in files {
        file.file_name().hash(&mut hasher);
        read(&file)?.hash(&mut hasher);
    }
    Ok(root()?.join(format!("{}-{:016x}", client.name, hasher.finish())))
}

/// A home may be shared between machines of different kinds.
const fn machine() -> (&'static str, &'static str) {
    (std::env::consts::OS, std::env::consts::ARCH)
}

/// Where all caches are.
fn root() -> anyhow::Result<PathBuf> {
    let named = |name| {
        std::env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    named(CACHE)
        .or_else(|| named("XDG_CACHE_HOME").map(|it| it.join("heliograph/tools")))
        .or_else(|| named("HOME").map(|it| it.join(".cache/heliograph/tools")))
        .with_context(|| format!("no place for a cache: set HOME or {CACHE}"))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What the linker is told. Kubernetes does not know its version otherwise: `/version`
/// would be wrong, and kubectl would warn of a version skew. The commit is not part of
/// what a module says of itself.
fn link(tool: &Tool) -> anyhow::Result<String> {
    let pins = String::from_utf8(read(&module(tool).join("go.mod"))?)?;
    Ok(match kubernetes_of(&pins) {
        None => "-s -w".to_owned(),
        Some((version, [major, minor])) => format!(
            "-s -w \
             -X k8s.io/component-base/version.gitVersion=v{version} \
             -X k8s.io/component-base/version.gitMajor={major} \
             -X k8s.io/component-base/version.gitMinor={minor} \
             -X k8s.io/component-base/version.gitCommit=unknown \
             -X k8s.io/component-base/version.gitTreeState=clean"
        ),
    })
}

/// The version of Kubernetes that a go.mod pins, and its first two numbers.
fn kubernetes_of(pins: &str) -> Option<(&str, [&str; 2])> {
    let mut pins = pins.lines().map(str::trim);
    let version = pins.find_map(|line| line.strip_prefix("k8s.io/kubernetes v"))?;
    let version = version.split_whitespace().next()?;
    let mut numbers = version.split('.');
    let numbers = [numbers.next()?, numbers.next()?];
    Some((version, numbers))
}

/// Whether there is a Go toolchain that can build the modules.
pub(crate) fn go() -> anyhow::Result<()> {
    let version = Command::new("go")
        .args(["env", "GOVERSION"])
        // Here an older Go fetches the one that go.mod asks for, if it may.
        .current_dir(module(&TOOLS[0]))
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .output();
    let Ok(output) = version else {
        bail!("there is no Go toolchain");
    };
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("the Go toolchain cannot be used ({})", why.trim());
    }
    let version = String::from_utf8_lossy(&output.stdout);
    ensure!(is_recent(&version), "{} is too old", version.trim());
    Ok(())
}

/// Whether that is recent enough. What has no number is a development version.
fn is_recent(version: &str) -> bool {
    let Some(numbers) = version.trim().strip_prefix("go") else {
        return true;
    };
    let mut numbers = numbers
        .split(|it: char| !it.is_ascii_digit())
        .map_while(|it| it.parse().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return false;
    };
    OLDEST_GO <= (major, minor)
}

/// Builds what is not there yet: all [`TOOLS`], and those of [`FURTHER`] that are named.
pub(crate) fn build(directory: &Path, further: &[&str]) -> anyhow::Result<()> {
    let further = FURTHER.iter().filter(|it| further.contains(&it.name));
    build_all(directory, TOOLS.iter().chain(further))
}

/// Builds those that are not there yet.
pub(crate) fn build_all<'a>(
    directory: &Path,
    tools: impl IntoIterator<Item = &'a Tool>,
) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let _lock = lock(directory)?;
    for tool in tools {
        let path = directory.join(tool.name);
        if path.is_file() {
            continue;
        }
        say(&format!(
            "building {} for the tests on real control planes; the first time takes {} on two \
             cores, and longer while its modules are fetched",
            tool.name, tool.minutes
        ));
        let start = Instant::now();
        compile(tool, &path)?;
        say(&format!(
            "built {} in {} s",
            tool.name,
            start.elapsed().as_secs()
        ));
    }
    Ok(())
}

/// Held until the file is dropped, also by a process that is killed.
fn lock(directory: &Path) -> anyhow::Result<File> {
    let lock = File::create(directory.join("lock")).context("cannot lock the cache")?;
    match lock.try_lock() {
        Ok(()) => return Ok(lock),
        Err(TryLockError::WouldBlock) => {
            say("waiting for another process, which is building the control plane's binaries");
        }
        Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the cache"),
    }
    lock.lock().context("cannot lock the cache")?;
    Ok(lock)
}

fn compile(tool: &Tool, path: &Path) -> anyhow::Result<()> {
    // Under its name only when it is whole.
    let partial = path.with_file_name(format!("{}.partial", tool.name));
    let output = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", &link(tool)?, "-o"])
        .arg(&partial)
        .arg(tool.package)
        .current_dir(module(tool))
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .stdin(Stdio::null())
        .output()
        .context("cannot run go")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(anyhow!("{why}").context(format!("cannot build {}", tool.name)));
    }
    fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Says something now, even from within a test.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_that_is_too_old_is_told_from_one_that_is_not() {
        for (version, recent) in [
            ("go1.26.8\n", true),
            ("go1.26rc1", true),
            ("go1.27", true),
            ("go2.0", true),
            ("devel go1.28-0123abc", true),
            ("go1.25.9", false),
            ("go1.9", false),
            ("go", false),
        ] {
            assert_eq!(is_recent(version), recent, "{version}");
        }
    }

    #[test]
    fn every_tool_is_pinned_by_its_module() {
        for tool in TOOLS.iter().chain(&FURTHER) {
            let module = fs::read_to_string(module(tool).join("go.mod")).unwrap();
            let tools = &module[module.rfind("\ntool").unwrap()..];
            assert!(tools.contains(tool.package), "{}", tool.package);
        }
    }

    #[test]
    fn the_version_that_is_linked_is_the_one_that_is_pinned() {
        for (tool, numbers) in [(&TOOLS[0], "36"), (&CLIENTS[2], "28"), (&CLIENTS[3], "34")] {
            let link = link(tool).unwrap();
            assert!(link.contains("version.gitMajor=1 "), "{link}");
            let minor = format!("version.gitVersion=v1.{numbers}.");
            assert!(link.contains(&minor), "{link}");
            let minor = format!("version.gitMinor={numbers} ");
            assert!(link.contains(&minor), "{link}");
        }
        assert_eq!(link(&CLIENTS[0]).unwrap(), "-s -w");
    }

    #[test]
    fn every_client_has_a_directory_of_its_own() {
        let directories = CLIENTS.map(|it| cache_of(&it).unwrap());
        assert_ne!(directories[0], directories[1]);
        assert!(!directories.contains(&cache().unwrap()));
        assert_eq!(directories[0], cache_of(&CLIENTS[0]).unwrap());
    }
}
