//! Builds a client for a cluster, without contacting it.
//!
//! Deadlines and retries are the callers': a client-wide retry would hide from
//! the reader that a server is gone, and a client-wide read timeout would end
//! watches.

mod token;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderValue, Uri, header};
use kube::client::ClientBuilder;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use token::TokenFile;

// Within a cluster a connection takes milliseconds, across the world half a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
// A server that takes nothing for so long is gone; requests are a few kilobytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How a cluster is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Access {
    /// The cluster that this process runs in, as its service account.
    InCluster,
    /// As a kubeconfig says.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context to use; the file's current one if absent.
        context: Option<String>,
    },
    /// At a URL: an emitter, or a server behind `kubectl proxy`.
    Url {
        /// Where; a path in it precedes every request's own.
        url: Uri,
        /// The authority to trust; the system's if absent.
        ca_file: Option<PathBuf>,
        /// A bearer token, read again for every request.
        token_file: Option<PathBuf>,
    },
}

/// Why there is no client. Every one of these is bad configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process has no service account.
    #[error(
        "no access to the cluster around this process: run it in a pod with a service account, or name a kubeconfig"
    )]
    InCluster(#[source] InClusterError),
    /// The kubeconfig does not open.
    #[error("cannot read kubeconfig {path}: check that the file exists and may be read")]
    ReadKubeconfig {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The kubeconfig is not YAML, or not a kubeconfig.
    #[error("kubeconfig {path} is malformed: {why}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        why: String,
    },
    /// The kubeconfig lacks something that it refers to.
    #[error(
        "kubeconfig {path} is not valid: check it with `kubectl --kubeconfig {path} config view`"
    )]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KubeconfigError,
    },
    /// The context is not in the kubeconfig.
    #[error("kubeconfig {path} has no context {context:?}: use one of {known}")]
    UnknownContext {
        /// The file.
        path: PathBuf,
        /// The context that was asked for.
        context: String,
        /// Those that there are.
        known: String,
    },
    /// Neither the caller nor the kubeconfig says which context.
    #[error("kubeconfig {path} has no current context: name one of {known}")]
    NoContext {
        /// The file.
        path: PathBuf,
        /// The contexts that there are.
        known: String,
    },
    /// The kubeconfig has no contexts at all.
    #[error("kubeconfig {path} names no cluster: it has no contexts")]
    NoContexts {
        /// The file.
        path: PathBuf,
    },
    /// The URL is not one of a server.
    #[error("{url} is not the URL of a server: write it as http://HOST:PORT or https://HOST:PORT")]
    Url {
        /// The URL.
        url: Uri,
    },
    /// The authority's file does not open, or holds no certificate.
    #[error("cannot use the certificates in {path}: it must be a readable file in PEM format")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The token's file does not open, or holds no token.
    #[error("cannot use the token in {path}: it must be a readable file with one line of text")]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The user agent cannot stand in a header.
    #[error("{0:?} cannot be a user agent: use printable ASCII")]
    UserAgent(String),
    /// Certificates, keys or credentials do not work together.
    #[error("cannot connect as {access} says: check its certificates, keys and credentials")]
    Client {
        /// The access.
        access: String,
        /// What is wrong with it.
        #[source]
        source: Box<kube::Error>,
    },
}

/// A client for that cluster. An unreachable server is no error here: whoever
/// uses the client finds out, and goes on trying.
///
/// Runs the kubeconfig's credential plugin, where it names one.
pub async fn connect(access: &Access, user_agent: &str) -> Result<Client, Error> {
    install_crypto();
    let mut config = config(access).await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = None;
    config.write_timeout = Some(WRITE_TIMEOUT);
    config.default_retry = false;
    let user_agent =
        HeaderValue::from_str(user_agent).map_err(|_| Error::UserAgent(user_agent.to_owned()))?;
    config.headers.push((header::USER_AGENT, user_agent));
    build(access, config).await
}

/// Credential plugins run within: they may take long, and must hold up nobody else.
async fn build(access: &Access, config: Config) -> Result<Client, Error> {
    let token = match access {
        Access::Url { token_file, .. } => token_file.as_deref().map(TokenFile::open).transpose()?,
        Access::InCluster | Access::Kubeconfig { .. } => None,
    };
    let build = move || {
        let builder = ClientBuilder::try_from(config)?;
        Ok(match token {
            Some(token) => builder.with_layer(&token.layer()).build(),
            None => builder.build(),
        })
    };
    tokio::task::spawn_blocking(build)
        .await
        .expect("nothing cancels it, and kube reports its failures")
        .map_err(|source| Error::Client {
            access: access.to_string(),
            source: Box::new(source),
        })
}

async fn config(access: &Access) -> Result<Config, Error> {
    match access {
        Access::InCluster => Config::incluster().map_err(Error::InCluster),
        Access::Kubeconfig { path, context } => from_kubeconfig(path, context.as_deref()).await,
        Access::Url { url, ca_file, .. } => from_url(url, ca_file.as_deref()),
    }
}

async fn from_kubeconfig(path: &Path, context: Option<&str>) -> Result<Config, Error> {
    let kubeconfig = Kubeconfig::read_from(path).map_err(|source| invalid(path, source))?;
    let options = KubeConfigOptions {
        context: Some(choose(path, &kubeconfig, context)?),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|source| invalid(path, source))
}

/// The context that is asked for, or else the current one.
fn choose(path: &Path, kubeconfig: &Kubeconfig, asked: Option<&str>) -> Result<String, Error> {
    let path = path.to_owned();
    let contexts = kubeconfig.contexts.iter().map(|it| it.name.as_str());
    let known = contexts.clone().collect::<Vec<_>>().join(", ");
    // `kubectl config unset current-context` leaves an empty one.
    let current = kubeconfig.current_context.as_deref();
    let current = current.filter(|name| !name.is_empty());
    match asked.or(current) {
        _ if known.is_empty() => Err(Error::NoContexts { path }),
        None => Err(Error::NoContext { path, known }),
        Some(name) if contexts.clone().any(|it| it == name) => Ok(name.to_owned()),
        Some(name) => Err(Error::UnknownContext {
            path,
            context: name.to_owned(),
            known,
        }),
    }
}

fn invalid(path: &Path, source: KubeconfigError) -> Error {
    let path = path.to_owned();
    match source {
        KubeconfigError::ReadConfig(source, _) => Error::ReadKubeconfig { path, source },
        // Below its first line the parser quotes the file, which may hold secrets.
        KubeconfigError::Parse(why) => Error::Malformed {
            path,
            why: why
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        },
        source => Error::Kubeconfig { path, source },
    }
}

fn from_url(url: &Uri, ca_file: Option<&Path>) -> Result<Config, Error> {
    let is_web = url.scheme() == Some(&Scheme::HTTP) || url.scheme() == Some(&Scheme::HTTPS);
    if !is_web || url.host().is_none_or(str::is_empty) {
        return Err(Error::Url { url: url.clone() });
    }
    if let Some(path) = ca_file {
        check_certificates(path)?;
    }
    let mut config = Config::new(url.clone());
    config.root_cert_file = ca_file.map(Path::to_owned);
    Ok(config)
}

/// kube reads the file, now and again; this only finds the better words.
fn check_certificates(path: &Path) -> Result<(), Error> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let read = || -> Result<(), std::io::Error> {
        let pem = std::fs::read(path)?;
        let certificates = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(std::io::Error::other)?;
        if certificates.is_empty() {
            return Err(std::io::Error::other("no certificate in it"));
        }
        Ok(())
    };
    read().map_err(|source| Error::CaFile {
        path: path.to_owned(),
        source,
    })
}

/// Lets rustls use ring. The first call in a process decides, so that a second
/// one is not an error.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InCluster => f.write_str("the cluster around this process"),
            Self::Kubeconfig {
                path,
                context: None,
            } => write!(f, "kubeconfig {}", path.display()),
            Self::Kubeconfig {
                path,
                context: Some(context),
            } => write!(f, "kubeconfig {}, context {context:?}", path.display()),
            Self::Url { url, .. } => write!(f, "{url}"),
        }
    }
}

#[cfg(test)]
mod tests;
