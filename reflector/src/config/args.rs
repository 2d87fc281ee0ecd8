//! Flags and subcommands.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use proto_types::ObjectKey;
use proto_types::name::DnsLabel;
use reflector_planner::SourceName;
use runtime::{LogFilter, LogFormat};

use super::{
    FoundSources, GlobalEntry, Habits, KubeconfigDir, ObjectKind, SourceApi, SourceEntry, staleness,
};

/// Makes Services of other clusters usable in this one.
#[derive(Debug, clap::Parser)]
#[command(name = "reflector", version)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Configuration in YAML or JSON: mirrorNamespace, removedSources, sources
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// A source, as in name=east,url=http://east:8080,prefix=east or
    /// name=west,kubeconfig=/etc/west,sameName=true; keys as in the file; repeatable
    #[arg(long = "source", global = true, value_name = "KEY=VALUE,...")]
    pub(crate) sources: Vec<SourceEntry>,

    /// Namespace of mirrors with a prefix; takes precedence over the file's mirrorNamespace
    #[arg(long, global = true, value_name = "NAMESPACE")]
    pub(crate) mirror_namespace: Option<DnsLabel>,

    /// Read further sources from objects of the CRD Source in a namespace; default: the namespace
    /// of this pod
    #[arg(
        long,
        global = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        value_name = "NAMESPACE"
    )]
    pub(crate) sources_from_crd: Option<String>,

    /// Directory below which objects of the CRD Source may name files; without it, they may name
    /// none
    #[arg(long, global = true, value_name = "DIRECTORY")]
    pub(crate) source_file_directory: Option<PathBuf>,

    /// The kubeconfig of the local cluster; without it, the one around this process
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The context in the local kubeconfig
    #[arg(long, global = true, requires = "kubeconfig")]
    pub(crate) context: Option<String>,

    /// Address of /livez, /readyz, /metrics, /status and /explain
    #[arg(
        long = "admin-bind-address",
        alias = "listen",
        global = true,
        value_name = "ADDRESS",
        default_value = "0.0.0.0:9090"
    )]
    pub(crate) listen: SocketAddr,

    /// File with a bearer token in each line, for clients that read /status and /explain from
    /// another machine; without it, only the machine itself may
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,

    /// Let one of several processes write, and the others stand by
    #[arg(
        long,
        global = true,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub(crate) leader_elect: bool,

    /// The Lease by which they agree
    #[arg(
        long = "leader-elect-resource-name",
        alias = "lease-name",
        global = true,
        value_name = "NAME",
        default_value = "heliograph-reflector"
    )]
    pub(crate) lease_name: DnsLabel,

    /// Namespace of the Lease; default: the namespace of this process
    #[arg(
        long = "leader-elect-resource-namespace",
        alias = "lease-namespace",
        global = true,
        value_name = "NAMESPACE"
    )]
    pub(crate) lease_namespace: Option<DnsLabel>,

    /// Time after the last renewal at which another replica may become the leader
    #[arg(
        long = "leader-elect-lease-duration",
        alias = "lease-duration",
        global = true,
        value_name = "DURATION",
        default_value = "8s",
        value_parser = lease
    )]
    pub(crate) lease_duration: Duration,

    /// Namespace of the ConfigMap that records the cluster of each source; default: the namespace
    /// of the Lease, or of this pod
    #[arg(long, global = true, value_name = "NAMESPACE")]
    pub(crate) state_namespace: Option<DnsLabel>,

    /// Open a namespace of the local cluster to sources that is closed by default; repeatable
    #[arg(long = "open-namespace", global = true, value_name = "NAMESPACE")]
    pub(crate) opened: Vec<DnsLabel>,

    /// Allow bearer tokens and CA certificates over plain HTTP
    #[arg(long, global = true)]
    pub(crate) allow_plain_http: bool,

    /// error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL", default_value_t)]
    pub(crate) log_level: LogFilter,

    /// text or json
    #[arg(long, global = true, value_name = "FORMAT", default_value_t)]
    pub(crate) log_format: LogFormat,

    /// Global Services, where a front end asks for them
    #[arg(skip)]
    pub(crate) global: Option<GlobalEntry>,

    /// Kubeconfigs that are sources, where a front end asks for them
    #[arg(skip)]
    pub(crate) kubeconfig_dir: Option<KubeconfigDir>,

    /// URLs that are sources, where a front end asks for them
    #[arg(skip)]
    pub(crate) source_api: Option<SourceApi>,

    /// Text of the ConfigMap of source URLs, if it was read
    #[arg(skip)]
    pub(crate) config_map: Option<String>,

    /// Known objects of the CRD Source
    #[arg(skip)]
    pub(crate) source_objects: FoundSources,

    /// Known ClusterProfiles
    #[arg(skip)]
    pub(crate) cluster_profiles: FoundSources,

    /// Metrics also by the names that semaphore-service-mirror had
    #[arg(skip)]
    pub(crate) semaphore_metrics: bool,

    /// Tasks of a predecessor beside mirroring
    #[arg(skip)]
    pub(crate) habits: Habits,

    /// Warnings of a front end
    #[arg(skip)]
    pub(crate) notes: Vec<String>,
    /// Files that a front end read, beside the configuration
    #[arg(skip)]
    pub(crate) inputs: Vec<PathBuf>,

    /// No error without sources
    #[arg(skip)]
    pub(crate) may_be_empty: bool,
}

impl Args {
    /// Returns the known objects of a kind.
    pub(crate) const fn found(&mut self, kind: ObjectKind) -> &mut FoundSources {
        match kind {
            ObjectKind::Source => &mut self.source_objects,
            ObjectKind::ClusterProfile => &mut self.cluster_profiles,
        }
    }
}

/// Command other than to run the reflector.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Print the sources and problems of a running reflector
    Status {
        /// Address of the reflector; default: as flags and variables say
        #[arg(long, value_name = "URL")]
        server: Option<http::Uri>,
        /// Wait at most this time until all sources are synced; exit with 1 if they are not
        #[arg(long, value_name = "DURATION", value_parser = staleness::parse)]
        wait: Option<Duration>,
        /// Exit with 2 if there is a problem, a source that is not followed, or a wrong configuration
        #[arg(long)]
        exit_code: bool,
        /// text or json
        #[arg(short, long, value_name = "FORMAT", default_value = "text")]
        output: Output,
    },
    /// Say why a Service is mirrored as it is, step by step
    Explain {
        /// NAMESPACE/NAME of a Service, in this cluster or in a source; `svc` or `service` may
        /// stand before it
        #[arg(value_name = "[svc] NAMESPACE/NAME", required = true, num_args = 1..=2)]
        service: Vec<String>,
        /// The namespace, where the name is given alone
        #[arg(short, long, value_name = "NAMESPACE")]
        namespace: Option<DnsLabel>,
        /// Address of the reflector; default: as for status
        #[arg(long, value_name = "URL")]
        server: Option<http::Uri>,
        /// text or json
        #[arg(short, long, value_name = "FORMAT", default_value = "text")]
        output: Output,
    },
    /// Print what would be written by flags and file, and why; write nothing.
    ///
    /// Exits with 0 if nothing would be written and nothing stands in the way, with 2 if something
    /// would be written or cannot be, and with 1 if that cannot be said, as when a source cannot be
    /// read.
    Plan {
        /// Ask no cluster, and take this file for all Services and EndpointSlices here
        #[arg(long, value_name = "FILE")]
        local_objects: Option<PathBuf>,
        /// The file of a source's objects, as kubectl get -o yaml writes it; repeatable
        #[arg(long, value_name = "SOURCE=FILE", requires = "local_objects")]
        source_objects: Vec<SourceFile>,
        /// Explain this Service instead: what each source says of it, and what follows
        #[arg(long, value_name = "NAMESPACE/NAME", value_parser = one_service)]
        explain: Option<ObjectKey>,
        /// text or json
        #[arg(short, long, value_name = "FORMAT", default_value = "text")]
        output: Output,
    },
    /// Print what is understood of flags and file, and do nothing
    Config {
        /// Print the JSON Schema of the file instead
        #[arg(long, conflicts_with = "output")]
        schema: bool,
        /// text or json
        #[arg(short, long, value_name = "FORMAT", default_value = "text")]
        output: Output,
    },
}

/// Format of printed output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Output {
    /// Text for people.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// File of the objects of a source, as in `east=objects.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Name of the source.
    pub(crate) source: SourceName,
    /// Path of the file.
    pub(crate) path: PathBuf,
}

impl FromStr for SourceFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = text.split_once('=').filter(|(_, path)| !path.is_empty());
        let (source, path) = pair.ok_or("write it as SOURCE=FILE")?;
        Ok(Self {
            source: source.parse().map_err(|why| format!("{why}"))?,
            path: path.into(),
        })
    }
}

fn lease(text: &str) -> Result<Duration, String> {
    let duration = staleness::parse(text)?;
    // A Lease counts in seconds, and a round trip must fit several times.
    if duration < Duration::from_secs(3) {
        return Err("a lease lasts at least 3s".to_owned());
    }
    Ok(duration)
}

/// Reads a Service as `NAMESPACE/NAME`.
fn one_service(text: &str) -> Result<ObjectKey, String> {
    service(&[text.to_owned()], None)
}

/// Reads a Service as `NAMESPACE/NAME`, or as kubectl takes it: `svc NAME -n NAMESPACE`,
/// `svc/NAME -n NAMESPACE`.
pub(crate) fn service(words: &[String], namespace: Option<&DnsLabel>) -> Result<ObjectKey, String> {
    const KINDS: [&str; 3] = ["svc", "service", "services"];
    let is_kind = |word: &str| KINDS.contains(&word.to_ascii_lowercase().as_str());
    let wrong = || {
        let given = words.join(" ");
        format!("{given:?} is not a Service: write NAMESPACE/NAME, or NAME with --namespace")
    };
    let name = match words {
        [name] => name,
        [kind, name] if is_kind(kind) => name,
        _ => return Err(wrong()),
    };
    let key = match (name.split_once('/'), namespace) {
        (Some((kind, name)), Some(namespace)) if is_kind(kind) => format!("{namespace}/{name}"),
        (Some((first, _)), Some(namespace)) if first != namespace.as_str() => {
            return Err(format!(
                "{name} is not in namespace {namespace}: name one of the two"
            ));
        }
        (Some(_), _) => name.clone(),
        (None, Some(namespace)) => format!("{namespace}/{name}"),
        (None, None) => return Err(wrong()),
    };
    ObjectKey::parse(&key).ok_or_else(wrong)
}
