//! Files of the repository, and tools that read them.

pub mod source;
pub mod tool;

use std::fs;
use std::path::{Path, PathBuf};

/// Returns a path in the repository.
#[must_use]
pub fn path(relative: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = tests.and_then(Path::parent).unwrap_or(Path::new("/"));
    root.join(relative)
}

/// Reads a file of the repository.
///
/// # Panics
///
/// Panics if the file cannot be read.
#[must_use]
pub fn read(relative: &str) -> String {
    match fs::read_to_string(path(relative)) {
        Ok(text) => text,
        Err(why) => unreachable!("cannot read {relative}: {why}"),
    }
}

/// Returns the paths of all files below a folder that have one of these extensions, in
/// order, without build output.
#[must_use]
pub fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    files_below(&path(folder), extensions)
}

fn files_below(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, extensions, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let is_hidden = name.to_string_lossy().starts_with('.');
        if path.is_dir() {
            if name != "target" && !is_hidden {
                collect(&path, extensions, found);
            }
        } else if path
            .extension()
            .is_some_and(|it| extensions.iter().any(|extension| it == *extension))
        {
            found.push(path);
        }
    }
}

/// Returns the anchor that a heading has on a rendered page.
#[must_use]
pub fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter_map(|it| match it {
        ' ' => Some('-'),
        '-' | '_' => Some(it),
        it if it.is_alphanumeric() => Some(it),
        _ => None,
    });
    kept.collect()
}

/// Returns the anchors of all headings of a page.
#[must_use]
pub fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(anchor).collect()
}
