//! What may be asked of an emitter at most, and for how long anything may take.
//!
//! Each limit keeps one reader from taking what the others need. Whoever meets one is
//! told so in a way that clients retry: 429 with `Retry-After` where a request has been
//! read, and a closed connection before that.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use emitter_cache::ring::{Frame, MAX_BYTES_OF_ALL, MAX_FRAMES};
use jiff::SignedDuration;

use crate::hub::MAX_LIST_BYTES;
use crate::upstream::MAX_KEPT;

/// How connections are served.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits of connections")]
pub struct ConnectionLimits {
    /// How many connections there may be. Each is a file and some 30 KiB with TLS. A few
    /// more (a sixteenth) are accepted to be told 429; those beyond are closed at once,
    /// which clients take for a server that is starting.
    #[arg(long, value_name = "N", default_value = "20000")]
    pub max_connections: NonZeroUsize,

    /// How many connections one address may have (of IPv6, one /64): half, so that none
    /// alone keeps out the others. Raise it where all readers come from one NAT.
    #[arg(long, value_name = "N", default_value = "10000")]
    pub max_connections_per_address: NonZeroUsize,

    /// How many TLS handshakes of one address are computed at a time; further ones wait.
    /// One takes about a millisecond of CPU and any time that the client likes.
    #[arg(long, value_name = "N", default_value = "64")]
    pub max_handshakes_per_address: NonZeroUsize,

    /// How long a TLS handshake may take. Readers need milliseconds.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub handshake_timeout: Duration,

    /// How long a connection may take to bring the head of its first request.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,

    /// How long a connection may stay without a request; a further request's head must
    /// come within that time too. Longer than the pauses of clients that poll.
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = duration)]
    pub idle_timeout: Duration,

    /// How long a client may take nothing of what it is sent before it is cut off. What a
    /// client that is only slow misses is bounded by the ring of frames.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub write_timeout: Duration,

    /// How long the head of a request may be, in bytes: enough for any token and selector.
    #[arg(long, value_name = "BYTES", default_value = "65536")]
    pub max_header_bytes: NonZeroUsize,

    /// How many requests one HTTP/2 connection may have at a time, watches included; a
    /// kube-apiserver's default.
    #[arg(
        long,
        value_name = "N",
        default_value = "100",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub http2_max_streams_per_connection: u32,

    /// How often an HTTP/2 client is asked whether it is still there; it has 20 seconds
    /// to answer. Frees what a vanished node held.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub http2_ping_interval: Duration,
}

/// What may be asked.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits of requests")]
pub struct RequestLimits {
    /// How many watches there may be. One costs some 12 KiB with a connection of its own,
    /// and 4 KiB on an HTTP/2 connection that many share.
    #[arg(long, value_name = "N", default_value = "20000")]
    pub max_watches: NonZeroUsize,

    /// How many watches one consumer may have, by its name, or by its address where it is
    /// anonymous: half, so that none alone keeps out the others.
    #[arg(long, value_name = "N", default_value = "10000")]
    pub max_watches_per_consumer: NonZeroUsize,

    /// How many requests that are no watches may be answered at a time, as in a
    /// kube-apiserver.
    #[arg(long, value_name = "N", default_value = "400")]
    pub max_requests_inflight: NonZeroUsize,

    /// Maximum number of those requests of one consumer: a quarter, so that a consumer
    /// that takes nothing of its answers does not keep out the others.
    #[arg(long, value_name = "N", default_value = "100")]
    pub max_requests_inflight_per_consumer: NonZeroUsize,

    /// Maximum size of all answers that are being sent, in bytes. A list that goes to many
    /// consumers counts once; answers of less than 64 KiB do not count.
    #[arg(long, value_name = "BYTES", default_value = "134217728")]
    pub max_response_bytes: NonZeroUsize,

    /// Maximum size of those answers to one consumer, in bytes: a quarter.
    #[arg(long, value_name = "BYTES", default_value = "67108864")]
    pub max_response_bytes_per_consumer: NonZeroUsize,

    /// Maximum time from the head of an answer to its last byte; watches have their own
    /// end. A client that takes longer is cut off.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub response_timeout: Duration,

    /// Maximum number of distinct views (scope, selectors, encoding and grant) that are
    /// watched. Each is encoded for itself.
    #[arg(long, value_name = "N", default_value = "300")]
    pub max_views: NonZeroUsize,

    /// Maximum number of distinct views that one consumer watches: a tenth.
    #[arg(long, value_name = "N", default_value = "100")]
    pub max_views_per_consumer: NonZeroUsize,

    /// How long path and query may be, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "16384")]
    pub max_uri_bytes: NonZeroUsize,

    /// How long changes may be gathered for a view that many watch, so that one write tells
    /// them all. The first goes at once; those that follow it closely wait, for as long as
    /// this where a thousand watch the view or more, and in proportion where fewer do; less
    /// than 2ms is nothing. 0s for never.
    #[arg(
        long = "watch-batch-period",
        alias = "max-gather",
        value_name = "DURATION",
        default_value = "100ms",
        value_parser = duration
    )]
    pub max_gather: Duration,

    /// How long a request's body may say it is. None is ever read: nothing can be written.
    #[arg(long, value_name = "BYTES", default_value = "65536")]
    pub max_body_bytes: u64,
}

/// What the upstream may send.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits of the upstream")]
pub struct UpstreamLimits {
    /// Maximum size of all exported objects in memory, in bytes, while they are read too: a
    /// list that replaces what was known counts beside it.
    #[arg(
        id = "max_upstream_bytes",
        long = "max-upstream-bytes",
        value_name = "BYTES",
        default_value = "268435456"
    )]
    pub max_bytes: NonZeroUsize,

    /// Maximum number of exported objects, of all resources together.
    #[arg(
        id = "max_upstream_objects",
        long = "max-upstream-objects",
        value_name = "N",
        default_value = "200000"
    )]
    pub max_objects: NonZeroUsize,
}

/// How serving comes to its end.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Shutdown")]
pub struct Drain {
    /// How long to go on accepting after SIGTERM, no longer ready: until no load balancer
    /// sends anybody here. New watches are sent elsewhere (429) meanwhile.
    #[arg(
        long = "shutdown-delay-duration",
        alias = "shutdown-delay",
        value_name = "DURATION",
        default_value = "3s",
        value_parser = duration
    )]
    pub shutdown_delay: Duration,

    /// Over how long open watches are ended after that, at random, so that consumers do
    /// not all come to another replica in one instant.
    #[arg(
        long = "shutdown-watch-termination-grace-period",
        alias = "shutdown-spread",
        value_name = "DURATION",
        default_value = "5s",
        value_parser = duration
    )]
    pub shutdown_spread: Duration,
}

/// A duration as people write it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok();
    let parsed = parsed.and_then(|it| Duration::try_from(it).ok());
    parsed.ok_or_else(|| format!("{text:?} is not a duration: write it as 500ms, 30s or 5m"))
}

/// Memory that each budget may take, in bytes, by its name in docs/limits.md.
#[must_use]
pub fn memory(
    connections: &ConnectionLimits,
    requests: &RequestLimits,
    upstream: &UpstreamLimits,
) -> [(&'static str, usize); 10] {
    const RESOURCES: usize = 3;
    const PROGRAM: usize = 64 << 20;
    // With TLS; measured in docs/measurements.md.
    const CONNECTION: usize = 30 << 10;
    const WATCH: usize = 12 << 10;
    // A ring of frames that all views share.
    const VIEW: usize = MAX_FRAMES * std::mem::size_of::<Frame>();
    let history = emitter_cache::Limits::default().bytes;
    [
        ("program", PROGRAM),
        ("exported objects", upstream.max_bytes.get()),
        ("history of each resource", RESOURCES * history),
        (
            "frames that slow watches have yet to read",
            RESOURCES * MAX_BYTES_OF_ALL,
        ),
        (
            "lists that are kept ready, compressed too",
            RESOURCES * 2 * MAX_LIST_BYTES,
        ),
        (
            "answers that are being sent",
            requests.max_response_bytes.get(),
        ),
        ("documents of the upstream", MAX_KEPT),
        (
            "connections",
            connections.max_connections.get() * CONNECTION,
        ),
        ("watches", requests.max_watches.get() * WATCH),
        ("views that are watched", requests.max_views.get() * VIEW),
    ]
}

#[cfg(test)]
impl ConnectionLimits {
    /// As without flags.
    pub(crate) fn standard() -> Self {
        parsed()
    }
}

#[cfg(test)]
impl RequestLimits {
    /// As without flags.
    pub(crate) fn standard() -> Self {
        parsed()
    }
}

#[cfg(test)]
fn parsed<T: Args>() -> T {
    let command = T::augment_args(clap::Command::new("test"));
    let mut matches = command.get_matches_from(["test"]);
    T::from_arg_matches_mut(&mut matches).unwrap()
}

#[cfg(test)]
mod tests {
    use super::{ConnectionLimits, Duration, RequestLimits, duration, memory, parsed};

    const MANIFEST: &str = include_str!("../../manifests/emitter/deployment.yaml");
    const PAGE: &str = include_str!("../../docs/limits.md");

    #[test]
    fn all_budgets_together_fit_the_memory_limit_of_the_manifest() {
        let (_, limits) = MANIFEST.split_once("limits:").unwrap();
        let (_, limit) = limits.split_once("memory: ").unwrap();
        let limit = limit.split_whitespace().next().unwrap();
        let limit: usize = limit.strip_suffix("Gi").unwrap().parse().unwrap();
        let (connections, requests) = (ConnectionLimits::standard(), RequestLimits::standard());
        let budgets = memory(&connections, &requests, &parsed());
        let sum: usize = budgets.iter().map(|(_, bytes)| bytes).sum();
        assert!(
            sum <= limit << 30,
            "{sum} bytes of {limit} GiB: {budgets:?}"
        );
        let (_, table) = PAGE.split_once("| emitter | MiB |").unwrap();
        let (table, _) = table.split_once("| reflector |").unwrap();
        for (name, bytes) in budgets {
            let row = table
                .lines()
                .find(|it| it.starts_with(&format!("| {name}")));
            let row = row.unwrap_or_else(|| panic!("{name} is not documented"));
            let mebibytes = format!(" {} |", bytes.div_ceil(1 << 20));
            assert!(row.ends_with(&mebibytes), "{row}: it is{mebibytes}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "5", "-1s", "soon"] {
            let why = duration(wrong).unwrap_err();
            assert!(why.contains("is not a duration"), "{wrong}: {why}");
        }
    }
}
