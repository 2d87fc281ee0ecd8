//! Builds the binaries from pinned Go modules, once, into a cache.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, bail};

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

/// Without these `/version` is wrong, and kubectl warns of a version skew.
const LINK: &str = "-s -w \
    -X k8s.io/component-base/version.gitVersion=v1.36.3 \
    -X k8s.io/component-base/version.gitMajor=1 \
    -X k8s.io/component-base/version.gitMinor=36 \
    -X k8s.io/component-base/version.gitTreeState=clean";

/// Another directory for the cache, such as one that CI keeps between runs.
const CACHE: &str = "HELIOGRAPH_TOOLS_CACHE";

fn module(tool: &Tool) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
    tools.join(tool.module)
}

/// The directory for exactly these versions.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let named = |name| {
        std::env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let root = named(CACHE)
        .or_else(|| named("XDG_CACHE_HOME").map(|it| it.join("heliograph/tools")))
        .or_else(|| named("HOME").map(|it| it.join(".cache/heliograph/tools")))
        .with_context(|| format!("no place for a cache: set HOME or {CACHE}"))?;
    let mut hasher = DefaultHasher::new();
    LINK.hash(&mut hasher);
    for tool in &TOOLS {
        for file in ["go.mod", "go.sum"] {
            let path = module(tool).join(file);
            let pins =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            pins.hash(&mut hasher);
        }
    }
    Ok(root.join(format!("{:016x}", hasher.finish())))
}

/// Whether there is a Go toolchain.
pub(crate) fn go() -> anyhow::Result<()> {
    let version = Command::new("go")
        .arg("version")
        .stdin(Stdio::null())
        .output();
    match version {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!(
            "`go version` fails: {}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(_) => bail!("there is no Go toolchain"),
    }
}

/// Builds what is not there yet. Of several processes, one builds and the others wait.
pub(crate) fn build(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let lock = File::create(directory.join("lock"))?;
    lock.lock().context("cannot lock the cache")?;
    for tool in &TOOLS {
        let path = directory.join(tool.name);
        if path.is_file() {
            continue;
        }
        say(&format!(
            "building {} for the tests on real control planes; the first time takes {} on two cores",
            tool.name, tool.minutes
        ));
        compile(tool, &path)?;
    }
    Ok(())
}

fn compile(tool: &Tool, path: &Path) -> anyhow::Result<()> {
    // Under its name only when it is whole.
    let partial = path.with_extension("partial");
    let output = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", LINK, "-o"])
        .arg(&partial)
        .arg(tool.package)
        .current_dir(module(tool))
        .env("CGO_ENABLED", "0")
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
