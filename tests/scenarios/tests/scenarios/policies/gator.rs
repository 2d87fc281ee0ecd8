//! What Gatekeeper says, by its own means to test policies.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use control_plane::Keeper;
use control_plane::assets::{self, Found};
use serde_json::{Value, json};
use tokio::process::Command;

use super::table::{Case, Operation, Parameters, Table};
use crate::manifests::repository;

/// Runs the suite of the repository, and one that is made of the table.
pub(super) async fn ask(table: &Table) -> anyhow::Result<()> {
    let found = tokio::task::spawn_blocking(|| assets::find_or_build_with(&["gator"])).await??;
    let gator = match found {
        Found::Ready(assets) => assets.binary("gator"),
        Found::Missing(why) => bail!(why),
    };
    verify(&gator, &repository("gatekeeper/mirror-name/suite.yaml")).await?;
    let keeper = Keeper::new("gator")?;
    let suite = write_suite(keeper.directory(), table)?;
    let said = verify(&gator, &suite).await?;
    let n_passed = said.matches("--- PASS").count();
    let n_expected = table.parameters.len() + table.cases.len();
    ensure!(
        n_passed == n_expected,
        "{n_passed}, not {n_expected}: {said}"
    );
    Ok(())
}

async fn verify(gator: &Path, suite: &Path) -> anyhow::Result<String> {
    let output = Command::new(gator)
        .args(["verify", "--verbose"])
        .arg(suite)
        .kill_on_drop(true)
        .output()
        .await?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "{said}");
    Ok(said)
}

/// A suite for `gator verify`: JSON is YAML.
fn write_suite(directory: &Path, table: &Table) -> anyhow::Result<PathBuf> {
    let write = |name: &str, value: Value| fs::write(directory.join(name), value.to_string());
    let template = repository("gatekeeper/mirror-name/template.yaml");
    fs::copy(template, directory.join("template.yaml"))?;
    let mut tests = Vec::new();
    for (i, (name, parameters)) in table.parameters.iter().enumerate() {
        let file = format!("constraint-{i}.yaml");
        write(&file, constraint(parameters))?;
        let cases = table.cases.iter().enumerate();
        let cases = cases.filter(|(_, case)| case.parameters == *name);
        let cases = cases.map(|(i, case)| {
            let file = format!("review-{i}.yaml");
            write(&file, review(case))?;
            Ok(json!({"name": case.name, "object": file, "assertions": assertions(case)}))
        });
        let cases: Vec<Value> = cases.collect::<anyhow::Result<_>>()?;
        tests.push(json!({
            "name": name, "template": "template.yaml", "constraint": file, "cases": cases,
        }));
    }
    let suite = json!({
        "apiVersion": "test.gatekeeper.sh/v1alpha1", "kind": "Suite",
        "metadata": {"name": "table"}, "tests": tests,
    });
    write("suite.yaml", suite)?;
    Ok(directory.join("suite.yaml"))
}

fn constraint(parameters: &Parameters) -> Value {
    let mut given = json!({"prefixes": parameters.prefixes});
    if let Some(labels) = &parameters.match_labels {
        given["matchLabels"] = json!(labels);
    }
    json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": "MirrorName",
        "metadata": {"name": "it"},
        "spec": {
            "match": {"kinds": [{"apiGroups": [""], "kinds": ["Service"]}]},
            "parameters": given,
        },
    })
}

fn review(case: &Case) -> Value {
    let (namespace, name) = case.key();
    let mut request = json!({
        "uid": "1",
        "kind": {"group": "", "version": "v1", "kind": "Service"},
        "namespace": namespace,
        "name": name,
    });
    match case.operation {
        Operation::Create => {
            request["operation"] = json!("CREATE");
            request["object"] = case.object(&case.labels);
        }
        Operation::Update => {
            request["operation"] = json!("UPDATE");
            request["object"] = case.object(&case.labels);
            request["oldObject"] = case.object(&case.old_labels);
        }
        Operation::Delete => {
            request["operation"] = json!("DELETE");
            request["oldObject"] = case.object(&case.labels);
        }
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
}

fn assertions(case: &Case) -> Value {
    let complaints = case.complaints();
    let one_each = complaints.iter().map(|words| {
        // The end of a word: one name may begin another.
        json!({"violations": 1, "message": format!("{words}\\b")})
    });
    let all = json!({"violations": complaints.len()});
    one_each.chain([all]).collect()
}
