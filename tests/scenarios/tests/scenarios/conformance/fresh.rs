//! Who writes upstream and then reads here sees what it wrote.

use std::sync::Arc;

use anyhow::ensure;
use control_plane::Scene;
use futures::future::try_join_all;

use crate::lab::{Cluster, Lab, get, service_path};

const WRITES: usize = 300;
const READERS: usize = 100;

pub(crate) async fn a_read_sees_every_write_before_it(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_service("web").await?;
    let emitter = lab.emitter(&east, &["--fields=all"]).await?;
    for i in 0..WRITES {
        let written = format!(r#"{{"metadata":{{"labels":{{"round":"r{i}"}}}}}}"#);
        east.patch_service("demo/web", &written).await?;
        let path = match i % 2 {
            0 => "/api/v1/services".to_owned(),
            _ => service_path("demo/web"),
        };
        let read = get(&emitter.url, &path).await?;
        ensure!(read.contains(&format!(r#""r{i}""#)), "write {i}: {read}");
    }

    let before = lists(&east)?;
    let reads = (0..READERS).map(|_| get(&emitter.url, "/api/v1/services"));
    try_join_all(reads).await?;
    // How many share a list depends on how close together they come.
    let n_lists = lists(&east)? - before;
    ensure!(
        n_lists <= READERS / 2,
        "{READERS} readers cost {n_lists} lists upstream"
    );
    Ok(())
}

/// How many lists the emitter has asked for.
fn lists(cluster: &Cluster) -> anyhow::Result<usize> {
    let events = cluster.plane.audit_events()?;
    let ours = events.iter().filter(|it| {
        it.verb == "list" && it.resource == "services" && it.uri.contains("%21heliograph.dev")
    });
    Ok(ours.count())
}
