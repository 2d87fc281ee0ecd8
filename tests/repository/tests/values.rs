//! Values of the chart: their schema has the one of the configuration file, and the README
//! has a table of all of them.

use std::fs;

use anyhow::{Context, ensure};
use repository::{path, read};
use serde_json::Value;

#[test]
fn the_chart_has_the_schema_of_the_configuration_file() -> anyhow::Result<()> {
    let mut values: Value = serde_json::from_str(&read("charts/heliograph/values.schema.json"))?;
    let mut config = values["properties"]["reflector"]["properties"]["config"].take();
    let fields = config.as_object_mut().context("an object")?;
    fields.remove("$id");
    let published: Value = serde_json::from_str(&read("docs/reflector.schema.json"))?;
    ensure!(
        config == published,
        "copy docs/reflector.schema.json to reflector.config of values.schema.json, with its $id"
    );
    Ok(())
}

/// A key of values.yaml, its default and its description.
fn rows(values: &str) -> Vec<(String, String, String)> {
    let (mut rows, mut stack, mut comment) = (Vec::new(), Vec::<&str>::new(), String::new());
    let lines: Vec<_> = values.lines().collect();
    for line in lines {
        let text = line.trim_start();
        let depth = (line.len() - text.len()) / 2;
        if let Some(words) = text.strip_prefix("# ") {
            comment = words.to_owned();
            continue;
        }
        let Some((key, default)) = text.split_once(':') else {
            comment.clear();
            continue;
        };
        stack.truncate(depth);
        stack.push(key);
        if !comment.is_empty() {
            let default = default.trim();
            let default = if default.is_empty() {
                "see values.yaml"
            } else {
                default
            };
            rows.push((
                stack.join("."),
                default.to_owned(),
                std::mem::take(&mut comment),
            ));
        }
    }
    rows
}

#[test]
fn the_readme_has_the_table_of_all_values() -> anyhow::Result<()> {
    let table = rows(&read("charts/heliograph/values.yaml"));
    let table: String = table
        .iter()
        .map(|(key, default, words)| format!("| `{key}` | `{default}` | {words} |\n"))
        .collect();
    let file = path("charts/heliograph/README.md");
    let page = fs::read_to_string(&file)?;
    let (head, rest) = page.split_once("|---|---|---|\n").context("a table")?;
    let tail = rest.split_once("\n\n").map_or("", |it| it.1);
    let expected = format!("{head}|---|---|---|\n{table}\n{tail}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, expected)?;
        return Ok(());
    }
    ensure!(
        page == expected,
        "run UPDATE=1 cargo test -p repository --test values"
    );
    Ok(())
}
