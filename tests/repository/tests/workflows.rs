//! Workflows of the repository's host: valid, and with pinned actions.

use anyhow::ensure;
use repository::{files, path, read, tool};

#[test]
fn workflows_are_valid() -> anyhow::Result<()> {
    let Some(actionlint) = tool::find("actionlint")? else {
        return Ok(());
    };
    let arguments = ["-no-color", "-shellcheck=", "-pyflakes="];
    let workflows = workflows();
    ensure!(!workflows.is_empty(), "there are workflows");
    let all: Vec<_> = arguments
        .into_iter()
        .chain(workflows.iter().map(String::as_str))
        .collect();
    tool::succeed(&actionlint, &path(""), &all)?;
    Ok(())
}

fn workflows() -> Vec<String> {
    let found = files(".github/workflows", &["yaml", "yml"]);
    let root = path("");
    let found = found.iter().filter_map(|it| it.strip_prefix(&root).ok());
    found.map(|it| it.display().to_string()).collect()
}

/// An action is named by a full version at least; a branch can change without notice.
#[test]
fn actions_are_pinned() {
    for workflow in workflows() {
        let text = read(&workflow);
        let uses = text.lines().filter_map(|it| it.trim().split_once("uses: "));
        for (_, action) in uses {
            let version = action.split_once('@').map_or("", |it| it.1);
            let version = version.split_whitespace().next().unwrap_or_default();
            let is_digest = version.len() == 40 && version.bytes().all(|it| it.is_ascii_hexdigit());
            let is_version = version.starts_with('v') && version.matches('.').count() == 2;
            assert!(
                is_digest || is_version || action.starts_with("./"),
                "{action}"
            );
        }
    }
}
