//! Pinned tools, built once from their Go modules.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use control_plane::assets::{self, Found};

/// Returns a pinned tool, or `None` where it is missing and cannot be built.
///
/// With `CI=true` a missing tool is an error.
pub fn find(name: &str) -> anyhow::Result<Option<PathBuf>> {
    let found = match name {
        "kubectl" => assets::find_or_build()?,
        _ => assets::find_or_build_client(name)?,
    };
    match found {
        Found::Ready(assets) => Ok(Some(assets.binary(name))),
        Found::Missing(why) => {
            let is_ci = std::env::var("CI").is_ok_and(|it| it == "true");
            ensure!(!is_ci, "there is no {name}: {why}");
            Ok(None)
        }
    }
}

/// Runs a tool in a folder and returns whether it succeeded, and its output.
pub fn run(tool: &Path, folder: &Path, arguments: &[&str]) -> anyhow::Result<(bool, String)> {
    let output = Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .with_context(|| format!("cannot run {}", tool.display()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok((output.status.success(), text))
}

/// Runs a tool that must succeed, and returns its output.
pub fn succeed(tool: &Path, folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let (succeeded, text) = run(tool, folder, arguments)?;
    ensure!(succeeded, "{} {arguments:?}: {text}", tool.display());
    Ok(text)
}
