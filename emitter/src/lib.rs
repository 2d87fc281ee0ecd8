//! Serves this cluster's exported objects: get, list and watch.
//!
//! ```text
//! kube-apiserver                                                        consumers
//!      │ list+watch                                                         ▲ bytes
//!      ▼             one writer                     many readers            │
//!  upstream ──Event──▶ Hub: Store ──Change──▶ Feed (ring of frames) ──▶ api::watch
//!                       │   cut, kept as bytes      one for each view       ▲ cursor
//!                       └────────── Snapshot ──────────────────────▶ api::list
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`config`], [`compat`], `program` | flags, what they mean, and what runs for them |
//! | [`upstream`] | what is exported, and following it |
//! | [`exposure`] | what ServiceExports export beside the selector |
//! | [`hub`] | one resource's store and the feeds its watchers share |
//! | [`namespaces`] | the namespaces of what is exported |
//! | [`probe`] | reads that see every write before them |
//! | [`api`] | paths, parameters, get, list, watch, discovery |
//! | [`identity`] | which cluster this is |
//! | [`signs`] | whether the upstream is heard, and which view is seen |
//! | [`access`] | who asks, and what it may see |
//! | [`gate`], [`consumers`] | what every request passes, and who watches what |
//! | `bell` | how a task that waits is told |
//! | [`serve`], [`connections`], [`tls`] | sockets, their number, certificates |
//! | [`limits`], [`shutdown`], [`reload`] | how much, how it ends, files that change |
//! | [`metrics`], [`debug`] | what is counted, and who is there |

pub mod access;
pub mod api;
mod bell;
pub mod compat;
pub mod config;
pub mod connections;
pub mod consumers;
pub mod debug;
pub mod exposure;
pub mod gate;
pub mod hub;
pub mod identity;
pub mod limits;
pub mod metrics;
pub mod namespaces;
mod page;
pub mod probe;
mod program;
pub mod reload;
pub mod serve;
pub mod shutdown;
mod signing;
pub mod signs;
pub mod tls;
pub mod told;
pub mod upstream;

use runtime::Network;
use tokio_util::sync::CancellationToken;

use crate::config::{Args, Config};

/// Does what the flags ask for.
pub async fn main(args: Args) -> anyhow::Result<()> {
    let config = Config::try_from(args)?;
    let (format, filter) = &config.log;
    runtime::log::init(*format, filter);
    for note in &config.notes {
        tracing::warn!(%note, "about the flags");
    }
    let max_files = runtime::files::raise_limit();
    tracing::debug!(?max_files, "each consumer takes one");
    run(config, runtime::shutdown::on_signal()?).await
}

/// Serves until `shutdown` is cancelled, or until a task fails, which none should.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    run_on(Network::System, config, shutdown).await
}

/// Serves on that network, as [`run`] does on the system's.
pub async fn run_on(
    network: Network,
    config: Config,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let program = program::Program::new(network, config).await?;
    program.run(shutdown).await
}
