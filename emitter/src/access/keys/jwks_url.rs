//! Where keys are when they are not in a file: at a URL, or where the issuer's discovery
//! document says.

use std::path::PathBuf;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use runtime::client::{Access, Authority, Token};
use serde::Deserialize;

use super::{Known, parse};

/// Time limit of the requests for keys, a discovery document included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Maximum size of a response in bytes. One of Kubernetes has about a thousand.
const MAX_ANSWER: usize = 1 << 20;

/// A document at a URL.
pub(super) struct JwksUrl {
    url: Uri,
    path: String,
    access: Access,
}

/// A document with the URL of an issuer's keys, as in OpenID Connect.
pub(super) struct Discovery {
    pub(super) document: JwksUrl,
    pub(super) issuer: String,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl JwksUrl {
    pub(super) fn new(
        url: &Uri,
        ca_file: Option<&PathBuf>,
        token_file: Option<&PathBuf>,
    ) -> Result<Self, String> {
        let path = url.path_and_query().map_or("/", PathAndQuery::as_str);
        let mut parts = url.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        let server = Uri::from_parts(parts).map_err(|_| format!("{url} is not a URL"))?;
        if !matches!(server.scheme_str(), Some("https" | "http")) {
            return Err(format!("{url} is not the URL of a server"));
        }
        if !runtime::client::is_protected(url) {
            return Err(format!(
                "{url} is plain HTTP, so that keys could be exchanged on the way: use an https:// \
                 URL, or a file"
            ));
        }
        Ok(Self {
            url: url.clone(),
            path: path.to_owned(),
            access: Access::Url {
                url: server,
                authority: ca_file.cloned().map(Authority::File),
                token: token_file.cloned().map(Token::File),
                identity: None,
                proxy: None,
            },
        })
    }

    /// The keys that are there.
    pub(super) async fn keys(&self) -> Result<Known, String> {
        in_time(self.fetch_keys()).await
    }

    async fn fetch_keys(&self) -> Result<Known, String> {
        let text = self.fetch().await?;
        parse(&text).map_err(|why| format!("keys {}: {why}", self.url))
    }

    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let ask = async {
            let agent = concat!("heliograph-emitter/", env!("CARGO_PKG_VERSION"));
            let client = runtime::connect(&self.access, agent).await?;
            let request = Request::get(&self.path)
                .header(header::ACCEPT, "application/jwk-set+json, application/json")
                .body(Body::empty())?;
            let response = client.send(request).await?;
            let status = response.status();
            anyhow::ensure!(status.is_success(), "it is answered {status}");
            let body = Limited::new(response.into_body(), MAX_ANSWER);
            let body = body.collect().await.map_err(|why| anyhow::anyhow!(why))?;
            Ok(body.to_bytes().to_vec())
        };
        let answer: anyhow::Result<_> = ask.await;
        answer.map_err(|why| {
            let why = runtime::reasons(why.as_ref());
            format!("cannot read {}: {why}", self.url)
        })
    }

    /// Another URL, as far as this server may redirect to it: credentials stay with the server that
    /// they are for, and an HTTPS request is never repeated over HTTP.
    fn next(&self, text: &str) -> Result<Self, String> {
        let at = |why: &str| format!("jwks_uri {text:?} of {}: {why}", self.url);
        let url: Uri = text.parse().map_err(|_| at("it is not a URL"))?;
        let origin = |url: &Uri| (url.scheme().cloned(), url.authority().cloned());
        let is_secret = self.url.scheme_str() == Some("https");
        if is_secret && url.scheme_str() != Some("https") {
            return Err(at("it must be https, as the document is"));
        }
        let Access::Url {
            authority, token, ..
        } = &self.access
        else {
            return Err(at("nobody knows how to get there"));
        };
        let is_same = origin(&url) == origin(&self.url);
        let mut next = Self::new(&url, None, None)?;
        if let Access::Url {
            authority: its,
            token: own,
            ..
        } = &mut next.access
        {
            its.clone_from(authority);
            *own = token.clone().filter(|_| is_same);
        }
        Ok(next)
    }
}

impl Discovery {
    /// The keys that the document leads to.
    pub(super) async fn keys(&self) -> Result<Known, String> {
        in_time(async {
            let url = &self.document.url;
            let text = self.document.fetch().await?;
            let document: Document =
                serde_json::from_slice(&text).map_err(|why| format!("discovery {url}: {why}"))?;
            if document.issuer != self.issuer {
                return Err(format!(
                    "discovery {url} is of issuer {:?}, and not of {:?}",
                    document.issuer, self.issuer
                ));
            }
            self.document.next(&document.jwks_uri)?.fetch_keys().await
        })
        .await
    }
}

async fn in_time(keys: impl Future<Output = Result<Known, String>>) -> Result<Known, String> {
    let keys = tokio::time::timeout(PATIENCE, keys).await;
    keys.unwrap_or_else(|_| Err(format!("there is no answer within {PATIENCE:?}")))
}
