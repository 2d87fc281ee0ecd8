//! CustomResourceDefinitions from pinned Go modules.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

const MODULE: &str = "sigs.k8s.io/mcs-api";

/// Returns the directory of the CRDs of the Multi-Cluster Services API. The first call on
/// a machine downloads the module.
pub fn multi_cluster_services() -> anyhow::Result<PathBuf> {
    let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/mcs-api");
    let output = Command::new("go")
        .args(["mod", "download", "-json", MODULE])
        .current_dir(pins)
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=mod")
        .stdin(Stdio::null())
        .output()
        .context("cannot run go")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "cannot download {MODULE}: {text}");
    let module: Value = serde_json::from_slice(&output.stdout)?;
    let directory = module["Dir"].as_str().context("go names no directory")?;
    Ok(Path::new(directory).join("config/crd"))
}
