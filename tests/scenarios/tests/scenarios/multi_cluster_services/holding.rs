//! Exports that go in mass: their imports are held, told, released by hand, and then deleted.

use std::sync::Arc;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::json;

use super::{clusters, configuration, export, import, start, unexport};
use crate::lab::{Cluster, Lab, Program, eventually, meanwhile};

/// Exports of the source.
const N: usize = 8;

fn name(i: usize) -> String {
    format!("s{i}")
}

async fn n_imports(cluster: &Cluster) -> anyhow::Result<usize> {
    let mut n = 0;
    for i in 0..N {
        n += usize::from(import(cluster, &name(i)).await?.is_some());
    }
    Ok(n)
}

/// Checks the number of held deletions in metrics and status, and the remedy.
async fn is_told(reflector: &Program, n: usize) -> anyhow::Result<()> {
    let labels = r#"{source="east",resource="serviceexports"}"#;
    let held = reflector
        .metric("heliograph_reflector_held_deletions", labels)
        .await?;
    let status = reflector.status().await?;
    let held = (held, status["held"][0]["deletions"].as_u64());
    ensure!(held == (n as f64, Some(n as u64)), "{held:?}: {status}");
    let problems = status["problems"].to_string();
    ensure!(problems.contains("allow-deletion=true"), "{problems}");
    Ok(())
}

pub(crate) async fn imports_of_exports_that_go_in_mass_are_held(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, west) = clusters(&lab).await?;
    for i in 0..N {
        east.create_service(&name(i)).await?;
        export(&east, &name(i), &json!({})).await?;
    }
    let mut configuration = configuration(&west, &east);
    configuration["deletionHold"] = json!("20s");
    let reflector = start(&lab, &west, &configuration).await?;
    eventually("all are imported, and name their cluster", async || {
        for i in 0..N {
            let import = import(&west, &name(i)).await?.unwrap_or_default();
            ensure!(
                import["status"]["clusters"][0]["cluster"] == "east",
                "{import}"
            );
        }
        Ok(())
    })
    .await?;
    // The first list after a start lacks all of them.
    reflector.stop().await?;
    for i in 0..N {
        unexport(&east, &name(i)).await?;
    }
    reflector.start().await?;
    eventually("all are held", async || is_told(&reflector, N).await).await?;
    meanwhile("none of them goes", async || {
        ensure!(n_imports(&west).await? == N);
        Ok(())
    })
    .await?;
    import_tells_it(&west).await?;
    // With the words of the problem.
    let allow = "heliograph.dev/allow-deletion=true";
    let kubectl = west.plane.kubectl();
    kubectl
        .run(["annotate", "serviceimport", "s3", "-n", "demo", allow])
        .await?;
    eventually("the one that was allowed goes", async || {
        ensure!(import(&west, "s3").await?.is_none());
        Ok(())
    })
    .await?;
    ensure!(n_imports(&west).await? == N - 1, "others went with it");
    eventually("another list confirms the rest", async || {
        ensure!(n_imports(&west).await? == 0);
        Ok(())
    })
    .await
}

/// Waits for the condition of a held import, and for its Event.
async fn import_tells_it(west: &Cluster) -> anyhow::Result<()> {
    let stale = west.plane.kubectl();
    let condition = "jsonpath={.status.conditions[?(@.type==\"Stale\")].reason}";
    let stale = stale.run(["get", "serviceimport", "s0", "-n", "demo", "-o", condition]);
    let stale = stale.await?;
    ensure!(stale.contains("DeletionHeld"), "{stale}");
    eventually("the import has an Event", async || {
        let kubectl = west.plane.kubectl();
        let described = kubectl.run(["describe", "serviceimport", "s0", "-n", "demo"]);
        let described = described.await?;
        let events = described.split("Events:").nth(1).unwrap_or_default();
        ensure!(events.contains("DeletionHeld"), "{described}");
        Ok(())
    })
    .await
}
