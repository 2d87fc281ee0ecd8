//! Flags, and what they mean.
//!
//! Names are those of kube-apiserver where it has the thing; service-reflector's spellings
//! (`--emitter.…`) become these in [`crate::compat`].

mod access;
mod error;
mod flag_dialect;
mod names;
mod serving;
mod upstream;

#[cfg(test)]
mod documented;
#[cfg(test)]
mod former;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use emitter_cache::Fields;
use proto_types::LabelSelector;
use runtime::client::Access;
use runtime::log::{LogFilter, LogFormat};

use self::access::{AccessArgs, AuthContext};
pub use self::error::Error;
pub(crate) use self::flag_dialect::FlagDialect;
pub use self::serving::Serving;
use self::serving::ServingArgs;
use self::upstream::{UpstreamArgs, followed};
use crate::access::Settings;
use crate::identity::ClusterNames;
use crate::limits::{ConnectionLimits, Drain, RequestLimits, UpstreamLimits};

/// Serves the Services, EndpointSlices and Endpoints of this cluster that carry a
/// label, read-only, as a Kubernetes API server would.
#[derive(Debug, Parser)]
#[command(
    name = "emitter",
    version,
    max_term_width = 100,
    args_override_self = true
)]
pub struct Args {
    /// Export the objects with these labels, such as `heliograph.dev/export=true`. Required
    /// without `--service-exports`: nothing leaves a cluster by accident.
    #[arg(long, value_name = "SELECTOR")]
    selector: Option<LabelSelector>,

    /// Also export the Services that a ServiceExport of the Multi-Cluster Services API names,
    /// with their endpoints, and serve the ServiceExports.
    #[arg(long)]
    service_exports: bool,

    /// Export only from this namespace; from all if empty.
    #[arg(long, value_name = "NAMESPACE", default_value = "")]
    namespace: String,

    /// Fields of an object that are exported: `needed` for those that a client needs to use a
    /// Service, `all` for the object as the upstream encodes it
    #[arg(long, value_enum, default_value_t = FieldsArg::Needed)]
    fields: FieldsArg,

    /// With `--fields=needed`: let this annotation leave too. Repeatable.
    #[arg(
        long = "export-annotations",
        alias = "annotations",
        value_name = "NAME",
        value_delimiter = ','
    )]
    annotations: Vec<String>,

    /// Consistency of reads without a resource version. `upstream`: the response includes all
    /// earlier writes; costs one metadata list at the API server, shared by concurrent reads.
    /// `cache`: the response comes from the watch cache and can be stale. While the API server is
    /// unavailable, both are the same
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = ConsistentReads::Upstream)]
    consistent_reads: ConsistentReads,

    /// Also serve the namespaces in which Services are exported, by name only; CoreDNS, for
    /// example, reads them first. A client sees the namespaces of which it can read everything
    #[arg(long)]
    serve_namespaces: bool,

    #[command(flatten)]
    names: names::NameFlags,

    /// The cluster to export from; the one around this process if absent.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The kubeconfig's context to use; its current one if absent.
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,

    #[command(flatten)]
    upstream: UpstreamArgs,

    #[command(flatten)]
    serving: ServingArgs,

    #[command(flatten)]
    access: AccessArgs,

    #[command(flatten)]
    connections: ConnectionLimits,

    #[command(flatten)]
    requests: RequestLimits,

    #[command(flatten)]
    budgets: UpstreamLimits,

    #[command(flatten)]
    drain: Drain,

    /// File with a bearer token in each line, for clients that read /debug/consumers from another
    /// machine; without it, only the machine itself may
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,

    /// Serve probes and metrics on this address.
    #[arg(
        long = "admin-bind-address",
        alias = "listen",
        value_name = "IP:PORT",
        default_value = "0.0.0.0:9090"
    )]
    listen: SocketAddr,

    /// Log level: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value_t)]
    log_level: LogFilter,

    /// Log format: text or json
    #[arg(long, value_name = "FORMAT", default_value_t)]
    log_format: LogFormat,

    #[arg(skip)]
    spelling: FlagDialect,

    /// Warnings about former spellings
    #[arg(skip)]
    warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FieldsArg {
    Needed,
    All,
}

impl FieldsArg {
    fn fields(self, annotations: Vec<String>) -> Fields {
        match self {
            Self::Needed => Fields::Needed { annotations },
            Self::All => Fields::All,
        }
    }
}

/// Consistency of reads without a resource version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ConsistentReads {
    /// Every write that was done before it.
    Upstream,
    /// The response comes from the watch cache.
    Cache,
}

/// Checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The cluster to export from.
    pub access: Access,
    /// Label selector of the exported objects; `None` for no export by labels.
    pub selector: Option<LabelSelector>,
    /// `true` if ServiceExports export Services too.
    pub service_exports: bool,
    /// Exported namespace; `None` for all.
    pub namespace: Option<String>,
    /// Exported fields.
    pub fields: Fields,
    /// Consistency of reads without a resource version.
    pub consistent_reads: ConsistentReads,
    /// `true` if namespaces are served.
    pub serve_namespaces: bool,
    /// Names of the cluster and of its clusterset.
    pub names: ClusterNames,
    /// Addresses and certificates.
    pub serving: Serving,
    /// Authentication and authorization.
    pub settings: Settings,
    /// Limits of connections.
    pub connections: ConnectionLimits,
    /// Limits of requests.
    pub requests: RequestLimits,
    /// Limits of the upstream.
    pub upstream: UpstreamLimits,
    /// Settings of the shutdown.
    pub drain: Drain,
    /// File of tokens of clients that read debug paths from another machine.
    pub admin_token_file: Option<PathBuf>,
    /// Address of the admin port.
    pub listen: SocketAddr,
    /// Log format and level.
    pub log: (LogFormat, LogFilter),
    /// Warnings about flags.
    pub notes: Vec<String>,
}

impl Args {
    /// Takes the flags as the dialect means them.
    pub(crate) fn spelled(self, spelling: FlagDialect) -> Self {
        Self { spelling, ..self }
    }

    /// Takes warnings about former spellings.
    pub(crate) fn warned(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }
}

impl TryFrom<Args> for Config {
    type Error = Error;

    fn try_from(args: Args) -> Result<Self, Error> {
        let Args {
            selector,
            service_exports,
            namespace,
            fields,
            annotations,
            consistent_reads,
            serve_namespaces,
            names,
            kubeconfig,
            context,
            upstream,
            serving,
            access,
            connections,
            requests,
            budgets,
            drain,
            admin_token_file,
            listen,
            log_level,
            log_format,
            mut spelling,
            warnings,
        } = args;
        let beside = AuthContext {
            has_client_ca: serving.has_client_ca(),
            is_service_reflector: matches!(spelling, FlagDialect::ServiceReflector { .. }),
            names_insecure_port: serving.names_insecure_port(),
        };
        let serving = serving.serving(access.knows_consumers() || beside.has_client_ca)?;
        let mut notes = serving.notes();
        let selector = spelling.selector(selector, service_exports)?;
        let settings = access.settings(&beside)?;
        notes.extend(access::notes(&settings));
        Ok(Self {
            access: followed(upstream.into_access()?, kubeconfig, context),
            selector,
            service_exports,
            namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
            fields: fields.fields(annotations),
            consistent_reads,
            serve_namespaces,
            names: names.names(),
            serving,
            settings,
            connections,
            requests,
            upstream: budgets,
            drain,
            admin_token_file,
            listen,
            log: (log_format, log_level),
            notes: [warnings, notes, spelling.notes()].concat(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Args, Config, Parser};
    use crate::compat::CommandLine;
    use crate::tls::Certificate;

    fn parse(line: &str) -> Result<Config, String> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let line = CommandLine::read(&words).map_err(|why| why.to_string())?;
        let words = std::iter::once("emitter".to_owned()).chain(line.words);
        let args = Args::try_parse_from(words).map_err(|why| why.to_string())?;
        Config::try_from(args.spelled(line.spelling)).map_err(|why| why.to_string())
    }

    #[test]
    fn a_selector_and_who_may_read_is_all_it_takes() {
        let config = parse("--selector export=yes --anonymous-auth").unwrap();
        assert_eq!(config.access, Access::InCluster);
        assert_eq!(config.serving.http.unwrap().to_string(), "0.0.0.0:8080");
        let (address, sources) = config.serving.https.unwrap();
        assert_eq!(address.to_string(), "0.0.0.0:6443");
        assert_eq!(sources.certificate, Certificate::SelfSigned);
    }

    #[test]
    fn no_client_is_admitted_by_default() {
        for (line, anonymous) in [
            ("--selector a=b", None),
            ("--selector a=b --insecure-port 0", None),
            (
                "--selector a=b --anonymous-auth=false --insecure-port 1",
                None,
            ),
            ("--selector a=b --insecure-port 1", Some(true)),
            ("--selector a=b --anonymous-auth", Some(true)),
            ("--emitter.selector a=b", Some(true)),
            (
                "--emitter.selector a=b --emitter.insecure-port 0",
                Some(true),
            ),
            (
                "--selector a=b --insecure-port 1 --access-config x",
                Some(false),
            ),
            ("--selector a=b --client-ca-file x", Some(false)),
            (
                "--selector a=b --token-auth-file x --anonymous-auth",
                Some(true),
            ),
            (
                "--selector a=b --delegate-authorization --anonymous-auth",
                Some(true),
            ),
        ] {
            let settings = parse(line).map(|config| config.settings.anonymous);
            match anonymous {
                Some(anonymous) => assert_eq!(settings, Ok(anonymous), "{line}"),
                None => assert!(settings.unwrap_err().contains("--anonymous-auth"), "{line}"),
            }
        }
        let config = parse("--selector a=b --token-auth-file x").unwrap();
        assert_eq!(
            config.serving.http, None,
            "a token should not travel in the clear"
        );
    }

    #[test]
    fn bad_flags_are_named() {
        for (line, word) in [
            ("", "--selector"),
            ("--selector a=b --nonsense", "--nonsense"),
            ("--selector a==b==c", "--selector"),
            ("--selector a=b --secure-port 70000", "--secure-port"),
            (
                "--selector a=b --secure-port 0 --insecure-port 0",
                "--secure-port",
            ),
            ("--selector a=b --tls-cert-file x", "--tls-private-key-file"),
            ("--selector a=b --context x", "--kubeconfig"),
            ("--selector=", "--selector"),
            (
                "--selector a=b --upstream-url http://x --kubeconfig y",
                "--upstream-url",
            ),
            ("--selector a=b --upstream-token-file x", "--upstream-url"),
        ] {
            let why = parse(line).unwrap_err();
            assert!(why.contains(word), "{line}: {why}");
        }
    }
}
