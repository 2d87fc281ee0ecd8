//! Whatever fails, in whatever way: no mirror goes that its source still has, and what
//! comes back converges. The embedded clusters' own notes tell what was written.

mod gate;
pub(crate) mod here;
pub(crate) mod real;
pub(crate) mod restored;
pub(crate) mod ways;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Scene;
use embedded_cluster::{EmbeddedCluster, Fault, Kind, Verb};

use crate::embedded::{World, remove_service, set_service};
use crate::lab::{eventually, mirror};

/// More than are deleted at once without a second thought.
const N_SERVICES: usize = 12;

/// The ways in which a source fails for a while, by the source's name.
fn ways() -> Vec<(&'static str, Fault)> {
    let slow = Fault::Slow {
        latency: Duration::from_millis(300),
        bytes_per_second: 20_000,
    };
    let throttled = Fault::Answer {
        code: 429,
        retry_after: Some(2),
    };
    vec![
        ("killed", Fault::Refuse),
        ("hanging", Fault::Hang),
        ("partitioned", Fault::HalfOpen),
        ("slow", slow),
        ("unauthorized", Fault::status(401)),
        ("forbidden", Fault::status(403)),
        ("gone", Fault::status(410)),
        ("throttled", throttled),
        ("failing", Fault::status(500)),
        ("late", Fault::status(504)),
        ("garbage", Fault::Garbage),
        ("cut", Fault::Cut),
        ("empty", Fault::EmptyLists),
    ]
}

pub(crate) async fn however_a_source_fails_its_mirrors_stay_and_come_right(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let ways = ways();
    let mut names: Vec<&str> = ways.iter().map(|(name, _)| *name).collect();
    names.push("healthy");
    let world = World::new(scene, &names, N_SERVICES).await?;
    for (name, fault) in &ways {
        let source = world.source(name)?;
        source.fail(fault.clone());
        // What resumes must list again, into the fault. Lines that fell silent stay.
        if !matches!(fault, Fault::HalfOpen | Fault::Slow { .. }) {
            source.compact();
            source.cut_connections();
        }
    }
    for source in &world.sources {
        change(source)?;
    }
    world.converges_for(&["healthy"]).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let wrong: Vec<String> = world
        .deleted()
        .into_iter()
        .filter(|key| !key.ends_with("-svc-0"))
        .collect();
    ensure!(
        wrong.is_empty(),
        "deleted though their sources have them: {wrong:?}"
    );

    for source in &world.sources {
        source.heal();
        // What was told that there is nothing holds on to it, until it lists again.
        if source.name() == "empty" {
            source.compact();
            source.cut_connections();
        }
    }
    world.converges().await?;
    let removed: BTreeSet<String> = names.iter().map(|name| mirror(name, "svc-0")).collect();
    ensure!(world.deleted() == removed, "{:?}", world.deleted());
    world.restarts_without_a_write().await
}

/// One Service goes, one comes, one changes.
fn change(source: &EmbeddedCluster) -> anyhow::Result<()> {
    remove_service(source, "svc-0");
    set_service(source, "svc-1", 81, &["10.2.0.1", "10.2.0.2"])?;
    set_service(source, "svc-new", 80, &["10.2.0.3"])
}

/// Longer than it takes to heal a source, and short enough to wait for.
const HOLD: Duration = Duration::from_secs(5);

/// Makes a change while the server is unreachable, and compacts it: the next request is a list.
async fn forgets(source: &EmbeddedCluster, port: u16) -> anyhow::Result<()> {
    source.fail(Fault::Refuse);
    source.cut_connections();
    // A watch that is written to at this moment could still bring the change, and resume after it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    set_service(source, "svc-1", port, &["10.2.0.1"])?;
    source.compact();
    source.heal();
    Ok(())
}

/// Lists nothing from now on.
async fn lies(source: &EmbeddedCluster, port: u16) -> anyhow::Result<()> {
    forgets(source, port).await?;
    source.fail(Fault::EmptyLists);
    Ok(())
}

pub(crate) async fn a_list_that_is_empty_once_deletes_nothing(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let world = World::holding(scene, &["east"], N_SERVICES, HOLD).await?;
    let east = world.source("east")?;
    // Only the list was wrong; the watch that follows it is as good as any.
    lies(east, 81).await?;
    world.is_held(true).await?;
    east.heal();
    world.is_held(false).await?;
    world.converges().await?;
    ensure!(world.deleted().is_empty(), "{:?}", world.deleted());
    // Nothing comes of it when the source is gone by the end of the hold.
    lies(east, 82).await?;
    world.is_held(true).await?;
    east.fail(Fault::Refuse);
    east.cut_connections();
    tokio::time::sleep(2 * HOLD).await;
    ensure!(world.deleted().is_empty(), "{:?}", world.deleted());
    east.heal();
    world.is_held(false).await?;
    world.converges().await?;
    ensure!(world.deleted().is_empty(), "{:?}", world.deleted());
    world.restarts_without_a_write().await
}

pub(crate) async fn an_empty_list_is_believed_when_it_is_said_twice(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let world = World::holding(scene, &["east"], N_SERVICES, HOLD).await?;
    let east = world.source("east")?;
    lies(east, 81).await?;
    world.is_held(true).await?;
    eventually("it said so twice", async || {
        ensure!(world.deleted().len() == N_SERVICES);
        Ok(())
    })
    .await?;
    forgets(east, 82).await?;
    world.converges().await?;
    world.restarts_without_a_write().await
}

pub(crate) async fn a_source_may_go_back_in_time(scene: Arc<Scene>) -> anyhow::Result<()> {
    let world = World::new(scene, &["east"], N_SERVICES).await?;
    let east = world.source("east")?;
    let backup = east.backup();
    set_service(east, "svc-late", 80, &["10.2.0.4"])?;
    change(east)?;
    world.converges().await?;
    east.restore(&backup);
    world.converges().await?;
    // What was not yet there goes again, and what had gone comes back.
    let deleted = world.deleted();
    let gone = ["svc-0", "svc-late", "svc-new"].map(|it| mirror("east", it));
    ensure!(deleted == BTreeSet::from(gone), "{deleted:?}");
    set_service(east, "svc-2", 82, &["10.2.0.5"])?;
    world.converges().await?;
    world.restarts_without_a_write().await
}

pub(crate) async fn a_source_may_be_replaced_by_another_cluster(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let world = World::new(scene, &["east", "west"], N_SERVICES).await?;
    let east = world.source("east")?;
    let (backup, mirrors) = (east.backup(), world.local.list(Kind::Services));
    world.local.forget_audit();
    east.become_another();
    set_service(east, "svc-1", 99, &["10.9.0.1"])?;
    set_service(east, "svc-strange", 99, &["10.9.0.2"])?;
    eventually("it is refused, and that is said", async || {
        let status = world.reflector.status().await?.to_string();
        ensure!(status.contains("ClusterIdentityMismatch"), "{status}");
        ensure!(status.contains("configure cluster: "), "{status}");
        Ok(())
    })
    .await?;
    let problems = world
        .reflector
        .metric("heliograph_reflector_problems", "ClusterIdentityMismatch");
    ensure!(0.5 < problems.await?, "the metric says nothing");
    // Neither is the other source held up, nor is anything of this one touched, though the
    // reflector starts again.
    set_service(world.source("west")?, "svc-1", 81, &["10.2.0.1"])?;
    world.converges_for(&["west"]).await?;
    world.reflector.stop().await?;
    world.reflector.start().await?;
    set_service(world.source("west")?, "svc-2", 82, &["10.2.0.2"])?;
    world.converges_for(&["west"]).await?;
    eventually("it is still refused", async || {
        let status = world.reflector.status().await?.to_string();
        ensure!(status.contains("ClusterIdentityMismatch"), "{status}");
        Ok(())
    })
    .await?;
    let of_east = |all: &[serde_json::Value]| -> Vec<serde_json::Value> {
        let is_its =
            |it: &&serde_json::Value| it["metadata"]["labels"]["heliograph.dev/source"] == "east";
        all.iter().filter(is_its).cloned().collect()
    };
    let (before, now) = (
        of_east(&mirrors),
        of_east(&world.local.list(Kind::Services)),
    );
    ensure!(before.len() == N_SERVICES && now == before, "{now:#?}");
    ensure!(world.deleted().is_empty(), "{:?}", world.deleted());

    east.restore(&backup);
    set_service(east, "svc-3", 83, &["10.2.0.3"])?;
    world.converges().await?;
    eventually("nothing is said any more", async || {
        let status = world.reflector.status().await?.to_string();
        ensure!(!status.contains("ClusterIdentityMismatch"), "{status}");
        Ok(())
    })
    .await?;
    ensure!(world.deleted().is_empty(), "{:?}", world.deleted());
    world.restarts_without_a_write().await
}

pub(crate) async fn the_local_api_server_may_fail_in_every_way(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let world = World::new(scene, &["east", "west"], N_SERVICES).await?;
    let writes = [Verb::Create, Verb::Update, Verb::Patch, Verb::Delete];
    let throttled = Fault::Answer {
        code: 429,
        retry_after: Some(1),
    };
    let slow = Fault::Slow {
        latency: Duration::from_millis(100),
        bytes_per_second: 0,
    };
    let faults = [
        Fault::Refuse.into(),
        throttled.into(),
        Fault::status(409).for_verbs(&writes),
        Fault::status(500).for_verbs(&writes),
        Fault::status(403).for_verbs(&writes),
        Fault::Garbage.into(),
        Fault::Cut.into(),
        Fault::EmptyLists.into(),
        slow.for_verbs(&writes),
    ];
    for (round, fault) in (1_u16..).zip(faults) {
        let what = format!("{fault:?}");
        world.local.fail(fault);
        if what.contains("EmptyLists") {
            world.local.compact();
            world.local.cut_connections();
        }
        for source in &world.sources {
            set_service(source, "svc-1", 100 + round, &[&format!("10.3.0.{round}")])?;
            set_service(source, "svc-come", 100 + round, &["10.3.1.1"])?;
            remove_service(
                source,
                if round % 2 == 0 {
                    "svc-come"
                } else {
                    "svc-gone"
                },
            );
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.local.heal();
        if what.contains("EmptyLists") {
            world.local.compact();
            world.local.cut_connections();
        }
        let converged = world.converges().await;
        converged.with_context(|| format!("after {what}"))?;
    }
    let allowed = ["east", "west"].map(|it| mirror(it, "svc-come"));
    let deleted = world.deleted();
    ensure!(deleted.is_subset(&allowed.into()), "{deleted:?}");
    world.restarts_without_a_write().await
}

pub(crate) async fn a_reflector_may_be_killed_at_any_point(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const ROUNDS: u16 = 8;
    let world = World::new(scene, &["east"], N_SERVICES).await?;
    let east = world.source("east")?;
    // Every write takes so long that a kill meets some of them half done.
    world.local.fail(Fault::Slow {
        latency: Duration::from_millis(20),
        bytes_per_second: 0,
    });
    for round in 0..ROUNDS {
        let before = world.n_writes();
        for i in 1..N_SERVICES {
            let name = format!("svc-{i}");
            match (usize::from(round) + i) % 3 {
                0 => remove_service(east, &name),
                _ => set_service(east, &name, 200 + round, &[&format!("10.4.{round}.{i}")])?,
            }
        }
        let point = usize::from(round) * 2;
        eventually("it has begun to write", async || {
            ensure!(before + point <= world.n_writes());
            Ok(())
        })
        .await?;
        world.reflector.kill().await?;
        set_service(east, "svc-0", 300 + round, &["10.4.9.9"])?;
        world.reflector.start().await?;
        let converged = world.converges().await;
        converged.with_context(|| format!("killed after {point} writes"))?;
    }
    ensure!(!world.deleted().contains(&mirror("east", "svc-0")));
    world.local.heal();
    world.restarts_without_a_write().await
}
