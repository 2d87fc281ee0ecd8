//! The public keys of an issuer.
//!
//! Invariants: a known key stays valid until the issuer responds without it, so an unavailable
//! issuer rejects no client; the issuer is requested at most as often as stated, whatever tokens
//! come; one that hangs delays each token no longer than stated.

mod jwks_url;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::RwLock;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use self::jwks_url::{Discovery, JwksUrl};
use super::policy::Issuer;

/// Intervals of the requests to an issuer.
#[derive(Debug, Clone, Copy)]
struct FetchBackoff {
    /// Unasked: an issuer announces a key before it uses it, and takes back one that was
    /// stolen.
    refresh: Duration,
    /// Interval after a failure, and for a token with an unknown key, which any client can invent.
    ask_again: Duration,
}

const PACE: FetchBackoff = FetchBackoff {
    refresh: Duration::from_secs(300),
    ask_again: Duration::from_secs(10),
};

/// A key, and how it is used.
pub(super) type Key = (Algorithm, DecodingKey);

type Known = HashMap<String, Key>;

/// The keys of one issuer.
pub(super) struct JwksSource {
    source: Source,
    pace: FetchBackoff,
    known: RwLock<Arc<Known>>,
    /// Last request; locked while one is in flight.
    last: Mutex<Option<Asked>>,
}

/// The last request to an issuer.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Time at which it ended.
    at: Instant,
    was_answered: bool,
}

enum Source {
    File(PathBuf),
    Url(JwksUrl),
    Discovery(Discovery),
}

impl JwksSource {
    /// Reads a file now; keys of a URL are requested later.
    pub(super) fn open(issuer: &Issuer) -> Result<Self, String> {
        let keys = &issuer.keys;
        let place = |url| JwksUrl::new(url, keys.ca_file.as_ref(), keys.token_file.as_ref());
        let (source, known) = match (&keys.file, &keys.url) {
            (Some(file), _) => (Source::File(file.clone()), read(file)?),
            (None, Some(url)) => (Source::Url(place(url)?), Known::new()),
            (None, None) => {
                let document = place(&issuer.document()?)?;
                let issuer = issuer.issuer.clone();
                let discovery = Discovery { document, issuer };
                (Source::Discovery(discovery), Known::new())
            }
        };
        Ok(Self {
            source,
            pace: PACE,
            known: RwLock::new(Arc::new(known)),
            last: Mutex::default(),
        })
    }

    /// The key of that name; the only one there is, where a token names none.
    pub(super) async fn find(&self, name: Option<&str>) -> Option<Key> {
        if let Some(key) = self.known(name) {
            return Some(key);
        }
        self.fetch(self.pace.ask_again).await;
        self.known(name)
    }

    /// Asks again when it is time; whether that went well, if it was.
    pub(super) async fn refresh(&self) -> Option<bool> {
        let last = *self.last.lock().await;
        let after = match (&self.source, last) {
            // A look into a file costs nothing.
            (Source::File(_), _)
            | (
                _,
                Some(Asked {
                    was_answered: false,
                    ..
                }),
            ) => self.pace.ask_again,
            (Source::Url(_) | Source::Discovery(_), _) => self.pace.refresh,
        };
        self.fetch(after).await
    }

    /// Returns whether the last question was not answered.
    pub(super) async fn is_failing(&self) -> bool {
        self.last.lock().await.is_some_and(|it| !it.was_answered)
    }

    fn known(&self, name: Option<&str>) -> Option<Key> {
        let known = Arc::clone(&self.known.read());
        match name {
            Some(name) => known.get(name).cloned(),
            None if known.len() == 1 => known.values().next().cloned(),
            None => None,
        }
    }

    /// Requests the keys, unless they were requested within that time.
    async fn fetch(&self, after: Duration) -> Option<bool> {
        let mut last = self.last.lock().await;
        if last.is_some_and(|it| it.at.elapsed() < after) {
            return None;
        }
        let keys = match &self.source {
            Source::File(file) => read(file),
            Source::Url(place) => place.keys().await,
            Source::Discovery(discovery) => discovery.keys().await,
        };
        let was_answered = keys.is_ok();
        *last = Some(Asked {
            at: Instant::now(),
            was_answered,
        });
        match keys {
            Ok(keys) => *self.known.write() = Arc::new(keys),
            Err(why) => warn!(%why, "cannot get the keys of an issuer, the old are kept"),
        }
        Some(was_answered)
    }
}

fn read(path: &Path) -> Result<Known, String> {
    let named = |why: String| format!("keys {}: {why}", path.display());
    let text = std::fs::read(path).map_err(|why| named(why.to_string()))?;
    parse(&text).map_err(named)
}

/// Keys of other kinds are for other purposes, and are passed over.
fn parse(text: &[u8]) -> Result<Known, String> {
    let set: Set = serde_json::from_slice(text).map_err(|why| why.to_string())?;
    let keys: Known = set.keys.into_iter().filter_map(key).collect();
    if keys.is_empty() {
        return Err("there is no key for RS256, RS384, RS512, ES256 or ES384 in it".to_owned());
    }
    Ok(keys)
}

/// A set whose keys are read one by one: one of an unknown kind must not keep the others,
/// and withdrawn ones in use.
#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

fn key(jwk: serde_json::Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    if !matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return None;
    }
    let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS384)) => Algorithm::RS384,
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS512)) => Algorithm::RS512,
        (AlgorithmParameters::EllipticCurve(it), _) => match it.curve {
            EllipticCurve::P256 => Algorithm::ES256,
            EllipticCurve::P384 => Algorithm::ES384,
            _ => return None,
        },
        _ => return None,
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let name = jwk.common.key_id.unwrap_or_default();
    Some((name, (algorithm, key)))
}

#[cfg(test)]
mod tests;
