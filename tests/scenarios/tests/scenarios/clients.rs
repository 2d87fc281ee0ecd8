//! Clients that others wrote: client-go's informers, kube-rs' watchers, an older kubectl.
//!
//! Each follows an emitter, and the kube-apiserver behind it in the same run, which shows
//! what the client itself makes of a disturbance.

mod change;
mod churn;
pub(crate) mod exports;
pub(crate) mod gathering;
mod informers;
mod kube_rs;
pub(crate) mod kubectl;
mod proxy;
mod reads;
pub(crate) mod storm;
pub(crate) mod strict;
mod truth;
mod world;

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Scene;

use self::change::Due;
use self::churn::churn;
use self::world::{Server, World};
use crate::lab::Lab;

/// Through cut connections, another replica, an update, a restart of the emitter and one of the API
/// server, every client lists once, and is told every change once and in order.
pub(crate) async fn every_client_is_told_every_change_once(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let mut world = World::new(&lab).await?;

    // Connections are cut in the middle of lines and frames.
    world.cut(true);
    churn(&world.cluster, 160).await?;
    world.cut(false);
    churn(&world.cluster, 1).await?;
    for server in [Server::Emitter, Server::Upstream] {
        world.check(server, Due::EveryChange).await?;
    }
    let n_cut = world.n_cut();
    ensure!(50 < n_cut, "only {n_cut} connections were cut");

    // A load balancer leads to another replica.
    let (churned, ()) = tokio::join!(churn(&world.cluster, 40), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.fail_over();
    });
    churned?;
    world.check(Server::Emitter, Due::EveryChange).await?;

    // That replica ends in good order, and another serves.
    tokio::try_join!(churn(&world.cluster, 160), world.roll_over())?;
    world.check(Server::Emitter, Due::EveryChange).await?;

    // The replica is killed and comes back, and things change in the meantime.
    tokio::try_join!(churn(&world.cluster, 60), world.restart_emitter())?;
    world.check(Server::Emitter, Due::EveryChange).await?;

    // The API server restarts, which its own clients cannot but notice.
    world.restart_upstream().await?;
    churn(&world.cluster, 40).await?;
    world.check(Server::Emitter, Due::EveryChange).await?;
    world.check(Server::Upstream, Due::State).await?;
    world.check_reads().await?;
    eprintln!("{}, {} connections cut", world.told().await?, world.n_cut());
    Ok(())
}
