//! One source, as it is typed.

mod access;
mod error;
mod pairs;
mod url;

use std::collections::BTreeMap;
use std::path::PathBuf;

use proto_types::LabelSelector;
use proto_types::name::DnsLabel;
use reflector_planner::{Import, MissingNamespaces, Naming, PolicyRight, SourceName, StalenessOf};
use schemars::JsonSchema;
use serde::Deserialize;

use super::endpoints::EndpointsFrom;
use super::import::ImportEntry;
use super::limits::LimitsEntry;
use super::naming::NamingEntry;
use super::schema::{self, Duration as DurationText, Label, Prefix, SourceLabel};
use super::staleness::{StalenessEntry, StalenessOfEntry};
use super::{Origin, SourceConfig};

pub use error::InvalidSource;
pub(super) use pairs::keys;

/// Name of the local cluster in failover orders, which no source can have.
const LOCAL: &str = "local";

/// One source, as it is typed in a file or behind `--source`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Source", transform = schema::of_source)]
pub struct SourceEntry {
    /// Name.
    #[schemars(with = "SourceLabel")]
    pub name: SourceName,
    /// URL of its emitter.
    pub url: Option<String>,
    /// Kubeconfig of its API server, instead of an emitter.
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig.
    pub context: Option<String>,
    /// The authority that signed the URL's certificate.
    pub ca_file: Option<PathBuf>,
    /// The same authority, in PEM format.
    pub ca: Option<String>,
    /// URL of that CA, which is fetched repeatedly.
    pub ca_url: Option<String>,
    /// Name in the URL's certificate, where that is another one than in the URL.
    pub server_name: Option<String>,
    /// The bearer token for the URL.
    pub token_file: Option<PathBuf>,
    /// The variable of this process that has that token.
    pub token_variable: Option<String>,
    /// File of the client certificate that the URL's server is shown, in PEM format.
    pub client_certificate_file: Option<PathBuf>,
    /// File of the key of that certificate, in PEM format.
    pub client_key_file: Option<PathBuf>,
    /// The proxy that leads to the URL.
    pub proxy_url: Option<String>,
    /// Expected cluster identity: UID of its namespace `kube-system`.
    pub cluster: Option<Box<str>>,
    /// Prefix of the names of its mirrors.
    #[schemars(with = "Option<Prefix>")]
    pub prefix: Option<DnsLabel>,
    /// `true` if its mirrors have the namespace and name of the source Services.
    #[serde(default)]
    pub same_name: bool,
    /// `true` if missing namespaces of its mirrors are created.
    #[serde(default)]
    pub create_namespace: bool,
    /// Resource from which its endpoints are read.
    #[serde(default)]
    pub endpoints_from: EndpointsFrom,
    /// Interval of lists if its server has no resource versions.
    #[serde(rename = "pollInterval", alias = "pollEvery")]
    #[schemars(with = "Option<DurationText>")]
    pub poll_every: Option<String>,
    /// `true` if its mirrors have core/v1 Endpoints beside their EndpointSlices.
    #[serde(default)]
    pub write_endpoints: bool,
    /// Label selector of the mirrored Services.
    pub selector: Option<String>,
    /// The only namespace that is mirrored.
    #[schemars(with = "Option<Label>")]
    pub namespace: Option<DnsLabel>,
    /// Membership of its Services in global Services; default true if there are any.
    pub global: Option<bool>,
    /// Membership of the cluster in the clusterset; default true if there is one.
    pub cluster_set: Option<bool>,
    /// Its zones, and their names in the local cluster.
    #[serde(default, rename = "zoneMap", alias = "zones")]
    pub zones: BTreeMap<String, String>,
    /// Treatment of its endpoints while it is disconnected.
    #[serde(default)]
    pub staleness: StalenessEntry,
    /// Its Services for which that is otherwise.
    #[serde(default, rename = "stalenessOverrides", alias = "stalenessOf")]
    pub staleness_of: Vec<StalenessOfEntry>,
    /// Import policy.
    #[serde(default)]
    pub import: ImportEntry,
    /// Limits of its memory and of the writes for it.
    #[serde(default)]
    pub limits: LimitsEntry,
    /// Names of its mirrors.
    #[serde(default)]
    pub naming: NamingEntry,
    /// The server that its kubeconfig leads to, where service-reflector called it so.
    #[serde(skip)]
    pub server: Option<String>,
    /// `true` if mirrors have the annotations of service-reflector too.
    #[serde(skip)]
    pub marks_as_reflected: bool,
    /// Origin of the entry.
    #[serde(skip)]
    pub origin: Origin,
    /// `true` if its kubeconfig can have inline data only.
    #[serde(skip)]
    pub is_inline: bool,
    /// Access that a ClusterProfile and an access provider describe.
    #[serde(skip)]
    pub provided: Option<Provided>,
}

/// Kubeconfig that is no file: a server in a ClusterProfile and a configured credential plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// Object from which it comes, for messages.
    pub(crate) origin: String,
    /// Text of the kubeconfig.
    pub(crate) kubeconfig: String,
}

impl SourceEntry {
    /// An entry with that name and defaults.
    pub(crate) fn named(name: SourceName) -> Self {
        Self {
            name,
            url: None,
            kubeconfig: None,
            context: None,
            ca_file: None,
            ca: None,
            ca_url: None,
            server_name: None,
            token_file: None,
            token_variable: None,
            client_certificate_file: None,
            client_key_file: None,
            proxy_url: None,
            cluster: None,
            prefix: None,
            same_name: false,
            create_namespace: false,
            endpoints_from: EndpointsFrom::default(),
            poll_every: None,
            write_endpoints: false,
            selector: None,
            namespace: None,
            global: None,
            cluster_set: None,
            zones: BTreeMap::new(),
            staleness: StalenessEntry::default(),
            staleness_of: Vec::new(),
            import: ImportEntry::default(),
            limits: LimitsEntry::default(),
            naming: NamingEntry::default(),
            server: None,
            marks_as_reflected: false,
            origin: Origin::Written,
            is_inline: false,
            provided: None,
        }
    }

    /// Returns the entry with that access. Keys about the URL of an emitter do not apply to it:
    /// nothing reads them in its place but the one that has a CA fetched.
    pub(crate) fn provided_by(self, provided: Provided) -> Self {
        Self {
            provided: Some(provided),
            origin: Origin::Found,
            ca_url: None,
            ..self
        }
    }

    /// Checks the entry.
    pub fn check(self) -> Result<SourceConfig, InvalidSource> {
        // A predecessor can have a kubeconfig of that name.
        if self.name.as_str() == LOCAL && self.origin == Origin::Written {
            return Err(InvalidSource::Reserved);
        }
        if self.same_name {
            self.check_namespaces()?;
        }
        let access = self.access()?;
        let ca_url = self.ca_url.as_ref().map(|url| self.uri(url)).transpose()?;
        let selector = match &self.selector {
            Some(text) => text.parse().map_err(|why| InvalidSource::Selector {
                name: self.name.clone(),
                selector: text.clone(),
                why: format!("{why}"),
            })?,
            None => LabelSelector::default(),
        };
        let poll_every = self.poll_every.as_deref().map(super::staleness::parse);
        let poll_every = poll_every.transpose();
        let poll_every = poll_every.map_err(|why| self.unclear(format!("pollInterval: {why}")))?;
        let limits = self.limits.check().map_err(|why| self.unclear(why))?;
        Ok(SourceConfig {
            limits,
            endpoints_from: self.endpoints_from,
            poll_every,
            joins: self.joins(),
            in_cluster_set: self.in_cluster_set(),
            staleness: self.staleness.0,
            mirrors: self.mirrors(),
            name: self.name,
            access,
            ca_url,
            cluster: self.cluster,
            selector,
            namespace: self.namespace,
            origin: self.origin,
        })
    }

    /// Returns the import policy.
    pub(crate) fn imported(&self) -> Result<Import, InvalidSource> {
        let mut import = self.import.clone();
        if let (Some(namespace), false) = (&self.namespace, import.names_namespaces()) {
            // The scope of the requests is also the limit of the accepted objects.
            import.allow_namespaces(&[namespace.as_str()]);
        }
        import.check().map_err(|why| self.unclear(why))
    }

    /// Checks that a source that decides on local namespaces has a list of allowed ones.
    pub(crate) fn check_namespaces(&self) -> Result<(), InvalidSource> {
        if self.import.names_namespaces() || self.namespace.is_some() {
            Ok(())
        } else {
            Err(InvalidSource::AnyNamespace(self.name.clone()))
        }
    }

    /// Returns the policies of its Services that apply to other clusters too.
    pub(crate) fn rights(&self) -> Box<[PolicyRight]> {
        self.import.rights()
    }

    /// Returns the treatment of missing namespaces of its mirrors.
    pub(crate) const fn missing_namespaces(&self) -> MissingNamespaces {
        match self.create_namespace {
            true => MissingNamespaces::Created,
            false => MissingNamespaces::Reported,
        }
    }

    /// Returns the naming of its mirrors.
    pub(crate) fn called(&self) -> Result<Naming, InvalidSource> {
        self.naming.check().map_err(|why| self.unclear(why))
    }

    /// Returns the exceptions for some of its endpoints while it is disconnected.
    pub(crate) fn exceptions(&self) -> Result<Vec<StalenessOf>, InvalidSource> {
        let exceptions = self.staleness_of.iter().map(StalenessOfEntry::check);
        let exceptions: Result<_, _> = exceptions.collect();
        exceptions.map_err(|why| self.unclear(why))
    }

    fn unclear(&self, why: String) -> InvalidSource {
        let name = self.name.clone();
        InvalidSource::Unclear { name, why }
    }

    /// Refuses credentials and CA certificates that would travel unencrypted.
    pub(crate) fn check_secrets(&self) -> Result<(), InvalidSource> {
        let is_plain = |url: &Option<String>| {
            let url = url.as_ref().and_then(|it| url::parse(it).ok());
            url.is_some_and(|it| !runtime::client::is_protected(&it))
        };
        let (is_plain, is_ca_plain) = (is_plain(&self.url), is_plain(&self.ca_url));
        let keys = [
            ("tokenFile", is_plain && self.token_file.is_some()),
            ("tokenVariable", is_plain && self.token_variable.is_some()),
            (
                "clientCertificateFile",
                is_plain && self.client_certificate_file.is_some(),
            ),
            ("caUrl", is_ca_plain),
        ];
        match keys.into_iter().find(|(_, is_refused)| *is_refused) {
            None => Ok(()),
            Some((key, _)) => Err(InvalidSource::PlainHttp {
                name: self.name.clone(),
                key,
            }),
        }
    }

    /// Returns the name that service-reflector gave to the source.
    pub(crate) fn known_as(&self) -> Option<&str> {
        self.server.as_deref().or(self.url.as_deref())
    }
}
