//! Limits of requests and connections.
//!
//! Each limit keeps one client from taking what the others need. A client that meets one gets a
//! response that it retries: 429 with `Retry-After` if the request was read, and a closed
//! connection before that.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use emitter_cache::event_buffer::MAX_BYTES_OF_ALL;
use jiff::SignedDuration;

/// Maximum size in bytes of the encoded lists that one resource keeps.
pub(crate) const MAX_LIST_BYTES: usize = 24 << 20;

/// Maximum size in bytes of the documents of the upstream that are kept.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// Limits of connections.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits of connections")]
pub struct ConnectionLimits {
    /// Maximum number of connections. Each takes a file descriptor, and about 30 KiB with TLS. One
    /// sixteenth more are accepted and answered with 429; further ones are closed at once, and
    /// clients retry.
    #[arg(long, value_name = "N", default_value = "20000")]
    pub max_connections: NonZeroUsize,

    /// Maximum number of connections of one address (for IPv6, of one /64). The default is half of
    /// all, so that no address alone blocks the others. Raise it if all clients share one NAT.
    #[arg(long, value_name = "N", default_value = "10000")]
    pub max_connections_per_address: NonZeroUsize,

    /// Maximum number of TLS handshakes of one address that are computed at a time; further ones
    /// wait. One takes about a millisecond of CPU.
    #[arg(long, value_name = "N", default_value = "64")]
    pub max_handshakes_per_address: NonZeroUsize,

    /// Maximum duration of a TLS handshake.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub handshake_timeout: Duration,

    /// Maximum time from the connection to the head of its first request.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,

    /// Maximum time that a connection stays open without a request. The head of a further request
    /// must arrive within it too.
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = duration)]
    pub idle_timeout: Duration,

    /// Time after which the connection of a client that reads nothing is closed. A client that is
    /// only slow is limited by its buffer of watch events.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub write_timeout: Duration,

    /// Maximum length of the head of a request in bytes; enough for any token and selector.
    #[arg(long, value_name = "BYTES", default_value = "65536")]
    pub max_header_bytes: NonZeroUsize,

    /// Maximum number of requests of one HTTP/2 connection at a time, watches included; the default
    /// is that of a kube-apiserver.
    #[arg(
        long,
        value_name = "N",
        default_value = "100",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub http2_max_streams_per_connection: u32,

    /// Interval of HTTP/2 pings, which free the connections of vanished nodes. The client has 20
    /// seconds to answer.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub http2_ping_interval: Duration,
}

/// Limits of requests.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits of requests")]
pub struct RequestLimits {
    /// Maximum number of watches. One costs about 12 KiB with its own connection, and 4 KiB on a
    /// shared HTTP/2 connection.
    #[arg(long, value_name = "N", default_value = "20000")]
    pub max_watches: NonZeroUsize,

    /// Maximum number of watches of one consumer, by its name, or by its address if it is
    /// anonymous. The default is half of all, so that no consumer alone blocks the others.
    #[arg(long, value_name = "N", default_value = "10000")]
    pub max_watches_per_consumer: NonZeroUsize,

    /// Maximum number of requests other than watches in flight, as in a kube-apiserver.
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

    /// Maximum length of path and query in bytes.
    #[arg(long, value_name = "BYTES", default_value = "16384")]
    pub max_uri_bytes: NonZeroUsize,

    /// Longest batching period of watch events. The first change of a view is sent at once; changes
    /// that follow it closely wait and share one write. The period applies fully to views with 1000
    /// or more watches and proportionally below; less than 2ms is none. 0s disables batching.
    #[arg(
        long = "watch-batch-period",
        alias = "max-gather",
        value_name = "DURATION",
        default_value = "100ms",
        value_parser = duration
    )]
    pub max_gather: Duration,

    /// Maximum length of a request body in bytes, as its header states it. No body is read.
    #[arg(long, value_name = "BYTES", default_value = "65536")]
    pub max_body_bytes: u64,
}

/// Limits of the upstream.
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

/// Settings of the shutdown.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Shutdown")]
pub struct Drain {
    /// Time after SIGTERM for which connections are accepted while the emitter is not ready, until
    /// no load balancer sends clients here. New watches are rejected with 429 in the meantime.
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
    // Without its events, which count as frames.
    const VIEW: usize = 4 << 10;
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
        ("documents of the upstream", MAX_DOCUMENT_BYTES),
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
