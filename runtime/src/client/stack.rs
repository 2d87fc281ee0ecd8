//! Builds the layers of a client, as kube does, with certificates judged as Go judges them.

use std::sync::Arc;

use http::uri::Scheme;
use http::{HeaderValue, header};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioExecutor;
use kube::client::{AuthError, Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tower::layer::layer_fn;
use tower::util::MapRequestLayer;
use tower::{BoxError, Service, ServiceBuilder};

use super::fair::Fair;
use super::token::TokenSource;
use super::validity::Checked;
use crate::certificate::{Serving, is_v1};

/// Builds a client. Runs the credential plugin, if there is one.
pub(super) fn build(config: &Config, token: Option<TokenSource>) -> Result<Client, kube::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let https = https(config)?;
    let has_certificate = https.config.client_auth_cert_resolver.has_certs();
    let way = ClientSettings {
        config,
        token,
        has_certificate,
    };
    let Some(proxy) = config.proxy_url.clone() else {
        return way.over(https.wrap(http), None);
    };
    match proxy.scheme_str() {
        Some("socks5") => way.over(https.wrap(SocksV5::new(proxy, http)), None),
        // As curl and Go do: many proxies allow tunnels to port 443 alone.
        _ if config.cluster_url.scheme() == Some(&Scheme::HTTP) => {
            way.over(https.wrap(http), Some(proxy))
        }
        Some("https") => {
            let tunnel = Tunnel::new(proxy.clone(), https.wrap(http));
            way.over(https.wrap(authorized(tunnel, &proxy)), None)
        }
        _ => {
            let tunnel = Tunnel::new(proxy.clone(), http);
            way.over(https.wrap(authorized(tunnel, &proxy)), None)
        }
    }
}

/// Adds the credentials in the URL of a proxy.
fn authorized<C>(tunnel: Tunnel<C>, proxy: &http::Uri) -> Tunnel<C> {
    match credentials(proxy) {
        Some(value) => tunnel.with_auth(value),
        None => tunnel,
    }
}

/// Returns the credentials in the URL of a proxy as a header.
fn credentials(proxy: &http::Uri) -> Option<HeaderValue> {
    use base64::Engine;

    let authority = proxy.authority().map(http::uri::Authority::as_str);
    let (user, _) = authority?.rsplit_once('@')?;
    let user: Vec<u8> = percent_encoding::percent_decode_str(user).collect();
    let user = base64::engine::general_purpose::STANDARD.encode(user);
    let mut value = HeaderValue::try_from(format!("Basic {user}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Maximum number of bytes that are read at once, and maximum size of a head: more is parsed after
/// other tasks had a turn.
const READ: usize = 16 << 10;

/// Settings of a client that do not depend on the way to its server.
struct ClientSettings<'a> {
    config: &'a Config,
    token: Option<TokenSource>,
    has_certificate: bool,
}

impl ClientSettings<'_> {
    /// Builds a client over a connector. Requests are sent to a proxy that forwards them, if there
    /// is one.
    fn over<C>(
        self,
        connector: HttpsConnector<C>,
        proxy: Option<http::Uri>,
    ) -> Result<Client, kube::Error>
    where
        HttpsConnector<C>: Service<http::Uri, Error = BoxError> + Clone + Send + Sync + 'static,
        <HttpsConnector<C> as Service<http::Uri>>::Response:
            hyper::rt::Read + hyper::rt::Write + Connection + Send + Unpin + 'static,
        <HttpsConnector<C> as Service<http::Uri>>::Future: Send + 'static,
    {
        let config = self.config;
        let auth = config.auth_layer()?;
        if config.auth_info.exec.is_some() && auth.is_none() && !self.has_certificate {
            let why = "the credential plugin returned neither a token nor a certificate with a key";
            return Err(kube::Error::Auth(AuthError::AuthExec(why.to_owned())));
        }
        let mut connector = TimeoutConnector::new(connector);
        connector.set_connect_timeout(config.connect_timeout);
        connector.set_read_timeout(config.read_timeout);
        connector.set_write_timeout(config.write_timeout);
        let authorization = proxy.as_ref().and_then(credentials);
        let mut client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        client.http1_read_buf_exact_size(READ);
        let client: hyper_util::client::legacy::Client<_, Body> =
            client.build(Fair { connector, proxy });
        let authorization = authorization.map(|value| {
            MapRequestLayer::new(move |mut request: http::Request<Body>| {
                let headers = request.headers_mut();
                headers.insert(header::PROXY_AUTHORIZATION, value.clone());
                request
            })
        });
        let plain = config
            .disable_compression
            .then(|| MapRequestLayer::new(uncompressed));
        let service = ServiceBuilder::new()
            .option_layer(plain)
            .layer(config.base_uri_layer())
            .option_layer(auth)
            .option_layer(authorization)
            .layer(config.extra_headers_layer()?)
            .map_err(BoxError::from)
            .layer(layer_fn(Checked))
            .service(client);
        let builder = ClientBuilder::new(service, config.default_namespace.clone());
        Ok(match self.token {
            Some(token) => builder.with_layer(&token.layer()).build(),
            None => builder.build(),
        })
    }
}

/// Asks for an answer that is not compressed.
fn uncompressed(mut request: http::Request<Body>) -> http::Request<Body> {
    request.headers_mut().remove(http::header::ACCEPT_ENCODING);
    request
}

/// Speaks TLS over any connector.
struct Tls {
    config: ClientConfig,
    name: Option<ServerName<'static>>,
}

impl Tls {
    fn wrap<C>(&self, connector: C) -> HttpsConnector<C> {
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(self.config.clone())
            .https_or_http();
        let builder = match &self.name {
            Some(name) => {
                builder.with_server_name_resolver(FixedServerNameResolver::new(name.clone()))
            }
            None => builder,
        };
        builder.enable_http1().wrap_connector(connector)
    }
}

fn https(config: &Config) -> Result<Tls, kube::Error> {
    let name = config.tls_server_name.clone().map(ServerName::try_from);
    let name = name.transpose().map_err(|why| {
        kube::Error::Service(format!("tls-server-name is no host name: {why}").into())
    })?;
    Ok(Tls {
        config: tls(config)?,
        name,
    })
}

fn tls(config: &Config) -> Result<ClientConfig, kube::Error> {
    let mut config = config.clone();
    let old = old_identity(&config);
    if old.is_some() {
        let user = &mut config.auth_info;
        user.client_certificate = None;
        user.client_certificate_data = None;
        user.client_key = None;
        user.client_key_data = None;
    }
    let mut tls = config.rustls_client_config()?;
    if let Some(old) = old {
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(old));
    }
    // Around a process kube follows the file of the authority.
    if let Some(trusted) = &config.root_cert
        && config.root_cert_file.is_none()
        && !config.accept_invalid_certs
    {
        let trusted = trusted.iter().cloned().map(CertificateDer::from).collect();
        let verifier = Serving::new(trusted).map_err(|why| kube::Error::Service(why.into()))?;
        let mut dangerous = tls.dangerous();
        dangerous.set_certificate_verifier(Arc::new(verifier));
    }
    Ok(tls)
}

/// Returns the user's certificate and key where the certificate is of the form X.509 v1,
/// which rustls does not read. Servers of Go accept it.
fn old_identity(config: &Config) -> Option<CertifiedKey> {
    use secrecy::ExposeSecret;

    let user = &config.auth_info;
    let key = user
        .client_key_data
        .as_ref()
        .map(ExposeSecret::expose_secret);
    let certificate = content(
        user.client_certificate_data.as_deref(),
        &user.client_certificate,
    )?;
    let key = content(key, &user.client_key)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let chain = chain.ok()?;
    if !chain.first().is_some_and(is_v1) {
        return None;
    }
    let key = PrivateKeyDer::from_pem_slice(&key).ok()?;
    let provider = rustls::crypto::ring::default_provider();
    let key = provider.key_provider.load_private_key(key).ok()?;
    Some(CertifiedKey::new(chain, key))
}

pub(super) fn content(data: Option<&str>, file: &Option<String>) -> Option<Vec<u8>> {
    use base64::Engine;

    match (data, file) {
        (Some(data), _) => base64::engine::general_purpose::STANDARD.decode(data).ok(),
        (None, Some(file)) => std::fs::read(file).ok(),
        (None, None) => None,
    }
}
