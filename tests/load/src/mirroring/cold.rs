//! How long all Services take that a new local cluster lacks.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use control_plane::Keeper;
use serde_json::Value;
use tokio::time::Instant;

use super::cluster::{Local, create_all};
use crate::process::Process;
use crate::programs::{admin_flag, free_address};

/// What it took until all was there.
pub(crate) struct Cold {
    pub(crate) took: Duration,
    /// Of the program that wrote.
    pub(crate) cpu: Duration,
    /// Of the program that wrote, when it had settled.
    pub(crate) memory: Option<f64>,
    pub(crate) peak: Option<f64>,
}

/// Starts a reflector, and waits until it has written so many Services and slices.
pub(crate) async fn reflect(
    local: &Local,
    program: &Path,
    arguments: &[String],
    [n_services, n_slices]: [usize; 2],
) -> anyhow::Result<(Keeper, Cold)> {
    let keeper = Keeper::new("load-reflector")?;
    let admin = format!("--{}={}", admin_flag(program)?, free_address()?);
    let mut command = Command::new(program);
    command
        .arg("--kubeconfig")
        .arg(local.plane.kubeconfig())
        .args(arguments)
        .arg(&admin);
    let filled = local.fill(n_services, n_slices).await?;
    let start = Instant::now();
    keeper.spawn("reflector", &command)?;
    filled.await?;
    let took = start.elapsed();
    let process = Process::find(&admin)?;
    let cpu = process.cpu()?;
    // What was for the moment only is given back by then.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let cold = Cold {
        took,
        cpu,
        memory: Some(process.memory()?),
        peak: Some(process.peak_memory()?),
    };
    Ok((keeper, cold))
}

/// Writes the same objects, as many at once, and decides nothing.
pub(crate) async fn write(local: &Local, objects: &[(String, Value)]) -> anyhow::Result<Cold> {
    let objects = objects.to_vec();
    let process = Process::own();
    let is_service = |it: &&(String, Value)| it.0.ends_with("/services");
    let n_services = objects.iter().filter(is_service).count();
    let n_slices = objects.len() - n_services;
    let filled = local.fill(n_services, n_slices).await?;
    let (start, cpu) = (Instant::now(), process.cpu()?);
    tokio::try_join!(filled, create_all(&local.client, objects))?;
    Ok(Cold {
        took: start.elapsed(),
        cpu: process.cpu()?.saturating_sub(cpu),
        memory: None,
        peak: None,
    })
}
