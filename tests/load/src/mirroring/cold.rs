//! How long all Services take that a new local cluster lacks.

use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Keeper;
use serde_json::Value;
use tokio::time::Instant;

use super::cluster::{Local, MIRRORS, Source, create_all, services_path, slices_path};
use crate::process::Process;
use crate::programs::{beside, free_address};

/// What it took until all was there.
pub(crate) struct Cold {
    pub(crate) took: Duration,
    /// Of the program that wrote.
    pub(crate) cpu: Duration,
    /// Of the program that wrote, when it had settled.
    pub(crate) memory: Option<f64>,
    pub(crate) peak: Option<f64>,
}

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(1800);

/// Starts a reflector, and waits until it has written everything.
pub(crate) async fn reflect(
    source: &Source,
    local: &Local,
    services: usize,
) -> anyhow::Result<(Keeper, Cold)> {
    let keeper = Keeper::new("load-reflector")?;
    let listen = free_address()?;
    let mut command = Command::new(beside("reflector")?);
    command
        .arg("--kubeconfig")
        .arg(local.plane.kubeconfig())
        .args(["--mirror-namespace", MIRRORS])
        .arg(format!(
            "--source=name=east,prefix=east,url=http://{}",
            source.emitter
        ))
        .arg(format!("--listen={listen}"));
    let start = Instant::now();
    let mut reflector = keeper.spawn("reflector", &command)?;
    for collection in [services_path(MIRRORS), slices_path(MIRRORS)] {
        while local.count(&collection).await? < services as u64 {
            ensure!(reflector.is_running(), "{}", reflector.log());
            ensure!(start.elapsed() < PATIENCE, "the reflector is too slow");
            tokio::time::sleep(POLL).await;
        }
    }
    let took = start.elapsed();
    let process = Process::find(&format!("--listen={listen}"))?;
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
    let (start, cpu) = (Instant::now(), process.cpu()?);
    create_all(&local.client, objects).await?;
    Ok(Cold {
        took: start.elapsed(),
        cpu: process.cpu()?.saturating_sub(cpu),
        memory: None,
        peak: None,
    })
}
