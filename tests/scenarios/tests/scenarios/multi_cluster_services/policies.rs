//! Import policies on real control planes: one cluster limits what the other's exports do to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::{Value, json};

use super::{clusters, configuration, export, imported, slices, start};
use crate::lab::{Cluster, Lab, Program, eventually};

pub(crate) async fn policies_of_a_source_limit_its_exports(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, west) = clusters(&lab).await?;
    for name in ["web", "secret-web"] {
        east.create_service(name).await?;
        east.set_endpoints(name, &["10.1.0.1", "10.9.0.1"]).await?;
        let annotations = json!({"note": "b", "heliograph.dev/allow-deletion": "true"});
        export(&east, name, &json!({"exportedAnnotations": annotations})).await?;
    }
    let mut limited = configuration(&west, &east);
    limited["localCIDRs"] = json!(["10.9.0.0/16"]);
    limited["sources"][0]["import"] = json!({"names": {"deny": ["secret-*"]}});
    let [limited, free] = [limited, configuration(&east, &west)];
    let limited = start(&lab, &west, &limited).await?;
    let _free = start(&lab, &east, &free).await?;
    eventually("the exporter imports both as they are", async || {
        imported(&east, "secret-web").await?;
        has_addresses(&east, &["10.1.0.1", "10.9.0.1"]).await
    })
    .await?;
    eventually("the other imports what its policy admits", async || {
        has_addresses(&west, &["10.1.0.1"]).await?;
        let import = imported(&west, "web").await?;
        let annotations = &import["metadata"]["annotations"];
        ensure!(annotations["note"] == "b", "{import}");
        ensure!(
            annotations["heliograph.dev/allow-deletion"].is_null(),
            "{import}"
        );
        Ok(())
    })
    .await?;
    ensure!(super::import(&west, "secret-web").await?.is_none());
    eventually("what is left out is reported, and why", async || {
        is_told(&limited, &west).await
    })
    .await
}

async fn has_addresses(cluster: &Cluster, expected: &[&str]) -> anyhow::Result<()> {
    let slices = slices(cluster, "web").await?;
    let endpoints = slices.iter().filter_map(|it| it["endpoints"].as_array());
    let addresses = endpoints
        .flatten()
        .filter_map(|it| it["addresses"][0].as_str());
    let addresses: BTreeSet<_> = addresses.collect();
    ensure!(addresses.iter().eq(expected), "{addresses:?}");
    Ok(())
}

async fn is_told(reflector: &Program, cluster: &Cluster) -> anyhow::Result<()> {
    let status = reflector.status().await?;
    let problems = status["problems"].as_array().into_iter().flatten();
    let reasons: BTreeSet<_> = problems.filter_map(|it| it["reason"].as_str()).collect();
    let expected = [
        "AddressInLocalCIDR",
        "AnnotationNotAllowed",
        "NameNotAllowed",
    ];
    ensure!(reasons.iter().eq(&expected), "{status}");
    let events: Value = cluster.read("/api/v1/namespaces/demo/events").await?;
    let events = events["items"].as_array().cloned().unwrap_or_default();
    for reason in expected {
        let is_event = |it: &Value| it["reason"] == reason;
        ensure!(events.iter().any(is_event), "no Event {reason}");
    }
    Ok(())
}
