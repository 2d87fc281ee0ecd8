//! What may come in, what it is called, and what is released by hand.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::{Value, json};

use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, Program, eventually, meanwhile, program};

async fn by_file(lab: &Lab, local: &Cluster, config: &Value) -> anyhow::Result<Program> {
    let mut command = Command::new(program("reflector")?);
    command.arg("--kubeconfig").arg(local.plane.kubeconfig());
    command.arg("--config");
    command.arg(lab.file("config.yaml", &config.to_string())?);
    let reflector = lab.start("reflector", command, None)?;
    reflector.ready().await?;
    Ok(reflector)
}

/// A source of which some comes in, under names of our own.
fn limited(url: &str) -> Value {
    json!({
        "mirrorNamespace": MIRRORS,
        "sources": [{
            "name": "east", "url": url, "prefix": "e",
            "naming": {
                "template": "{prefix}-{name}-6d6972726f720a-{namespace}",
                "namespaces": {"demo": "shop"},
                "aliases": true,
            },
            "import": {
                "names": {"deny": ["secret-*"]},
                "ports": [80],
                "addresses": ["10.1.0.0/16"],
                "labels": ["team"],
            },
        }],
    })
}

pub(crate) async fn the_imported_services_and_their_names_are_as_configured(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab
        .emitter(&east, &["--export-annotations=heliograph.dev/alias"])
        .await?;
    local.create_namespace("shop").await?;
    let two = r#"{"ports":[{"name":"http","port":80},{"name":"admin","port":9000}]}"#;
    east.create_service_with("web", two).await?;
    // One where its pods are, one where ours may be.
    east.set_endpoints("web", &["10.1.0.1", "10.9.0.1"]).await?;
    for name in ["secret-db", "long"] {
        east.create_service(name).await?;
    }
    let alias = r#"{"metadata":{"annotations":{"heliograph.dev/alias":"nice"}}}"#;
    east.patch_service("demo/long", alias).await?;
    let team = r#"{"metadata":{"labels":{"team":"shop"}}}"#;
    east.patch_service("demo/web", team).await?;
    let config = limited(&emitter.url);
    let reflector = by_file(&lab, &local, &config).await?;
    let web = "shop/e-web-6d6972726f720a-demo";
    local.eventually_has(web, &["10.1.0.1"]).await?;
    local.eventually_has("shop/nice", &[]).await?;
    let service = local.service(web).await?.context("it is there")?;
    let ports = service["spec"]["ports"]
        .as_array()
        .context("it has ports")?;
    ensure!(ports.len() == 1 && ports[0]["port"] == 80, "{service}");
    ensure!(service["metadata"]["labels"]["team"] == "shop", "{service}");
    eventually("what does not come in is told", async || {
        let problems = reflector.status().await?["problems"].to_string();
        for words in ["demo/secret-db", "9000", "10.9.0.1"] {
            ensure!(problems.contains(words), "no {words} in {problems}");
        }
        Ok(())
    })
    .await?;
    let denied = "shop/e-secret-db-6d6972726f720a-demo";
    ensure!(local.service(denied).await?.is_none(), "it came in");
    // Without its alias it has the usual name.
    let none = r#"{"metadata":{"annotations":{"heliograph.dev/alias":null}}}"#;
    east.patch_service("demo/long", none).await?;
    local
        .eventually_has("shop/e-long-6d6972726f720a-demo", &[])
        .await?;
    local.eventually_lacks("shop/nice").await
}

/// How many deletions are held, and all that is told.
async fn held(reflector: &Program) -> anyhow::Result<(usize, Value)> {
    let status = reflector.status().await?;
    let problems = status["problems"].as_array();
    let problems = problems.context("there are problems")?;
    let held = problems.iter().filter(|it| it["reason"] == "DeletionHeld");
    Ok((held.count(), status))
}

/// Says of a mirror what its problem asks for.
async fn release(local: &Cluster, key: &str) -> anyhow::Result<()> {
    let (namespace, service) = key.split_once('/').context("a key is namespace/name")?;
    let words = [
        "annotate",
        "service",
        service,
        "-n",
        namespace,
        "heliograph.dev/allow-deletion=true",
    ];
    local.plane.kubectl().run(words).await?;
    Ok(())
}

/// More than half of a dozen Services that go at once.
pub(crate) async fn a_mass_deletion_is_held_and_released_by_hand(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const N: usize = 12;
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let name = |i: usize| format!("s{i}");
    for i in 0..N {
        east.create_service(&name(i)).await?;
    }
    let source = json!({
        "name": "east", "kubeconfig": east.plane.kubeconfig(), "prefix": "east",
        "selector": format!("{EXPORT}=true"),
    });
    let config = json!({"mirrorNamespace": MIRRORS, "deletionHold": "1h", "sources": [source]});
    let reflector = by_file(&lab, &local, &config).await?;
    let mirror = |i: usize| crate::lab::mirror("east", &name(i));
    for i in 0..N {
        local.eventually_has(&mirror(i), &[]).await?;
    }
    // A list, and no event, tells that they are gone.
    reflector.stop().await?;
    for i in 0..N {
        east.delete_service(&format!("demo/{}", name(i))).await?;
    }
    reflector.start().await?;
    eventually("all of them are held", async || {
        let (n_held, status) = held(&reflector).await?;
        ensure!(
            n_held == N
                && status["problems"]
                    .to_string()
                    .contains("allow-deletion=true"),
            "{status}"
        );
        Ok(())
    })
    .await?;
    meanwhile("none of them goes", async || {
        ensure!(local.service(&mirror(0)).await?.is_some());
        Ok(())
    })
    .await?;
    // With the words of the problem.
    let key = mirror(3);
    release(&local, &key).await?;
    local.eventually_lacks(&key).await?;
    eventually("the others are held still", async || {
        let (n_held, status) = held(&reflector).await?;
        ensure!(n_held == N - 1, "{status}");
        Ok(())
    })
    .await?;
    ensure!(local.service(&mirror(4)).await?.is_some(), "it went too");
    Ok(())
}
