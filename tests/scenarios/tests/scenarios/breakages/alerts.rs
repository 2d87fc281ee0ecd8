//! Alerts that fire for breakages: the shipped rules, evaluated by promtool over the metrics of the
//! broken program as if they had been so for an hour.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use control_plane::Keeper;
use control_plane::assets::{self, Found};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::lab::Program;
use crate::manifests::repository;

/// Breakages that raise no alert: the reflector sees nothing wrong, or another replica does what
/// this one does not, or the alert is that of the source which is not read.
const SILENT: [&str; 7] = [
    "The Service has no export label",
    "The selector of the source names another label",
    "A Service without a selector has slices without the export label",
    "The mirror of a predecessor has the export label",
    "Another replica has the Lease",
    "A kubeconfig of a directory is malformed",
    "A source is not read for half a minute",
];

/// A line that was shown for a breakage.
pub(super) struct Shown {
    breakage: String,
    line: String,
    /// Reason of the problem, where the line is one of its objects.
    reason: Option<String>,
}

impl Shown {
    pub(super) fn new(breakage: &str, text: &str, line: &str) -> Self {
        let above = text.lines().take_while(|it| *it != line);
        Self {
            breakage: breakage.to_owned(),
            line: line.to_owned(),
            reason: above
                .filter_map(heading)
                .last()
                .filter(|_| line.starts_with(' ')),
        }
    }

    /// The labels that an alert about it has.
    fn labels(&self, sources: &BTreeSet<&str>) -> Option<String> {
        if let Some(reason) = &self.reason {
            return Some(format!("reason=\"{reason}\""));
        }
        let mut words = self.line.split_whitespace();
        if let Some(source) = words.find(|it| sources.contains(it)) {
            let name = "HeliographSourceDisconnected|HeliographUpstreamDisconnected|\
                        HeliographClusterIdentityRefused|HeliographMirrorIncomplete";
            return Some(format!("alertname=~\"{name}\", source=\"{source}\""));
        }
        let is_lease = self.line.contains("The Lease ");
        is_lease.then(|| "alertname=\"HeliographNoLeader\"".to_owned())
    }
}

/// The reason in the heading of a group of problems, such as `✗ NameTooLong (2)`.
fn heading(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(' ')?;
    let (reason, n) = rest.split_once(" (")?;
    let is_reason = reason.starts_with(|it: char| it.is_ascii_uppercase())
        && reason.chars().all(|it| it.is_ascii_alphanumeric());
    (is_reason && n.ends_with(')')).then(|| reason.to_owned())
}

/// Checks that each of these breakages raises an alert about its reason or its source.
pub(super) async fn fire(shown: &[Shown], reflector: &Program) -> anyhow::Result<()> {
    let status = reflector.status().await?;
    let sources = status["sources"].as_array().context("there are sources")?;
    let sources: BTreeSet<_> = sources
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    let loud = shown
        .iter()
        .filter(|it| !SILENT.contains(&it.breakage.as_str()));
    let mut tests = Vec::new();
    for it in loud {
        let labels = it.labels(&sources);
        let labels =
            labels.with_context(|| format!("no alert for {:?}: {}", it.breakage, it.line))?;
        let expression = format!("count(ALERTS{{alertstate=\"firing\", {labels}}}) > bool 0");
        tests.push(json!({"expr": expression, "eval_time": "50m",
            "exp_samples": [{"labels": "{}", "value": 1}]}));
    }
    let metrics = reflector.admin("/metrics").await?;
    evaluate(&series(&metrics), &tests).await
}

/// The samples of a program as series that never change.
fn series(metrics: &str) -> Vec<Value> {
    let samples = metrics.lines().filter(|it| it.starts_with("heliograph_"));
    let samples = samples.filter_map(|it| it.split(" # ").next()?.rsplit_once(' '));
    let series = samples.map(|(name, value)| {
        let target = r#"namespace="heliograph",pod="reflector-0""#;
        let name = match name.split_once('{') {
            Some((name, labels)) => format!("{name}{{{target},{labels}"),
            None => format!("{name}{{{target}}}"),
        };
        json!({"series": name, "values": format!("{value}x60")})
    });
    series.collect()
}

async fn evaluate(series: &[Value], tests: &[Value]) -> anyhow::Result<()> {
    let Found::Ready(found) = assets::find_or_build_client("promtool")? else {
        let is_ci = std::env::var("CI").is_ok_and(|it| it == "true");
        ensure!(!is_ci, "there is no promtool");
        return Ok(());
    };
    let rules = repository("charts/heliograph/files/rules.yaml");
    let test = json!({"rule_files": [rules], "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]});
    let keeper = Keeper::new("alerts")?;
    let file = keeper.directory().join("test.yaml");
    std::fs::write(&file, test.to_string())?;
    let output = Command::new(found.binary("promtool"))
        .args(["test", "rules"])
        .arg(&file)
        .output()
        .await?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    ensure!(output.status.success(), "an alert does not fire: {text}");
    Ok(())
}
