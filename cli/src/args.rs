//! Subcommands and flags.

mod exports;
mod output;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use proto_types::ObjectKey;

pub(crate) use exports::Exports;
pub(crate) use output::Output;
use output::OutputParser;
pub(crate) use verify::{Connect, Probe, ProbeCommand, Serve, Verify};

/// Connect clusters for Heliograph, check them, and see the state of their mirrors
///
/// Exit codes: 0 for success; 1 if a request failed, or the command line is wrong; 2 for a problem
/// that check or verify finds, a plan with changes, and a problem with --exit-code.
#[derive(Debug, Parser)]
#[command(name = "heliograph", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of all subcommands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Path of the kubeconfig; default: KUBECONFIG, ~/.kube/config, or the cluster around
    /// this process
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig; default: its current context
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// Namespace of Heliograph
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAMESPACE",
        default_value = "heliograph"
    )]
    pub(crate) namespace: String,

    /// Format of the output
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        value_parser = OutputParser
    )]
    pub(crate) output: Output,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show sources, mirrors, held deletions and problems of the reflector
    ///
    /// Exits with 1 if the reflector does not answer, or --wait is over before all sources are
    /// synced.
    Status(Status),
    /// Explain why a Service is mirrored as it is
    ///
    /// Exits with 1 if the reflector does not answer.
    Explain(Explain),
    /// Show sources and rates, again and again
    Top(Top),
    /// Check clusters and the installation: a line for each finding, with its remedy
    ///
    /// Exits with 2 if a check failed, and with 1 if a cluster cannot be read.
    Check(Check),
    /// Prove that connections to a mirror are answered, and name the step that fails
    ///
    /// Exports a probe Service in the source cluster, waits for its mirror, and connects from a
    /// pod of the local cluster to each endpoint, to the ClusterIP, and by name. Deletes all its
    /// objects afterwards. Exits with 2 if a step failed, and with 1 if it could not begin.
    Verify(Verify),
    /// Answer or send probes, as the pods of verify do
    Probe(Probe),
    /// Let the reflector of one cluster read the emitter of another, without a Secret
    ///
    /// Grants the ServiceAccount of the reflector its view in the access configuration of the
    /// emitter, by issuer and public keys of its cluster, and adds the source to the
    /// configuration of the reflector. A second run changes nothing.
    Link(Link),
    /// Take back what link did
    Unlink(Pair),
    /// Show what a configuration would change, without a write
    ///
    /// Exits with 2 if something would change or cannot be written, and with 1 if that cannot be
    /// said.
    Plan(Plan),
    /// Print ServiceExports for labeled Services, and write nothing
    ///
    /// With -o yaml, the output is ready for kubectl apply and for a repository. What is left
    /// out is named on standard error, with the reason.
    Exports(Exports),
    /// Write a support bundle: configuration, status, metrics, logs and managed objects
    ///
    /// The bundle has no Secret, token or key.
    Gather(Gather),
    /// Print a completion script
    Completion {
        /// Shell
        shell: Shell,
    },
    /// Print candidates for the last of the words of a command line
    #[command(hide = true)]
    Candidates {
        /// Words after the name of the program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Write man pages
    Man {
        /// Directory of the pages
        #[arg(value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

/// Shells with completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Address of an admin port.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// URL of the admin port, instead of a port-forward to the pod
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) server: Option<http::Uri>,

    /// File with the bearer token for that URL
    #[arg(long, value_name = "FILE", requires = "server", value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) server: Server,

    /// Show it again every 2 seconds
    #[arg(short, long)]
    pub(crate) watch: bool,

    /// Wait at most this time until all sources are synced, for example 60s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) wait: Option<Duration>,

    /// Exit with 2 if a source is not synced or the reflector reports a problem
    #[arg(long, conflicts_with = "watch")]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Explain {
    /// Service, by its name in the local cluster or in a source
    #[arg(value_name = "NAMESPACE/NAME", value_parser = service)]
    pub(crate) service: ObjectKey,

    /// Exit with 2 if there is a problem
    #[arg(long)]
    pub(crate) exit_code: bool,

    /// Read all clusters, and ask no reflector: for one that does not run
    #[arg(long, conflicts_with = "server")]
    pub(crate) offline: bool,

    #[command(flatten)]
    pub(crate) plan: Plan,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) server: Server,

    /// Time between two rows
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub(crate) interval: Duration,

    /// Number of measurements; default: until interrupted
    #[arg(long, value_name = "NUMBER")]
    pub(crate) count: Option<usize>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    /// Check what an installation needs, before it
    #[arg(long)]
    pub(crate) pre: bool,

    /// Contexts of the source clusters, whose ranges, clocks and versions are compared
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) source_context: Vec<String>,

    #[command(flatten)]
    pub(crate) server: Server,
}

/// The clusters of a link.
#[derive(Debug, Clone, Args)]
pub(crate) struct Pair {
    /// Context of the cluster that reads; --context names the source cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) to_context: Option<String>,

    /// Contexts that are linked each with each
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) mesh: Vec<String>,

    /// Name of the source; default: that of its context
    #[arg(long, value_name = "NAME", conflicts_with = "mesh")]
    pub(crate) source_name: Option<String>,

    /// Name of the cluster that reads; default: that of its context
    #[arg(long, value_name = "NAME", conflicts_with = "mesh")]
    pub(crate) to_name: Option<String>,

    /// Write nothing; the API servers check what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Link {
    #[command(flatten)]
    pub(crate) pair: Pair,

    /// Namespaces that the reflector can read; default: all
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',')]
    pub(crate) namespaces: Vec<String>,

    /// Labels of the Services that the reflector can read; default: all
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,

    /// URL of the emitter, as the other cluster reaches it; with --mesh, CONTEXT=URL; repeatable
    #[arg(long, value_name = "URL")]
    pub(crate) url: Vec<String>,

    /// Address of the emitter's Service, if there is no --url; default: by the type of the
    /// Service
    #[arg(long, value_name = "WAY", conflicts_with = "url")]
    pub(crate) via: Option<crate::link::Via>,

    /// File with the CA certificates of the emitter; default: those of the emitter's own CA,
    /// if it has one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_file: Option<PathBuf>,

    /// Name in the certificate of the emitter, if it is not in the URL
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,

    /// Prefix of the mirrors of a new source; default: the name of the source
    #[arg(long, value_name = "PREFIX", conflicts_with = "same_name")]
    pub(crate) prefix: Option<String>,

    /// Mirrors of a new source have the namespaces and names of their source Services
    #[arg(long, requires = "namespaces")]
    pub(crate) same_name: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Plan {
    /// Configuration file of the reflector; default: that of the installed reflector
    #[arg(short = 'f', long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) filename: Option<PathBuf>,

    /// Read a source by a context of the kubeconfig instead of its URL; repeatable
    #[arg(long, value_name = "SOURCE=CONTEXT", value_parser = pair)]
    pub(crate) source_context: Vec<(String, String)>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Gather {
    /// Archive to write
    #[arg(
        short = 'f',
        long,
        value_name = "FILE",
        default_value = "heliograph-gather.tar",
        value_hint = ValueHint::FilePath
    )]
    pub(crate) filename: PathBuf,

    /// Lines of each log, at most
    #[arg(long, value_name = "NUMBER", default_value_t = 5000)]
    pub(crate) tail: i64,
}

/// Reads a duration such as `500ms`, `2s`, `5m` or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|it: char| !it.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| wrong(text))?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    let millis = millis.filter(|it| *it != 0).ok_or_else(|| wrong(text))?;
    Ok(Duration::from_millis(millis))
}

fn wrong(text: &str) -> String {
    format!("{text:?} is not a duration: write a positive number with ms, s, m or h")
}

fn service(text: &str) -> Result<ObjectKey, String> {
    ObjectKey::parse(text).ok_or_else(|| format!("{text:?} is not a Service: write NAMESPACE/NAME"))
}

pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(format!("{text:?} is not a pair: write NAME=CONTEXT")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::{Arguments, duration, pair};

    #[test]
    fn the_flags_of_all_subcommands_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "0s", "-1s", "1.5s", "99999999999999999999s"] {
            assert!(duration(wrong).unwrap_err().contains("ms, s, m or h"));
        }
    }

    #[test]
    fn a_pair_has_two_parts() {
        let east = ("east".to_owned(), "kind-east".to_owned());
        assert_eq!(pair("east=kind-east"), Ok(east));
        assert!(pair("east").is_err() && pair("=x").is_err() && pair("x=").is_err());
    }
}
