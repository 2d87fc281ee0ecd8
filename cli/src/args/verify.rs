//! Flags of `verify` and `probe`.

use std::time::Duration;

use clap::{Args, Subcommand};
use proto_types::ObjectKey;

use super::{duration, pair, service};

#[derive(Debug, Clone, Args)]
pub(crate) struct Verify {
    /// Context of the cluster that reads; --context names the source cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) to_context: Option<String>,

    /// Name of the source; default: that of its context
    #[arg(long, value_name = "NAME", conflicts_with = "service")]
    pub(crate) source_name: Option<String>,

    /// Probe the endpoints of an existing local Service, by TCP connections without data
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = service)]
    pub(crate) service: Option<ObjectKey>,

    /// Connect from this process, and not from a pod of the local cluster
    #[arg(long)]
    pub(crate) from_here: bool,

    /// Namespace of the probe Service and the pods, in both clusters
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    pub(crate) probe_namespace: String,

    /// Label that exports the probe Service
    #[arg(
        long,
        value_name = "KEY=VALUE",
        default_value = "heliograph.dev/export=true",
        value_parser = pair
    )]
    pub(crate) label: (String, String),

    /// Image of the pods; default: that of the reflector
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,

    /// Requests to each target
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = count)]
    pub(crate) requests: usize,

    /// Time for the mirror, and again for the client pod to start
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Probe {
    #[command(subcommand)]
    pub(crate) command: ProbeCommand,
}

/// Both ends of a probe.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ProbeCommand {
    /// Answer probes until a signal
    Serve(Serve),
    /// Connect to targets, and measure
    ///
    /// Exits with 1 if a request failed.
    Connect(Connect),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    /// Address to listen at
    #[arg(long, value_name = "IP:PORT", default_value = "[::]:8080")]
    pub(crate) bind_address: std::net::SocketAddr,

    /// Name in the answers; default: the host name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Connect {
    /// Addresses or names with ports
    #[arg(value_name = "HOST:PORT", required = true)]
    pub(crate) targets: Vec<String>,

    /// Requests to each target
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = count)]
    pub(crate) requests: usize,

    /// Time for each request
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// Bytes of one large answer, at most 1048576; 0 for none
    #[arg(long, value_name = "NUMBER", default_value_t = 65536, value_parser = bytes)]
    pub(crate) bytes: usize,

    /// Connect without a request: the server is another program
    #[arg(long)]
    pub(crate) tcp_only: bool,

    /// Try again at most this time until a target answers
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) wait: Option<Duration>,
}

fn count(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|it| (1..=1000).contains(it));
    number.ok_or_else(|| format!("{text:?} is not a number from 1 to 1000"))
}

fn bytes(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    let number = number.filter(|it| *it <= crate::probe::MAX_BYTES);
    number.ok_or_else(|| {
        format!(
            "{text:?} is not a number from 0 to {}",
            crate::probe::MAX_BYTES
        )
    })
}
