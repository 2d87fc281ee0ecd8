//! Which processes there are.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// The command lines in which a directory occurs. One that ended has none,
/// and for a moment one that becomes another program.
pub(crate) fn running_in(directory: &Path) -> anyhow::Result<Vec<String>> {
    let directory = directory.display().to_string();
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").context("this needs /proc")? {
        let line = fs::read(process?.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&directory) {
            found.push(line);
        }
    }
    Ok(found)
}
