//! The public keys of an issuer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Uri, header};
use http_body_util::{BodyExt, Limited};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use kube::client::Body;
use parking_lot::RwLock;
use runtime::client::{Access, Authority, Token};
use tokio::time::Instant;
use tracing::warn;

use super::policy;

/// How often keys are asked for that are known: an issuer announces a key before it uses it.
const REFRESH: Duration = Duration::from_secs(300);

/// A token with an unknown key is worth a question, but anybody can make one up.
const ASK_AGAIN: Duration = Duration::from_secs(10);

const PATIENCE: Duration = Duration::from_secs(10);
const MAX_KEYS: usize = 1 << 20;

/// A key, and how it is used.
pub(super) type Key = (Algorithm, DecodingKey);

/// The keys of one issuer.
pub(super) struct Keys {
    source: Source,
    known: RwLock<Arc<HashMap<String, Key>>>,
    /// When they were last asked for; held by who asks.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

enum Source {
    File(PathBuf),
    Url { path: String, access: Access },
}

impl Keys {
    /// Reads a file now; a URL is asked when a token needs it.
    pub(super) fn open(keys: &policy::Keys) -> Result<Self, String> {
        let (source, known) = match (&keys.file, &keys.url) {
            (Some(file), _) => (Source::File(file.clone()), read(file)?),
            (None, Some(url)) => (Source::url(url, keys)?, HashMap::new()),
            (None, None) => return Err("keys need either a file or a url".to_owned()),
        };
        Ok(Self {
            source,
            known: RwLock::new(Arc::new(known)),
            asked: tokio::sync::Mutex::default(),
        })
    }

    /// The key of that name; the only one there is, where a token names none.
    pub(super) async fn find(&self, name: Option<&str>) -> Option<Key> {
        if let Some(key) = self.known(name) {
            self.refresh(REFRESH, false).await;
            return Some(key);
        }
        self.refresh(ASK_AGAIN, true).await;
        self.known(name)
    }

    fn known(&self, name: Option<&str>) -> Option<Key> {
        let known = Arc::clone(&self.known.read());
        match name {
            Some(name) => known.get(name).cloned(),
            None if known.len() == 1 => known.values().next().cloned(),
            None => None,
        }
    }

    /// Asks for the keys, if nobody has for that long.
    async fn refresh(&self, after: Duration, waits: bool) {
        let asked = match waits {
            true => Some(self.asked.lock().await),
            false => self.asked.try_lock().ok(),
        };
        let Some(mut asked) = asked else {
            return;
        };
        if asked.is_some_and(|at| at.elapsed() < after) {
            return;
        }
        *asked = Some(Instant::now());
        let keys = match &self.source {
            Source::File(file) => read(file),
            Source::Url { path, access } => {
                let keys = fetch(access, path).await;
                keys.map_err(|why| format!("keys {access}{path}: {why}"))
            }
        };
        match keys {
            Ok(keys) => *self.known.write() = Arc::new(keys),
            Err(why) => warn!(%why, "cannot get the keys of an issuer, the old are kept"),
        }
    }
}

impl Source {
    fn url(url: &Uri, keys: &policy::Keys) -> Result<Self, String> {
        let path = url.path_and_query().map_or("/", |it| it.as_str());
        let mut parts = url.clone().into_parts();
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        let server = Uri::from_parts(parts).map_err(|_| format!("{url} is not a URL"))?;
        if server.scheme_str() != Some("https") && server.scheme_str() != Some("http") {
            return Err(format!("{url} is not the URL of a server"));
        }
        Ok(Self::Url {
            path: path.to_owned(),
            access: Access::Url {
                url: server,
                authority: keys.ca_file.clone().map(Authority::File),
                token: keys.token_file.clone().map(Token::File),
                proxy: None,
            },
        })
    }
}

fn read(path: &Path) -> Result<HashMap<String, Key>, String> {
    let named = |why: String| format!("keys {}: {why}", path.display());
    let text = std::fs::read(path).map_err(|why| named(why.to_string()))?;
    parse(&text).map_err(named)
}

async fn fetch(access: &Access, path: &str) -> anyhow::Result<HashMap<String, Key>> {
    let agent = concat!("heliograph-emitter/", env!("CARGO_PKG_VERSION"));
    let ask = async {
        let client = runtime::connect(access, agent).await?;
        let request = Request::get(path)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .body(Body::empty())?;
        let response = client.send(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_KEYS);
        let body = body.collect().await.map_err(|why| anyhow::anyhow!(why))?;
        anyhow::ensure!(status.is_success(), "it is answered {status}");
        parse(&body.to_bytes()).map_err(|why| anyhow::anyhow!(why))
    };
    tokio::time::timeout(PATIENCE, ask).await?
}

/// Keys of other kinds are for other purposes, and are passed over.
fn parse(text: &[u8]) -> Result<HashMap<String, Key>, String> {
    let set: JwkSet = serde_json::from_slice(text).map_err(|why| why.to_string())?;
    let keys: HashMap<String, Key> = set.keys.iter().filter_map(key).collect();
    if keys.is_empty() {
        return Err("there is no key for RS256 or ES256 in it".to_owned());
    }
    Ok(keys)
}

fn key(jwk: &Jwk) -> Option<(String, Key)> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        _ => return None,
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let name = jwk.common.key_id.clone().unwrap_or_default();
    Some((name, (algorithm, key)))
}
