//! Builds a client for a cluster, without contacting it.
//!
//! What it is built of may change, as credentials do: the next request is made with
//! what is there then. While that cannot be used, what was there before still holds.
//!
//! Deadlines and retries are the callers': a client-wide retry would hide from
//! the reader that a server is gone, and a client-wide read timeout would end
//! watches.

mod access;
mod error;
mod exchange;
mod fair;
mod identity;
mod inline;
mod kubeconfig;
mod plugin;
mod proxy;
mod reload;
mod secret;
mod stack;
mod token;
mod trust;
mod validity;

use std::path::PathBuf;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderValue, Uri, header};
use kube::{Client, Config};

use reload::Renewing;
use token::TokenSource;

pub use access::{Access, Authority, ClientCertificate, Token};
pub use error::Error;
pub use exchange::{RequestOutcome, observed, retry_after};
pub use proxy::parse as proxy;
pub use secret::is_protected;
pub use token::claims;
pub use trust::is_untrusted;
pub(crate) use validity::Invalid as InvalidToken;

// Within a cluster a connection takes milliseconds, across the world half a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
// A server that takes nothing for so long is gone; requests are a few kilobytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates a client for that cluster. An unreachable server is no error here: requests find out,
/// and are retried.
///
/// Runs the kubeconfig's credential plugin, where it names one.
pub async fn connect(access: &Access, user_agent: &str) -> Result<Client, Error> {
    install_crypto();
    let user_agent =
        HeaderValue::from_str(user_agent).map_err(|_| Error::UserAgent(user_agent.to_owned()))?;
    let made = Made::of(access, &user_agent).await?;
    if made.files.is_empty() {
        return Ok(made.client);
    }
    Ok(Renewing::new(access.clone(), user_agent, made).into_client())
}

/// Host and port of the server that an access leads to.
pub async fn host(access: &Access) -> Result<String, Error> {
    let url = parts(access).await?.config.cluster_url;
    Ok(url.authority().map(ToString::to_string).unwrap_or_default())
}

/// A client, and what it is made of.
struct Made {
    client: Client,
    /// Those that nothing else reads again.
    files: Vec<PathBuf>,
}

/// Settings of a client.
struct Parts {
    config: Config,
    token: Option<TokenSource>,
    files: Vec<PathBuf>,
}

impl Made {
    async fn of(access: &Access, user_agent: &HeaderValue) -> Result<Self, Error> {
        let Parts {
            mut config,
            token,
            files,
        } = parts(access).await?;
        // kube reads the proxy variables of some clients only, and no exceptions.
        if config.proxy_url.is_none() {
            let variable = |name: &str| std::env::var(name).ok();
            config.proxy_url = proxy::around(&config.cluster_url, variable)?;
        }
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = None;
        config.write_timeout = Some(WRITE_TIMEOUT);
        config.default_retry = false;
        let user_agent = (header::USER_AGENT, user_agent.clone());
        config.headers.push(user_agent);
        let client = build(access, config, token).await?;
        Ok(Self { client, files })
    }
}

/// Creates the client. Credential plugins run within: they may take long, and must not block
/// others.
async fn build(
    access: &Access,
    config: Config,
    token: Option<TokenSource>,
) -> Result<Client, Error> {
    let (access, exec) = (access.to_string(), config.auth_info.exec.clone());
    let build = move || stack::build(&config, token);
    match tokio::task::spawn_blocking(build).await {
        Ok(built) => built.map_err(|source| plugin::failure(access, exec, source)),
        // The library panics on such a token; those of a kubeconfig were checked before.
        Err(_) => Err(Error::PluginToken { access }),
    }
}

async fn parts(access: &Access) -> Result<Parts, Error> {
    match access {
        // kube itself reads its files again.
        Access::InCluster => Ok(Parts {
            config: Config::incluster().map_err(Error::InCluster)?,
            token: None,
            files: Vec::new(),
        }),
        Access::Kubeconfig { path, context } => kubeconfig::parts(path, context.as_deref()).await,
        Access::InlineKubeconfig { path } => kubeconfig::inline_parts(path).await,
        Access::Provided { origin, kubeconfig } => {
            kubeconfig::provided_parts(origin, kubeconfig).await
        }
        Access::Url {
            url,
            authority,
            token,
            identity,
            proxy,
        } => {
            let mut parts = from_url(url, authority.as_ref(), token.as_ref())?;
            if let Some(identity) = identity {
                identity::add(&mut parts, identity)?;
            }
            parts.config.proxy_url = proxy.as_deref().cloned();
            Ok(parts)
        }
    }
}

fn from_url(
    url: &Uri,
    authority: Option<&Authority>,
    token: Option<&Token>,
) -> Result<Parts, Error> {
    let is_web = url.scheme() == Some(&Scheme::HTTP) || url.scheme() == Some(&Scheme::HTTPS);
    if !is_web || url.host().is_none_or(str::is_empty) {
        return Err(Error::Url { url: url.clone() });
    }
    let mut files = Vec::new();
    let mut config = Config::new(url.clone());
    let mut authority = authority;
    while let Some(Authority::Named {
        name,
        authority: its,
    }) = authority
    {
        config.tls_server_name = Some(name.clone());
        authority = its.as_deref();
    }
    config.root_cert = match authority {
        None | Some(Authority::Named { .. }) => None,
        Some(Authority::Pem(text)) => Some(certificates(text.as_bytes()).map_err(Error::Pem)?),
        Some(Authority::File(path)) => {
            files.push(path.clone());
            let certificates = std::fs::read(path).and_then(|it| certificates(&it));
            let invalid = |source| Error::CaFile {
                path: path.clone(),
                source,
            };
            Some(certificates.map_err(invalid)?)
        }
    };
    let token = match token {
        None => None,
        Some(Token::File(path)) => Some(TokenSource::open(path)?),
        Some(Token::Variable(name)) => Some(TokenSource::variable(name)?),
    };
    Ok(Parts {
        config,
        token,
        files,
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, std::io::Error> {
    let certificates = crate::certificate::read(pem);
    if certificates.is_empty() {
        return Err(std::io::Error::other("no certificate in it"));
    }
    Ok(certificates.iter().map(|it| it.to_vec()).collect())
}

/// Lets rustls use ring. The first call in a process decides, so that a second
/// one is not an error.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests;
