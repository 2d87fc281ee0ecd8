//! Serves this cluster's exported objects: get, list and watch.
//!
//! ```text
//! kube-apiserver                                                        consumers
//!      │ list+watch                                                         ▲ bytes
//!      ▼             one writer                     many watches            │
//!  upstream ─Event─▶ WatchCache: Store ─Change─▶ Broadcaster (EventBuffer) ─▶ api::watch
//!                       │   filtered, as bytes      one for each view       ▲ cursor
//!                       └────────── Snapshot ──────────────────────▶ api::list
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`config`], [`compat`], `program` | flags, the checked configuration, and the tasks |
//! | [`upstream`] | watch tasks of the exported objects |
//! | [`exposure`] | export rule: ServiceExports beside the selector |
//! | [`watch_cache`] | store of one resource, and the event buffers that its watches share |
//! | [`namespaces`] | the namespaces of what is exported |
//! | [`read_barrier`], [`probe`] | reads that see every write before them |
//! | [`api`] | paths, parameters, get, list, watch, discovery |
//! | [`attributes`] | verb and object of a request, for authorization |
//! | [`documents`] | version and OpenAPI schemas of the upstream |
//! | [`identity`] | cluster identity |
//! | [`health`] | connection to the upstream |
//! | [`response_headers`] | headers of all responses: connection and view |
//! | [`access`] | authentication and authorization |
//! | [`request_filter`], [`consumers`] | filter of all requests, and watches of each consumer |
//! | `notify` | notification of a task |
//! | [`serve`], [`connections`], [`tls`] | sockets, their number, certificates |
//! | [`limits`], [`shutdown`], [`reload`] | limits, graceful shutdown, reload of files |
//! | [`metrics`], [`debug`] | metrics, and the debug page |

pub mod access;
pub mod api;
pub mod attributes;
pub mod compat;
pub mod config;
pub mod connections;
pub mod consumers;
pub mod debug;
pub mod documents;
pub mod exposure;
pub mod health;
pub mod identity;
pub mod limits;
pub mod metrics;
pub mod namespaces;
mod notify;
mod page;
pub mod probe;
mod program;
pub mod read_barrier;
pub mod reload;
pub mod request_filter;
pub mod response_headers;
pub mod sent_states;
pub mod serve;
pub mod shutdown;
mod signing;
pub mod tls;
pub mod upstream;
pub mod watch_cache;

use runtime::Network;
use tokio_util::sync::CancellationToken;

use crate::config::{Args, Config};

/// Runs the program of the flags.
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
