//! Flags of the addresses and certificates.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::Error;
use crate::signing::Signing;
use crate::tls::{Certificate, MinVersion, NamedPair, Sources, Suites};

/// Flags of the serving addresses and certificates.
#[derive(Debug, Args)]
pub(super) struct ServingArgs {
    /// Serve HTTPS on this address.
    #[arg(long, value_name = "IP", default_value_t = ANY)]
    bind_address: IpAddr,

    /// Serve HTTPS on this port; 0 for not at all.
    #[arg(long, value_name = "PORT", default_value_t = 6443)]
    secure_port: u16,

    /// Serve HTTP on this address.
    #[arg(long, value_name = "IP", default_value_t = ANY)]
    insecure_bind_address: IpAddr,

    /// Serve HTTP on this port; 0 for not at all. If absent 8080, or 0 where a flag says
    /// how consumers are known: a token should not travel in the clear.
    #[arg(long, value_name = "PORT")]
    insecure_port: Option<u16>,

    /// The certificate for HTTPS, in PEM; one for localhost is made up if absent. Read
    /// again when it changes, as its key and the authorities below are.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    tls_cert_file: Option<PathBuf>,

    /// The private key of --tls-cert-file, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_private_key_file: Option<PathBuf>,

    /// Without --tls-cert-file: where the certificate that is made up is kept as
    /// emitter.crt and emitter.key, so that it stays the same after a restart. What is
    /// there is used.
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,

    /// Secret with the certificate authority (CA) that signs the serving certificate, in the
    /// cluster around this process; created if it is empty. Of several the first one signs, and
    /// all are published in the ConfigMap of its name.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME,…",
        value_delimiter = ',',
        requires = "cert_dir",
        conflicts_with = "tls_cert_file"
    )]
    ca_secret: Vec<SecretName>,

    /// Names and addresses in the serving certificate that --ca-secret signs, beside
    /// heliograph-emitter.NAMESPACE.svc and localhost.
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        requires = "ca_secret"
    )]
    tls_names: Vec<String>,

    /// A certificate and its key in PEM, for clients that ask for one of these names;
    /// `*.` may begin one. For the names in the certificate if there are none here; others
    /// get the certificate above. Repeatable: of two for one name the first counts. Read
    /// again when it changes.
    #[arg(long, value_name = "CERT,KEY[:NAME,…]")]
    tls_sni_cert_key: Vec<NamedPair>,

    /// The cipher suites that are used, by their names in Go and at IANA. All that are
    /// secure if absent, and all of TLS 1.3 if none of them is named. Suites that have
    /// known weaknesses are passed over with a warning.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    tls_cipher_suites: Vec<String>,

    /// The oldest version of TLS that is used: VersionTLS12 or VersionTLS13. VersionTLS10
    /// and VersionTLS11 are taken for the oldest that is secure.
    #[arg(long, value_name = "VERSION", default_value_t)]
    tls_min_version: MinVersion,

    /// The authorities of clients' certificates, in PEM: a certificate's common name is its
    /// user, its organizations are the user's groups.
    #[arg(long, value_name = "FILE")]
    client_ca_file: Option<PathBuf>,
}

const HTTP_PORT: u16 = 8080;

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Addresses and certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Address of HTTP, if it is served.
    pub http: Option<SocketAddr>,
    /// The CA that signs the serving certificate, if it is the emitter's own.
    pub(crate) signing: Option<Signing>,
    /// Address of HTTPS, if it is served, with its certificates.
    pub https: Option<(SocketAddr, Sources)>,
}

/// Namespace and name of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SecretName {
    namespace: String,
    name: String,
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(format!("{text:?} is not NAMESPACE/NAME of a Secret")),
        }
    }
}

fn signing(
    secrets: &[SecretName],
    names: Vec<String>,
    directory: Option<&Path>,
) -> Result<Option<Signing>, Error> {
    let (Some(first), Some(directory)) = (secrets.first(), directory) else {
        return Ok(None);
    };
    let namespace = first.namespace.clone();
    if secrets.iter().any(|it| it.namespace != namespace) {
        return Err(Error::CaSecrets);
    }
    let service = [
        "heliograph-emitter".to_owned(),
        format!("heliograph-emitter.{namespace}"),
    ];
    let whole = format!("heliograph-emitter.{namespace}.svc");
    let own = [whole]
        .into_iter()
        .chain(service)
        .chain(["localhost".to_owned()]);
    Ok(Some(Signing {
        namespace,
        secrets: secrets.iter().map(|it| it.name.clone()).collect(),
        names: own.chain(names).collect(),
        directory: directory.to_owned(),
    }))
}

impl Serving {
    /// Returns warnings about the flags.
    pub(super) fn notes(&self) -> Vec<String> {
        let suites = self.https.as_ref().map(|(_, sources)| &sources.suites);
        let mut notes = suites.map(|it| it.notes.clone()).unwrap_or_default();
        if let Some(address) = self.http.filter(|it| !it.ip().is_loopback()) {
            notes.push(format!(
                "plain HTTP is served on {address}: anything on the way can read and change what \
                 consumers get, and read their tokens; set --insecure-port=0 and serve HTTPS"
            ));
        }
        notes
    }
}

impl ServingArgs {
    pub(super) const fn has_client_ca(&self) -> bool {
        self.client_ca_file.is_some()
    }

    pub(super) fn names_insecure_port(&self) -> bool {
        self.insecure_port.is_some_and(|port| port != 0)
    }

    /// Returns the addresses, for clients whose credentials must be encrypted or for others.
    pub(super) fn serving(self, knows_consumers: bool) -> Result<Serving, Error> {
        let http = self.insecure_port;
        let http = http.unwrap_or(if knows_consumers { 0 } else { HTTP_PORT });
        if self.secure_port == 0 && http == 0 {
            return Err(Error::NoPort);
        }
        let signing = signing(&self.ca_secret, self.tls_names, self.cert_dir.as_deref())?;
        let certificate = match (self.tls_cert_file, self.tls_private_key_file, self.cert_dir) {
            (Some(cert), Some(key), _) => Certificate::Files { cert, key },
            (_, _, Some(directory)) if signing.is_some() => {
                let file = Signing::file(&directory);
                Certificate::Files {
                    cert: file.clone(),
                    key: file,
                }
            }
            (_, _, Some(directory)) => Certificate::Kept(directory),
            (_, _, None) => Certificate::SelfSigned,
        };
        let suites = Suites::named(&self.tls_cipher_suites, self.tls_min_version)?;
        let sources = Sources {
            certificate,
            named: self.tls_sni_cert_key,
            suites,
            client_ca: self.client_ca_file,
        };
        let on = |ip, port| (port != 0).then(|| SocketAddr::new(ip, port));
        Ok(Serving {
            http: on(self.insecure_bind_address, http),
            signing,
            https: on(self.bind_address, self.secure_port).map(|address| (address, sources)),
        })
    }
}
