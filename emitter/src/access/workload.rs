//! Tokens that other clusters issued: a consumer's own ServiceAccount token, projected for
//! this emitter's audience, so that no secret is ever exchanged.

use std::sync::Arc;

use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::Value;

use super::User;
use super::keys::JwksSource;
use super::policy::Issuer;
use super::unauthenticated::{Cause, Reason, claims};

/// Tolerated difference of the clocks of two clusters, in seconds.
const LEEWAY_SECONDS: u64 = 30;

/// Prefix of the names of service accounts.
const ACCOUNT: &str = "system:serviceaccount:";

/// An issuer, and its keys.
pub(super) struct Trusted {
    pub(super) issuer: Issuer,
    pub(super) keys: Arc<JwksSource>,
}

impl Trusted {
    pub(super) fn open(issuer: &Issuer) -> Result<Self, String> {
        let keys = JwksSource::open(issuer);
        Ok(Self {
            keys: Arc::new(keys.map_err(|why| format!("issuer {:?}: {why}", issuer.issuer))?),
            issuer: issuer.clone(),
        })
    }

    /// Returns the issuer with the known keys, if these are of the same place: clients stay
    /// authenticated while it is unavailable.
    pub(super) fn with_keys_of(&self, before: &Self) -> Option<Self> {
        let (new, old) = (&self.issuer, &before.issuer);
        let is_same = new.issuer == old.issuer && new.keys == old.keys;
        // A file has been read.
        (is_same && new.keys.file.is_none()).then(|| Self {
            issuer: new.clone(),
            keys: Arc::clone(&before.keys),
        })
    }

    /// Returns whether the user of a token of this issuer would be the same now, after all changes
    /// of the configuration.
    pub(super) fn still_knows(&self, known: &User) -> bool {
        let audience = &known.claims["aud"];
        let is_for = |it: &Value| it.as_str().is_some_and(|it| self.issuer.is_for(it));
        let is_for_us = match audience {
            Value::Array(all) => all.iter().any(is_for),
            one => is_for(one),
        };
        let same = user(known.claims.clone(), &self.issuer.user_prefix);
        is_for_us && same.as_ref() == Some(known)
    }

    /// Returns the user of a token that claims to be of this issuer.
    pub(super) async fn user(&self, token: &str) -> Result<User, Cause> {
        let header = decode_header(token)?;
        let key = self.keys.find(header.kid.as_deref()).await;
        let (algorithm, key) = key.ok_or_else(|| self.unknown_key(header.kid.as_deref()))?;
        super::verifying::install();
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_audience(&self.issuer.audiences);
        validation.set_issuer(&[&self.issuer.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let token = decode::<Value>(token, &key, &validation);
        let token = token.map_err(|error| self.explained(error.into()))?;
        user(token.claims, &self.issuer.user_prefix).ok_or_else(|| {
            let details = "its subject is empty, or begins with system: and is no service account";
            Cause::of_issuer(Reason::ReservedSubject, details)
        })
    }

    /// Says what would have been accepted.
    fn explained(&self, mut cause: Cause) -> Cause {
        let more = match cause.reason {
            Reason::WrongAudience => {
                format!("; the emitter accepts {}", self.issuer.audiences.join(", "))
            }
            Reason::Expired | Reason::NotYetValid => {
                let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
                format!("; it is {now} here, and {LEEWAY_SECONDS} s are tolerated")
            }
            _ => return cause,
        };
        cause.details += &more;
        cause
    }

    fn unknown_key(&self, name: Option<&str>) -> Cause {
        let which = match name {
            Some(name) => format!("key {name:?} is"),
            None => "the token names no key, and there is not exactly one".to_owned(),
        };
        let issuer = &self.issuer.issuer;
        let details = match name {
            Some(_) => format!("{which} not among those of issuer {issuer}"),
            None => format!("{which} of issuer {issuer}"),
        };
        Cause::of_issuer(Reason::UnknownKey, details)
    }
}

/// The issuer that a token claims; nothing is proved by that.
pub(super) fn claimed_issuer(token: &str) -> Option<String> {
    Some(claims(token)?["iss"].as_str()?.to_owned())
}

/// Returns whether a claim names a part of Kubernetes itself. An issuer may name service
/// accounts so, and nothing else: `system:masters` is an administrator everywhere.
fn is_reserved(name: &str) -> bool {
    name.starts_with("system:")
}

/// A service account has the groups that an API server would give it.
fn user(claims: Value, prefix: &str) -> Option<User> {
    let subject = claims["sub"].as_str().filter(|it| !it.is_empty())?;
    let is_account = subject.starts_with(ACCOUNT);
    if is_reserved(&format!("{prefix}{subject}")) && !is_account {
        return None;
    }
    let mut groups = Vec::new();
    if let Some(account) = subject.strip_prefix(ACCOUNT)
        && let Some((namespace, _)) = account.split_once(':')
    {
        groups.push(format!("{prefix}system:serviceaccounts"));
        groups.push(format!("{prefix}system:serviceaccounts:{namespace}"));
    }
    let claimed = claims["groups"].as_array().into_iter().flatten();
    let claimed = claimed.filter_map(Value::as_str);
    let claimed = claimed.map(|group| format!("{prefix}{group}"));
    groups.extend(claimed.filter(|group| !is_reserved(group)));
    let uid = &claims["kubernetes.io"]["serviceaccount"]["uid"];
    let mut user = User::known(format!("{prefix}{subject}"), groups);
    user.uid = uid.as_str().unwrap_or_default().to_owned();
    user.claims = claims;
    Some(user)
}

#[cfg(test)]
mod tests;
