//! The programs under test, which `cargo test` of another package does not build by itself.

use std::process::Command;

use anyhow::{Context, ensure};

/// Has no program, but the features of what the programs are built with: without it they
/// would be built again, and so would be what they are made of.
const FEATURES: &str = "scenarios";

/// Builds the programs of these packages, as the test that asks was built.
pub fn build(packages: &[&str]) -> anyhow::Result<()> {
    let mut build = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    build.args(["build", "--quiet"]);
    for package in packages.iter().chain([&FEATURES]) {
        build.args(["--package", package]);
    }
    // What cargo says of this package is news to ring's build script: ring and all that
    // needs it would be built again, here and then for the tests, at every run.
    for (name, _) in std::env::vars_os() {
        let about = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if about
            .iter()
            .any(|it| name.to_string_lossy().starts_with(it))
        {
            build.env_remove(name);
        }
    }
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.status().context("cannot run cargo")?;
    ensure!(status.success(), "cannot build the programs: {status}");
    Ok(())
}
