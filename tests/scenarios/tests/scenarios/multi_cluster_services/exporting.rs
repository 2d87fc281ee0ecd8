//! ServiceExports that `heliograph exports` prints for labelled Services.

use std::sync::Arc;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::{Value, json};

use super::{API, install};
use crate::lab::{Cluster, EXPORT, Lab, program};

pub(crate) async fn printed_exports_are_accepted_and_nothing_is_written(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    let ports = json!([{"name": "http", "port": 80}]);
    for (name, labels, spec) in [
        (
            "web",
            json!({EXPORT: "true", "team": "no"}),
            json!({"ports": ports}),
        ),
        (
            "db",
            json!({EXPORT: "true"}),
            json!({"ports": ports, "clusterIP": "None"}),
        ),
        ("other", json!({}), json!({"ports": ports})),
        (
            "alias",
            json!({EXPORT: "true"}),
            json!({"type": "ExternalName", "externalName": "x.example"}),
        ),
    ] {
        let service = json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
        let path = "/api/v1/namespaces/demo/services";
        east.post(path, &service.to_string()).await?;
    }
    // A repository can be written before the CRDs are there.
    let (early, why) = printed(&east, "yaml").await?;
    ensure!(why.contains("left out Service demo/alias"), "{why}");
    install(&east).await?;
    let (yaml, _) = printed(&east, "yaml").await?;
    ensure!(yaml == early, "{early}{yaml}");
    let path = format!("{API}/serviceexports");
    let n_exports = async || -> anyhow::Result<usize> {
        let list = east.read(&path).await?;
        Ok(list["items"].as_array().map_or(0, Vec::len))
    };
    ensure!(n_exports().await? == 0, "the command wrote something");
    let kubectl = east.plane.kubectl();
    let file = lab.file("exports.yaml", &yaml)?.display().to_string();
    let strict = ["apply", "--validate=strict", "-f", &file];
    let said = kubectl.run(strict).await?;
    ensure!(said.matches("created").count() == 2, "{said}");
    ensure!(n_exports().await? == 2);
    let web: Value = east.read(&format!("{path}/web")).await?;
    ensure!(
        web["spec"]["exportedLabels"] == json!({"team": "no"}),
        "{web}"
    );
    // The other format has the same objects, and once more changes nothing.
    let (list, _) = printed(&east, "json").await?;
    let file = lab.file("exports.json", &list)?.display().to_string();
    let said = kubectl
        .run(["apply", "--validate=strict", "-f", &file])
        .await?;
    ensure!(said.matches("unchanged").count() == 2, "{said}");
    Ok(())
}

/// Standard output and standard error of the command.
async fn printed(cluster: &Cluster, format: &str) -> anyhow::Result<(String, String)> {
    let mut command = tokio::process::Command::new(program("heliograph")?);
    command.arg("--kubeconfig").arg(cluster.plane.kubeconfig());
    command.args(["exports", "-o", format, "--exported-labels", "team"]);
    let output = command.output().await?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {errors}", output.status);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((printed, errors))
}
