//! Former spellings of keys and flags work, and are named with their replacement.

use std::sync::Arc;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::json;

use crate::configuration::ByFile;
use crate::lab::Lab;
use crate::plan_command::plan;

pub(crate) async fn the_log_the_status_and_a_plan_name_them(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let local = lab.cluster("local").await?;
    let source = json!({"name": "east", "url": "https://127.0.0.1:1", "prefix": "east"});
    let mut config = json!({"holdSeconds": 60, "sources": [source]});
    let flags = ["--lease-name=x", "--mirror-namespace=mirrors"];
    let it = ByFile::launch(&lab, &local, &config, "admin", &flags)?;
    let key = "holdSeconds is deprecated: use deletionHold";
    let flag = "flag --lease-name is deprecated: use --leader-elect-resource-name";
    for words in [key, flag] {
        it.eventually_says(words).await?;
        let log = it.reflector.log();
        ensure!(log.contains(words), "no {words}: {log}");
    }
    let file = it.file.to_string_lossy().into_owned();
    let kubeconfig = local.plane.kubeconfig();
    let (_, planned) = plan(&kubeconfig, &["--config", &file]).await?;
    ensure!(planned["warnings"] == json!([key]), "{planned}");

    // A configuration that changes is judged again.
    config["localRanges"] = json!(["10.9.0.0/16"]);
    it.becomes(&config.to_string())?;
    it.eventually_says("localRanges is deprecated: use localCIDRs")
        .await?;
    ensure!(it.reflector.log().matches(key).count() == 1, "told twice");
    Ok(())
}
