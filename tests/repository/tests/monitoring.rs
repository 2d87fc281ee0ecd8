//! Alerts: each fires and has a runbook, and both copies are one.

use anyhow::{Context, ensure};
use repository::{anchors, path, read, tool};
use serde_json::Value;

const RULES: &str = "charts/heliograph/files/rules.yaml";

fn alerts() -> anyhow::Result<Vec<Value>> {
    let rules: Value = serde_saphyr::from_str(&read(RULES))?;
    let rules = rules["groups"][0]["rules"].as_array().cloned();
    rules.context("there are rules")
}

#[test]
fn alerts_fire_and_do_not_fire_as_their_tests_say() -> anyhow::Result<()> {
    let Some(promtool) = tool::find("promtool")? else {
        return Ok(());
    };
    let folder = path("");
    tool::succeed(&promtool, &folder, &["check", "rules", RULES])?;
    let tests = ["test", "rules", "manifests/monitoring/rules.test.yaml"];
    tool::succeed(&promtool, &folder, &tests)?;
    Ok(())
}

#[test]
fn each_alert_is_tested_firing_and_not_firing() -> anyhow::Result<()> {
    let tests = read("manifests/monitoring/rules.test.yaml");
    for alert in alerts()? {
        let name = alert["alert"].as_str().context("an alert has a name")?;
        for words in ["fires", "does not fire"] {
            let line = format!("  - name: {name} {words}\n");
            ensure!(tests.contains(&line), "no test {line}");
        }
    }
    Ok(())
}

#[test]
fn each_alert_has_a_runbook() -> anyhow::Result<()> {
    let known = anchors(&read("docs/runbooks.md"));
    let mut expected = Vec::new();
    for alert in alerts()? {
        let name = alert["alert"].as_str().context("an alert has a name")?;
        let url = alert["annotations"]["runbook_url"].as_str();
        let (page, anchor) = url.and_then(|it| it.split_once('#')).context("a URL")?;
        ensure!(page.ends_with("/docs/runbooks.html"), "{page}");
        ensure!(anchor == name.to_lowercase(), "{anchor}");
        ensure!(known.contains(&anchor.to_owned()), "no section for {name}");
        ensure!(alert["labels"]["severity"].is_string(), "{name}");
        expected.push(anchor.to_owned());
    }
    let stale = known.iter().filter(|it| it.starts_with("heliograph"));
    let stale: Vec<_> = stale.filter(|it| !expected.contains(it)).collect();
    ensure!(stale.is_empty(), "no alerts: {stale:?}");
    Ok(())
}

#[test]
fn chart_and_kustomize_have_the_same_alerts() -> anyhow::Result<()> {
    let chart: Value = serde_saphyr::from_str(&read(RULES))?;
    let manifest: Value = serde_saphyr::from_str(&read("manifests/monitoring/rules.yaml"))?;
    ensure!(
        manifest["spec"] == chart,
        "copy {RULES} to manifests/monitoring/rules.yaml"
    );
    for dashboard in repository::files("manifests/dashboards", &["json"]) {
        let name = dashboard.file_name().context("a file")?.to_string_lossy();
        let copy = read(&format!("charts/heliograph/files/dashboards/{name}"));
        let original = read(&format!("manifests/dashboards/{name}"));
        ensure!(
            copy == original,
            "copy manifests/dashboards/{name} to the chart"
        );
    }
    Ok(())
}
