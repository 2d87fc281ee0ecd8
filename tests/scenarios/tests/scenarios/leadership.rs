//! Of several reflectors one writes, and another takes its place.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use control_plane::{ControlPlane, Scene};
use tokio::time::Instant;

use crate::lab::{Cluster, Lab, MIRRORS, Program, eventually, meanwhile, mirror, program};

const USERS: [&str; 2] = ["one", "two"];

/// A local cluster that tells its writers apart.
async fn local(scene: &Scene) -> anyhow::Result<Cluster> {
    let mut builder = ControlPlane::builder("local").controllers().audit();
    for user in USERS {
        builder = builder.user(user);
    }
    let plane = scene.start(builder).await?;
    let client = plane.client().await?;
    let cluster = Cluster { plane, client };
    cluster.create_namespace(MIRRORS).await?;
    let subject = |user| {
        format!(r#"{{"kind":"User","name":"{user}","apiGroup":"rbac.authorization.k8s.io"}}"#)
    };
    let binding = format!(
        r#"{{"metadata":{{"name":"reflectors"}},"roleRef":{{"kind":"ClusterRole","name":"cluster-admin","apiGroup":"rbac.authorization.k8s.io"}},"subjects":[{}]}}"#,
        USERS.map(subject).join(",")
    );
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    cluster.post(bindings, &binding).await?;
    Ok(cluster)
}

async fn reflector(
    lab: &Lab,
    local: &Cluster,
    user: &str,
    source: &str,
) -> anyhow::Result<Program> {
    let mut command = Command::new(program("reflector")?);
    command
        .arg("--kubeconfig")
        .arg(local.plane.kubeconfig_for(user))
        .args(["--mirror-namespace", MIRRORS, "--source", source])
        .args([
            "--leader-elect",
            "--leader-elect-resource-namespace",
            MIRRORS,
        ]);
    let reflector = lab.start(&format!("reflector-{user}"), command, None)?;
    reflector.ready().await?;
    Ok(reflector)
}

async fn leads(reflector: &Program) -> anyhow::Result<bool> {
    Ok(reflector.status().await?["leader"] == true)
}

async fn takes_over(reflector: &Program) -> anyhow::Result<()> {
    eventually("it leads", async || {
        ensure!(leads(reflector).await?);
        Ok(())
    })
    .await
}

/// Who wrote mirrors, one after another.
fn writers(local: &Cluster) -> anyhow::Result<Vec<String>> {
    let events = local.plane.audit_events()?;
    let writes = events.into_iter().filter(|event| {
        let is_mirror = matches!(event.resource.as_str(), "services" | "endpointslices");
        event.is_write() && is_mirror && USERS.contains(&event.user.as_str())
    });
    let mut writers: Vec<_> = writes.map(|event| event.user).collect();
    writers.dedup();
    Ok(writers)
}

/// How long it takes until a new Service is mirrored.
async fn mirrored(east: &Cluster, local: &Cluster, name: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    east.create_service(name).await?;
    local.eventually_has(&mirror("east", name), &[]).await?;
    Ok(begun.elapsed())
}

pub(crate) async fn a_standby_takes_over_and_nobody_writes_beside_it(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(Arc::clone(&scene))?;
    let (east, local) = tokio::try_join!(lab.cluster("east"), local(&scene))?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    let one = reflector(&lab, &local, "one", &source).await?;
    takes_over(&one).await?;
    let two = reflector(&lab, &local, "two", &source).await?;
    mirrored(&east, &local, "a").await?;
    ensure!(!leads(&two).await?, "both lead");

    // Killed: the lease must run out.
    one.kill().await?;
    let took = mirrored(&east, &local, "b").await?;
    eprintln!("a change came through {took:?} after its writer was killed");
    ensure!(took < Duration::from_secs(12), "{took:?}");

    // Stopped: the lease is let go.
    one.start().await?;
    two.stop().await?;
    let took = mirrored(&east, &local, "c").await?;
    eprintln!("a change came through {took:?} after its writer was stopped");
    ensure!(took < Duration::from_secs(2), "{took:?}");

    let found = writers(&local)?;
    ensure!(found == ["one", "two", "one"], "{found:?}");
    Ok(())
}

pub(crate) async fn a_replica_that_lost_its_lease_writes_nothing_more(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(Arc::clone(&scene))?;
    let (east, local) = tokio::try_join!(lab.cluster("east"), local(&scene))?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    let one = reflector(&lab, &local, "one", &source).await?;
    takes_over(&one).await?;
    mirrored(&east, &local, "a").await?;
    east.create_service(&"n".repeat(63)).await?;
    has_problems(&one, 1.0).await?;

    // A third one, which does not write, has it.
    let lease =
        format!("/apis/coordination.k8s.io/v1/namespaces/{MIRRORS}/leases/heliograph-reflector");
    local
        .patch(&lease, r#"{"spec":{"holderIdentity":"third"}}"#)
        .await?;
    eventually("it stands by", async || {
        ensure!(!leads(&one).await?);
        Ok(())
    })
    .await?;
    // Alerts sum what all replicas say.
    has_problems(&one, 0.0).await?;
    east.create_service("b").await?;
    meanwhile("nothing is written", async || {
        ensure!(local.service(&mirror("east", "b")).await?.is_none());
        Ok(())
    })
    .await?;
    let status = one.status().await?;
    ensure!(
        status["sources"][0]["resources"][0]["objects"] == 3,
        "{status}"
    );

    // Nobody renews it, and it is free again.
    local.eventually_has(&mirror("east", "b"), &[]).await?;
    has_problems(&one, 1.0).await
}

/// Waits until the metrics of a replica have that many problems of names.
async fn has_problems(reflector: &Program, n: f64) -> anyhow::Result<()> {
    eventually("its metrics have that many problems", async || {
        let labels = r#"reason="NameTooLong""#;
        let found = reflector.metric("heliograph_reflector_problems", labels);
        let found = found.await?;
        ensure!((found - n).abs() < 0.5, "{found}");
        Ok(())
    })
    .await
}
