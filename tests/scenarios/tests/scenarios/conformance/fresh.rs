//! Who writes upstream and then reads here sees what it wrote.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Scene;
use futures::future::try_join_all;

use crate::lab::{Cluster, Lab, get, service_path};

const WRITES: usize = 300;
const READERS: usize = 100;
const THOUGHT: Duration = Duration::from_secs(2);
// Two, and some for readers that a busy machine keeps back.
const MAX_LISTS: usize = 10;

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

    // While the API server thinks, all readers come; one list answers the first, and one
    // that begins after that answers all others.
    let before = lists(&east)?;
    east.plane.pause_apiserver()?;
    let reads = (0..READERS).map(|_| get(&emitter.url, "/api/v1/services"));
    let resumed = async {
        tokio::time::sleep(THOUGHT).await;
        east.plane.resume_apiserver()
    };
    tokio::try_join!(try_join_all(reads), resumed)?;
    let n_lists = lists(&east)? - before;
    ensure!(
        n_lists <= MAX_LISTS,
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
