//! `heliograph probe`: a server that answers probes, and a client that measures connections.

pub(crate) mod connect;
mod serve;

use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::FAILED;
use crate::args;
use crate::output::{Mark, Printer, one_line, table};

/// First word of a request and of an answer.
const MAGIC: &str = "heliograph-probe";

/// Maximum number of bytes of an answer.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// Result of the requests to one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Probed {
    /// Address or name with port.
    pub(crate) target: String,
    /// Addresses of the name.
    pub(crate) addresses: Vec<String>,
    /// Number of requests.
    pub(crate) sent: usize,
    /// Number of requests that were answered.
    pub(crate) answered: usize,
    /// Failure of the last request that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Failure>,
    /// Times of the requests that were answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Latency>,
    /// Failure of the request with a large answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) large_failure: Option<Failure>,
    /// Names of the servers that answered.
    pub(crate) servers: Vec<String>,
}

/// Times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Shortest.
    pub(crate) min: u64,
    /// Median.
    pub(crate) median: u64,
    /// Longest.
    pub(crate) max: u64,
}

/// Failure of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Failure {
    /// The name has no address.
    Unresolved,
    /// The address refuses the connection.
    Refused,
    /// A router or the node reports that there is no route.
    Unreachable,
    /// There is no answer in time.
    Timeout,
    /// The connection ended before the end of the answer.
    Closed,
    /// Another program answered.
    Stranger,
}

impl Failure {
    /// Words for a sentence.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "the name has no address",
            Self::Refused => "the connection is refused",
            Self::Unreachable => "there is no route",
            Self::Timeout => "there is no answer",
            Self::Closed => "the connection ends before the answer",
            Self::Stranger => "another program answers",
        }
    }
}

impl Probed {
    /// Returns whether every request was answered.
    pub(crate) const fn is_well(&self) -> bool {
        self.sent == self.answered && self.large_failure.is_none() && 0 < self.sent
    }
}

impl Latency {
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let micros = |it: &Duration| u64::try_from(it.as_micros()).unwrap_or(u64::MAX);
        Some(Self {
            min: micros(times.first()?),
            median: micros(times.get(times.len() / 2)?),
            max: micros(times.last()?),
        })
    }
}

/// Runs the subcommand.
pub(crate) async fn run(asked: &args::Probe, printer: &Printer) -> anyhow::Result<ExitCode> {
    let asked = match &asked.command {
        args::ProbeCommand::Serve(asked) => return serve::run(asked).await,
        args::ProbeCommand::Connect(asked) => asked,
    };
    let probed = connect::all(asked).await;
    printer.print(&probed, || text(&probed, printer))?;
    let is_well = probed.iter().all(Probed::is_well);
    Ok(ExitCode::from(if is_well { 0 } else { FAILED }))
}

fn text(probed: &[Probed], printer: &Printer) -> String {
    let head = ["", "TARGET", "ANSWERED", "MIN", "MEDIAN", "MAX", "FAILURE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(probed.iter().map(|it| {
        let mark = if it.is_well() { Mark::Ok } else { Mark::Failed };
        let time = |of: fn(&Latency) -> u64| {
            let micros = it.latency.as_ref().map(of);
            micros.map_or("-".to_owned(), millis)
        };
        let failure = match (it.failure, it.large_failure) {
            (Some(why), _) => why.as_str().to_owned(),
            (None, Some(why)) => format!("large answer: {}", why.as_str()),
            (None, None) => "-".to_owned(),
        };
        vec![
            printer.paint.mark(mark),
            one_line(&it.target),
            format!("{}/{}", it.answered, it.sent),
            time(|it| it.min),
            time(|it| it.median),
            time(|it| it.max),
            failure,
        ]
    }));
    table(&rows)
}

/// Returns microseconds as milliseconds with their unit.
pub(crate) fn millis(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
}
