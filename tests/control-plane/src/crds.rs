//! CustomResourceDefinitions from pinned Go modules.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

/// Returns the directory of the CRDs of the Multi-Cluster Services API. The first call on
/// a machine downloads the module.
pub fn multi_cluster_services() -> anyhow::Result<PathBuf> {
    Ok(module("mcs-api")?.join("config/crd"))
}

/// Returns the directory of the CRDs of the cluster-inventory API. The first call on a machine
/// downloads the module.
pub fn cluster_inventory() -> anyhow::Result<PathBuf> {
    Ok(module("cluster-inventory-api")?.join("config/crd/bases"))
}

/// Returns the directory of a module of `sigs.k8s.io`, in the version that is pinned.
fn module(name: &str) -> anyhow::Result<PathBuf> {
    let module = format!("sigs.k8s.io/{name}");
    let pins = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tools")
        .join(name);
    let output = Command::new("go")
        .args(["mod", "download", "-json", &module])
        .current_dir(pins)
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=mod")
        .stdin(Stdio::null())
        .output()
        .context("cannot run go")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "cannot download {module}: {text}");
    let described: Value = serde_json::from_slice(&output.stdout)?;
    let directory = described["Dir"].as_str().context("go names no directory")?;
    Ok(PathBuf::from(directory))
}
