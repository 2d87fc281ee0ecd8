//! The most of everything that an API server takes, and a namespace that goes.

use std::sync::Arc;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::{Value, json};

use super::{EXPORT, is_mirrored, nothing_is_written_twice, post_slice, reflector, slices_of};
use crate::lab::{Lab, eventually};

const N_PORTS: usize = 250;
const N_ENDPOINTS: usize = 1000;

pub(crate) async fn the_most_that_a_service_may_have_is_mirrored(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let ports = |first: usize| -> Value {
        let port = |i| json!({"name": format!("p-{i}"), "port": first + i, "protocol": "TCP"});
        (0..N_PORTS).map(port).collect()
    };
    let endpoint = |i: usize| json!({"addresses": [format!("10.1.{}.{}", i / 250, i % 250 + 1)]});
    let endpoints: Value = (0..N_ENDPOINTS).map(endpoint).collect();
    let spec = json!({"ports": ports(1000)});
    east.create_service_with("most", &spec.to_string()).await?;
    let slice = json!({"addressType": "IPv4", "ports": ports(5000), "endpoints": endpoints});
    post_slice(&east, "most", "most-1", slice).await?;
    // Names that are no addresses, in a slice that somebody writes.
    east.create_service("named").await?;
    let named = json!({"addressType": "FQDN", "endpoints": [{"addresses": ["a.example.org"]}]});
    post_slice(&east, "named", "named-1", named).await?;
    // The longest name that fits, in a namespace and behind a prefix.
    let longest = "l".repeat(63 - "east-demo-73736d-".len());
    east.create_service(&longest).await?;
    let reflector = reflector(&lab, &east, &local).await?;

    is_mirrored(&local, "most", &spec).await?;
    eventually("all of the slice is there", async || {
        let found = slices_of(&local, "most").await?;
        ensure!(found.len() == 1, "there are {}", found.len());
        let length = |key: &str| found[0][key].as_array().map_or(0, Vec::len);
        ensure!(length("ports") == N_PORTS, "{} ports", length("ports"));
        let n_endpoints = length("endpoints");
        ensure!(n_endpoints == N_ENDPOINTS, "{n_endpoints} endpoints");
        Ok(())
    })
    .await?;
    eventually("names are there as names", async || {
        let found = slices_of(&local, "named").await?;
        ensure!(found.len() == 1, "there are {}", found.len());
        let (kind, addresses) = (&found[0]["addressType"], &found[0]["endpoints"]);
        ensure!(kind == "FQDN", "{kind}");
        ensure!(
            addresses[0]["addresses"][0] == "a.example.org",
            "{addresses}"
        );
        Ok(())
    })
    .await?;
    is_mirrored(&local, &longest, &json!({"type": "ClusterIP"})).await?;
    nothing_is_written_twice(&reflector, &local, true).await?;

    let too_long = format!("{longest}l");
    east.create_service(&too_long).await?;
    eventually("a name that is too long is told", async || {
        let problems = reflector.status().await?["problems"].to_string();
        ensure!(problems.contains("NameTooLong"), "{problems}");
        ensure!(problems.contains(&too_long), "{problems}");
        Ok(())
    })
    .await
}

const DEMO: &str = "/api/v1/namespaces/demo";

pub(crate) async fn a_namespace_that_goes_is_told_and_made_again(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let source = format!(
        "name=east,kubeconfig={},sameName=true,namespaces=*,createNamespace=true,selector={EXPORT}=true",
        east.plane.kubeconfig().display()
    );
    let reflector = lab.reflector(&local, &[&source]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    local.eventually_has("demo/web", &["10.1.0.1"]).await?;

    // Somebody holds it while it goes.
    let held = r#"{"metadata":{"finalizers":["example.org/hold"]}}"#;
    local.patch(DEMO, held).await?;
    local.delete(DEMO).await?;
    eventually("that it goes is told", async || {
        let problems = reflector.status().await?["problems"].to_string();
        ensure!(problems.contains("being terminated"), "{problems}");
        Ok(())
    })
    .await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    local
        .patch(DEMO, r#"{"metadata":{"finalizers":null}}"#)
        .await?;
    local.eventually_has("demo/web", &["10.1.0.2"]).await?;
    eventually("nothing is wrong any more", async || {
        let problems = &reflector.status().await?["problems"];
        ensure!(*problems == json!([]), "{problems}");
        Ok(())
    })
    .await
}
