//! Sources that are found: kubeconfigs in a directory, URLs in a ConfigMap.

pub(crate) mod source_api;

use std::fs;
use std::sync::Arc;

use anyhow::ensure;
use control_plane::{Keeper, Scene};
use serde_json::json;

use crate::configuration::ByFile;
use crate::lab::{EXPORT, Lab, MIRRORS, meanwhile, mirror};

pub(crate) async fn a_directory_of_kubeconfigs_is_a_set_of_sources(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let keeper = Keeper::new("kubeconfigs")?;
    let directory = keeper.directory().join("clusters");
    fs::create_dir(&directory)?;
    let kubeconfig = east.plane.inline_kubeconfig()?;
    fs::write(directory.join("east.yaml"), &kubeconfig)?;
    fs::write(directory.join("north"), "{half")?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;

    let each = json!({"prefix": "{source}", "selector": format!("{EXPORT}=true")});
    let config = json!({
        "mirrorNamespace": MIRRORS,
        "kubeconfigDir": {"path": &directory, "defaults": each},
    });
    let it = ByFile::start(&lab, &local, &config).await?;
    let [mine, north, west] = ["east", "north", "west"].map(|it| mirror(it, "web"));
    local.eventually_has(&mine, &["10.1.0.1"]).await?;
    it.eventually_says("north is malformed").await?;

    // One is added, one becomes whole, and nobody else is disturbed.
    let writes = local.mirror_writes()?;
    fs::write(directory.join("west.conf"), &kubeconfig)?;
    local.eventually_has(&west, &["10.1.0.1"]).await?;
    fs::write(directory.join("north"), &kubeconfig)?;
    local.eventually_has(&north, &["10.1.0.1"]).await?;
    it.eventually_does_not_say("malformed").await?;
    local.eventually_wrote(writes + 4).await?;

    // One breaks: while the reflector runs, and when it starts, its mirrors stay.
    fs::write(directory.join("east.yaml"), "{half")?;
    it.reflector.stop().await?;
    it.reflector.start().await?;
    it.eventually_says("east.yaml is malformed").await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    local.eventually_has(&north, &["10.1.0.2"]).await?;
    local.eventually_has(&mine, &["10.1.0.1"]).await?;
    local.eventually_wrote(writes + 6).await?;

    // One goes, and then, by accident, all of them.
    fs::remove_file(directory.join("west.conf"))?;
    it.eventually_says("SourceRemoved").await?;
    fs::rename(&directory, keeper.directory().join("elsewhere"))?;
    it.eventually_says("cannot read kubeconfigDir").await?;
    east.set_endpoints("web", &["10.1.0.3"]).await?;
    local.eventually_has(&north, &["10.1.0.3"]).await?;
    local.eventually_has(&west, &["10.1.0.2"]).await?;
    let mut emptied = config;
    emptied["removedSources"] = json!("delete");
    fs::create_dir(&directory)?;
    it.becomes(&emptied.to_string())?;
    it.eventually_says("is empty, and with removedSources: delete")
        .await?;
    meanwhile("all mirrors stay", async || {
        ensure!(local.mirror_writes()? == writes + 7, "something is written");
        Ok(())
    })
    .await
}
