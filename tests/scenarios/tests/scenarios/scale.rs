//! Many sources at once, and one that hurts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Scene;
use embedded_cluster::{EmbeddedCluster, Fault, Kind, Verb};
use tokio::time::Instant;

use crate::embedded::{World, remove_service, set_service};
use crate::lab::MIRRORS;

/// Services of each of the churning sources.
const N_SERVICES: usize = 60;

pub(crate) async fn fifty_churning_sources_are_mirrored_one_by_one(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const N_SOURCES: usize = 50;
    const N_CHANGES: usize = 40;
    let names: Vec<String> = (0..N_SOURCES).map(|i| format!("source-{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let begin = Instant::now();
    let world = World::new(scene, &names, N_SERVICES).await?;
    let n_first = world.n_writes();
    eprintln!(
        "{N_SOURCES} sources with {N_SERVICES} Services each: mirrored with {n_first} writes in {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    // Each Service and each slice once, and nothing again.
    let n_objects = 2 * N_SOURCES * N_SERVICES;
    ensure!(
        n_first == n_objects,
        "{n_first} writes for {n_objects} objects"
    );

    let begin = Instant::now();
    for round in 0..N_CHANGES {
        for source in &world.sources {
            churn(source, round)?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.converges().await?;
    let n_changes = N_CHANGES * N_SOURCES;
    let n_writes = world.n_writes() - n_first;
    eprintln!(
        "{n_changes} changes: followed with {n_writes} writes in {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    let shown = world.local.list(Kind::Services);
    let n_mirrors = shown
        .iter()
        .filter(|it| it["metadata"]["namespace"] == MIRRORS);
    eprintln!("{} mirrors", n_mirrors.count());
    world.restarts_without_a_write().await
}

/// One Service changes, and one in four times one comes or goes.
fn churn(source: &EmbeddedCluster, round: usize) -> anyhow::Result<()> {
    let name = format!("svc-{}", fastrand::usize(..N_SERVICES));
    let address = format!("10.5.{}.{}", round, fastrand::u8(1..));
    match round % 8 {
        0 => remove_service(source, &name),
        4 => set_service(source, &format!("new-{round}"), 80, &[&address])?,
        _ => set_service(source, &name, 80, &[&address])?,
    }
    Ok(())
}

pub(crate) async fn a_hostile_source_does_not_slow_the_others(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const N_SOURCES: usize = 200;
    const N_SAMPLES: usize = 150;
    let names: Vec<String> = (0..N_SOURCES).map(|i| format!("source-{i}")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("hostile");
    let world = World::new(scene, &names, 2).await?;
    let hostile = world.source("hostile")?;
    let calm = propagation(&world, N_SAMPLES, |_| Ok(())).await?;
    eprintln!("{N_SOURCES} sources: p50 {:?}, p99 {:?}", calm.0, calm.1);

    // It floods with changes, and breaks off in the middle of every second one.
    let flood = |sample: usize| {
        match sample % 20 {
            0 => hostile.fail(Fault::Cut),
            5 => hostile.heal(),
            10 => hostile.fail(Fault::Garbage.for_verbs(&[Verb::Watch])),
            15 => {
                hostile.heal();
                hostile.compact();
                hostile.cut_connections();
            }
            _ => {}
        }
        for i in 0..20 {
            let address = format!("10.6.{}.{}", sample % 250, i + 1);
            set_service(hostile, &format!("flood-{i}"), 80, &[&address])?;
        }
        Ok(())
    };
    let hurt = propagation(&world, N_SAMPLES, flood).await?;
    eprintln!("one of them hostile: p50 {:?}, p99 {:?}", hurt.0, hurt.1);
    hostile.heal();
    // What else runs on this machine counts here too: the bound is for what a source
    // that is waited for would cost, which is seconds.
    let bound = calm.1 * 3 + Duration::from_millis(300);
    ensure!(hurt.1 < bound, "p99 {:?} where it was {:?}", hurt.1, calm.1);
    world.converges().await
}

/// How long changes of healthy sources take to arrive: the median and the 99th of 100.
async fn propagation(
    world: &World,
    n_samples: usize,
    disturb: impl Fn(usize) -> anyhow::Result<()>,
) -> anyhow::Result<(Duration, Duration)> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let mut samples = Vec::new();
    for sample in 0..n_samples {
        let source = &world.sources[fastrand::usize(..world.sources.len() - 1)];
        disturb(sample)?;
        let address = format!("10.7.{}.{}", fastrand::u8(..), fastrand::u8(1..255));
        let service = format!("{}-demo-73736d-svc-0", source.name());
        let slice = world.slice_of(&service)?;
        let begin = Instant::now();
        set_service(source, "svc-0", 80, &[&address])?;
        while !has_address(world, &slice, &address) {
            ensure!(begin.elapsed() < PATIENCE, "{slice} has not got {address}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        samples.push(begin.elapsed());
    }
    samples.sort_unstable();
    Ok((samples[n_samples / 2], samples[n_samples * 99 / 100]))
}

fn has_address(world: &World, slice: &str, address: &str) -> bool {
    let slice = world.local.get(Kind::EndpointSlices, MIRRORS, slice);
    slice.is_some_and(|it| it["endpoints"][0]["addresses"][0] == address)
}
