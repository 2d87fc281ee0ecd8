//! Consumers go on where they were: after a restart, at another replica, at another tier.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use proto_types::ResourceVersion;

use crate::lab::{Cluster, EXPORT, Lab, Program, eventually, free_port, get, program};
use crate::stream::{SERVICES, Watch, client, state};

/// An emitter whose upstream is another one.
pub(crate) async fn relay(lab: &Lab, upstream: &str) -> anyhow::Result<Program> {
    relay_with(lab, upstream, &[]).await
}

async fn relay_with(lab: &Lab, upstream: &str, further: &[String]) -> anyhow::Result<Program> {
    let port = free_port()?;
    let mut command = Command::new(program("emitter")?);
    command
        .args(["--selector", &format!("{EXPORT}=true"), "--secure-port=0"])
        .args(["--insecure-bind-address=127.0.0.1", "--fields=all"])
        .arg(format!("--insecure-port={port}"))
        .args(["--upstream-url", upstream])
        .args(further);
    let relay = lab.start("relay", command, Some(port))?;
    relay.ready().await?;
    Ok(relay)
}

pub(crate) async fn revision_of(url: &str) -> anyhow::Result<ResourceVersion> {
    Ok(state(&serde_json::from_str(&get(url, SERVICES).await?)?)?.0)
}

/// Objects come, change and go; returns the resource version of the last change.
pub(crate) async fn change(east: &Cluster, round: &str) -> anyhow::Result<ResourceVersion> {
    for i in 0..5 {
        east.create_service(&format!("{round}-{i}")).await?;
        let patch = format!(r#"{{"metadata":{{"annotations":{{"round":"{round}-{i}"}}}}}}"#);
        east.patch_service("demo/web", &patch).await?;
    }
    for i in 0..3 {
        east.delete_service(&format!("demo/{round}-{i}")).await?;
    }
    let last = format!("{round}-last");
    east.create_service(&last).await?;
    let last = east.service(&format!("demo/{last}")).await?;
    let last = last.context("it is there")?;
    let revision = last["metadata"]["resourceVersion"].as_str();
    Ok(revision.context("it has one")?.parse()?)
}

/// What the API server tells of the time since, and what this server does.
async fn tells_the_same(
    east: &Cluster,
    url: &str,
    since: ResourceVersion,
    last: ResourceVersion,
) -> anyhow::Result<()> {
    let query = format!("resourceVersion={since}&timeoutSeconds=60");
    let mut theirs = Watch::open(&east.client, &query).await?;
    let mut ours = Watch::open(&client(url)?, &query).await?;
    let (theirs, ours) = tokio::try_join!(theirs.through(last), ours.through(last))?;
    ensure!(theirs == ours, "the events differ:\n{theirs:#?}\n{ours:#?}");
    Ok(())
}

/// Reads see every write before them, and the identity is the cluster's.
async fn tells_what_is(east: &Cluster, url: &str) -> anyhow::Result<()> {
    east.patch_service("demo/web", r#"{"metadata":{"labels":{"fresh":"yes"}}}"#)
        .await?;
    let read = get(url, "/api/v1/namespaces/demo/services/web").await?;
    ensure!(read.contains(r#""fresh":"yes""#), "{read}");
    let uid = east.read("/api/v1/namespaces/kube-system").await?;
    let uid = uid["metadata"]["uid"].as_str().context("it has one")?;
    eventually("the uid is told", async || {
        let told = get(url, "/api/v1/namespaces/kube-system").await?;
        ensure!(told.contains(uid), "{told}");
        Ok(())
    })
    .await
}

/// How often upstream has been asked to list or to watch Services, but for probes.
fn asked(east: &Cluster) -> anyhow::Result<usize> {
    let events = east.plane.audit_events()?;
    let ours = events.iter().filter(|it| {
        it.resource == "services"
            && it.uri.contains("%21heliograph.dev")
            && (it.verb == "watch" || it.uri.contains("resourceVersion"))
    });
    Ok(ours.count())
}

pub(crate) async fn a_watch_from_before_a_restart_resumes(scene: Arc<Scene>) -> anyhow::Result<()> {
    const STORM: usize = 100;
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_service("web").await?;
    let emitter = lab.emitter(&east, &["--fields=all"]).await?;
    let before = revision_of(&emitter.url).await?;
    change(&east, "seen").await?;
    emitter.kill().await?;
    let last = change(&east, "missed").await?;
    emitter.start().await?;
    tells_the_same(&east, &emitter.url, before, last).await?;

    // A page begun before goes on too, as it was.
    let exactly = format!("?resourceVersion={before}&resourceVersionMatch=Exact");
    let theirs = format!("{SERVICES}{exactly}&labelSelector={EXPORT}%3Dtrue");
    let theirs = east.read(&theirs).await?;
    let ours = get(&emitter.url, &format!("{SERVICES}{exactly}")).await?;
    ensure!(
        serde_json::from_str::<serde_json::Value>(&ours)? == theirs,
        "{ours}"
    );

    let n_asked = asked(&east)?;
    let here = client(&emitter.url)?;
    let query = format!("resourceVersion={before}&timeoutSeconds=60");
    let storm = (0..STORM).map(|_| async {
        let mut watch = Watch::open(&here, &query).await?;
        watch.through(last).await
    });
    let told = futures::future::try_join_all(storm).await?;
    ensure!(
        told.iter().all(|it| *it == told[0]),
        "they were told otherwise"
    );
    ensure!(
        asked(&east)? == n_asked,
        "consumers who return cost the API server something"
    );
    Ok(())
}

pub(crate) async fn a_consumer_may_move_between_tiers(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_service("web").await?;
    let first = lab.emitter(&east, &["--fields=all"]).await?;
    let second = relay(&lab, &first.url).await?;
    let third = relay(&lab, &second.url).await?;
    let before = revision_of(&third.url).await?;
    let last = change(&east, "one").await?;
    for tier in [&first, &second, &third] {
        tells_the_same(&east, &tier.url, before, last).await?;
    }
    tells_what_is(&east, &third.url).await?;

    // A tier in between that restarts takes nothing away.
    let before = revision_of(&third.url).await?;
    second.kill().await?;
    let last = change(&east, "two").await?;
    let listed = get(&third.url, &format!("{SERVICES}?resourceVersion=0")).await?;
    ensure!(listed.contains("one-last"), "{listed}");
    second.start().await?;
    for tier in [&second, &third] {
        tells_the_same(&east, &tier.url, before, last).await?;
    }
    Ok(())
}

/// Where nobody hands out a kubeconfig, a URL, an authority and a token do.
pub(crate) async fn an_api_server_may_be_followed_by_its_url(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_service("web").await?;
    let token = lab.file("token", &east.plane.admin_token())?;
    let further = [
        format!(
            "--upstream-ca-file={}",
            east.plane.authority_file().display()
        ),
        format!("--upstream-token-file={}", token.display()),
    ];
    let emitter = relay_with(&lab, &east.plane.url(), &further).await?;
    let before = revision_of(&emitter.url).await?;
    let last = change(&east, "one").await?;
    tells_the_same(&east, &emitter.url, before, last).await?;
    tells_what_is(&east, &emitter.url).await
}
