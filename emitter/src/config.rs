//! Flags, and what they mean.
//!
//! Names are those of kube-apiserver where it has the thing; service-reflector's spellings
//! (`--emitter.…`) become these in [`crate::compat`].

mod access;
mod serving;
mod spelling;
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
use proto_types::name::DnsLabel;
use runtime::client::Access;
use runtime::log::{LogFilter, LogFormat};

use self::access::{AccessArgs, Beside};
pub use self::serving::Serving;
use self::serving::ServingArgs;
pub(crate) use self::spelling::Spelling;
use self::upstream::{UpstreamArgs, followed};
use crate::access::Settings;
use crate::identity::Names;
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

    /// Which fields of an object leave the cluster: `needed` for what it takes to use
    /// a Service from elsewhere, `all` for the upstream's bytes untouched.
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

    /// What a read without a resource version is sure to see: with `upstream` every
    /// write that was done before it, at the cost of a list of metadata there, shared by
    /// all who read at the same time; with `cache` what has arrived here. While the API
    /// server does not answer, both are the same.
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = ConsistentReads::Upstream)]
    consistent_reads: ConsistentReads,

    /// Also serve the namespaces in which Services are exported, by name only: CoreDNS,
    /// for one, looks there first. A consumer is told of those of which it may see all.
    #[arg(long)]
    serve_namespaces: bool,

    /// What this cluster is called: told to consumers as the ClusterProperty
    /// `cluster.clusterset.k8s.io`; the uid of its namespace kube-system if absent.
    #[arg(long, value_name = "NAME")]
    cluster_name: Option<DnsLabel>,

    /// Which set of clusters this one belongs to: told to consumers as the
    /// ClusterProperty `clusterset.k8s.io`.
    #[arg(long = "clusterset", alias = "cluster-set", value_name = "NAME")]
    cluster_set: Option<String>,

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

    /// File with a bearer token in each line, for those who read /debug/consumers from
    /// another machine; without it, only the machine itself may.
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

    /// What to log: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value_t)]
    log_level: LogFilter,

    /// How to log: text or json.
    #[arg(long, value_name = "FORMAT", default_value_t)]
    log_format: LogFormat,

    #[arg(skip)]
    spelling: Spelling,
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

/// What a read without a resource version is sure to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ConsistentReads {
    /// Every write that was done before it.
    Upstream,
    /// What has arrived here.
    Cache,
}

/// What the flags mean.
#[derive(Debug)]
pub struct Config {
    /// The cluster to export from.
    pub access: Access,
    /// What is exported by labels; nothing if absent.
    pub selector: Option<LabelSelector>,
    /// Whether ServiceExports export Services too.
    pub service_exports: bool,
    /// From where; all namespaces if absent.
    pub namespace: Option<String>,
    /// How much of it.
    pub fields: Fields,
    /// What a read is sure to see.
    pub consistent_reads: ConsistentReads,
    /// Whether namespaces are served.
    pub serve_namespaces: bool,
    /// What the cluster is called.
    pub names: Names,
    /// Where is served.
    pub serving: Serving,
    /// Who may see what.
    pub settings: Settings,
    /// How connections are served.
    pub connections: ConnectionLimits,
    /// What may be asked.
    pub requests: RequestLimits,
    /// What the upstream may send.
    pub upstream: UpstreamLimits,
    /// How serving comes to its end.
    pub drain: Drain,
    /// File of tokens for those who read debug paths from another machine.
    pub admin_token_file: Option<PathBuf>,
    /// Where probes and metrics are served.
    pub listen: SocketAddr,
    /// What is logged.
    pub log: (LogFormat, LogFilter),
    /// What people should know of the flags.
    pub notes: Vec<String>,
}

/// Flags that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There would be nothing to connect to.
    #[error(
        "both --secure-port and --insecure-port are 0, so nothing would be served; \
         set at least one of them"
    )]
    NoPort,
    /// Everybody would be refused.
    #[error(
        "nobody could read: say how consumers are known (--client-ca-file, \
         --token-auth-file, --access-config, --delegate-authentication), or let in \
         whoever reaches the port (--anonymous-auth)"
    )]
    Nobody,
    /// Secrets of several namespaces.
    #[error("--ca-secret names Secrets of several namespaces: use one namespace")]
    CaSecrets,
    /// A token would be sent unencrypted.
    #[error(
        "--upstream-token-file would be sent to {0} over plain HTTP: use an https:// URL, or remove \
         the token"
    )]
    PlainToken(http::Uri),
    /// Exporting everything must be said, and is not what an empty value says.
    #[error(
        "--selector is missing or empty, which would export everything; name the label that \
         exported objects carry, such as heliograph.dev/export=true, or let ServiceExports \
         decide (--service-exports)"
    )]
    EmptySelector,
    /// A cipher suite that is none.
    #[error(transparent)]
    Suites(#[from] crate::tls::SuitesError),
}

impl Args {
    /// The same, as somebody typed it.
    pub(crate) fn spelled(self, spelling: Spelling) -> Self {
        Self { spelling, ..self }
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
            cluster_name,
            cluster_set,
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
        } = args;
        let beside = Beside {
            has_client_ca: serving.has_client_ca(),
            is_service_reflector: matches!(spelling, Spelling::ServiceReflector { .. }),
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
            names: Names {
                cluster: cluster_name,
                cluster_set,
            },
            serving,
            settings,
            connections,
            requests,
            upstream: budgets,
            drain,
            admin_token_file,
            listen,
            log: (log_format, log_level),
            notes: [notes, spelling.notes()].concat(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Args, Config, Parser};
    use crate::compat::Line;
    use crate::tls::Certificate;

    fn parse(line: &str) -> Result<Config, String> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let line = Line::read(&words).map_err(|why| why.to_string())?;
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
    fn nobody_is_let_in_unless_that_was_asked_for() {
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
