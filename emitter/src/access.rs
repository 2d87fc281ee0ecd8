//! Authentication and authorization of clients.
//!
//! A client is authenticated by its certificate, by a token of the file, by a token of a trusted
//! issuer, or by the upstream's API server, in this order. It can read what the access
//! configuration grants; without an entry there, everything, if the upstream's API server allows it
//! to read.
//!
//! Files are reloaded on change. A watch whose client can read something else then ends with 410,
//! so that the client lists again; no other watch is affected.

mod authenticate;
mod cached;
mod certificate;
mod credentials;
mod delegated;
mod follow_keys;
mod keys;
pub mod policy;
mod policy_snapshot;
mod refusal;
mod resume;
mod tokens;
mod turns;
mod unauthenticated;
mod user;
mod verifying;
mod workload;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use emitter_cache::ViewFilter;
use emitter_cache::view_filter::{Rules, ServiceIndex};
use parking_lot::RwLock;
use proto_types::Status;
use tokio::sync::Notify;

use self::authenticate::Authenticator;
pub use self::credentials::{Credentials, Method};
pub use self::follow_keys::follow_keys;
pub use self::policy::PolicyError;
pub use self::policy_snapshot::Error;
use self::policy_snapshot::{Positions, Ruling};
pub use self::resume::MinimumResourceVersion;
pub use self::tokens::TokensError;
use self::turns::Busy;
pub use self::user::User;
use crate::attributes::{Attributes, Target};
use crate::metrics::Metrics;
use crate::tls::Certificates;
use crate::watch_cache::WatchCache;

/// Configuration of authentication and authorization.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `true` if requests without credentials are allowed.
    pub anonymous: bool,
    /// Tokens, and whose they are.
    pub tokens: Option<PathBuf>,
    /// The access configuration.
    pub policy: Option<PathBuf>,
    /// `true` if the API server of the upstream authenticates tokens.
    pub delegate_authentication: bool,
    /// `true` if the API server of the upstream authorizes requests.
    pub delegate_authorization: bool,
    /// Time for which its responses are cached.
    pub delegation_ttl: Duration,
}

/// Parts of [`Access`].
pub struct Parts {
    /// Configuration.
    pub settings: Settings,
    /// The authorities of clients' certificates.
    pub certificates: Option<Arc<Certificates>>,
    /// The upstream.
    pub client: kube::Client,
    /// All Services, for grants.
    pub owners: Arc<ServiceIndex>,
    /// Served resources.
    pub caches: Vec<Arc<WatchCache>>,
    /// Metrics of authentication and authorization.
    pub metrics: Arc<Metrics>,
}

/// Authentication and authorization of requests.
pub struct Access {
    parts: Parts,
    authenticator: Authenticator,
    ruling: RwLock<Arc<Ruling>>,
    authorization: Option<delegated::Authorization>,
    changed: Notify,
    /// Number of changes of files.
    generation: Arc<AtomicU64>,
}

/// By what right a request is answered.
#[derive(Debug, Clone)]
pub struct AccessDecision {
    credentials: Credentials,
    method: Method,
    /// User of the request.
    pub user: User,
    attributes: Attributes,
    /// Objects and fields that the client can read.
    pub grant: ViewFilter,
    /// Name of the view.
    pub view: Arc<str>,
    /// Least resource version from which a watch may resume.
    pub floor: MinimumResourceVersion,
    /// Number of changes of files before the right was found, and until now.
    generation: u64,
    current: Arc<AtomicU64>,
}

impl AccessDecision {
    /// Returns whether no file has changed since the right was found.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.current.load(Ordering::SeqCst) == self.generation
    }
}

/// Reason for which a request is rejected.
#[derive(Debug)]
pub enum Denied {
    /// In words for the client.
    Refused(Status),
    /// The API server that decides is unavailable.
    Failed(String),
}

/// Interval of the check of permissions that the upstream granted.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Access {
    /// Reads all files for the first time.
    pub fn open(parts: Parts) -> Result<Arc<Self>, Error> {
        verifying::install();
        let settings = &parts.settings;
        let authorization = settings
            .delegate_authorization
            .then(|| delegated::Authorization::new(parts.client.clone(), settings.delegation_ttl));
        let ruling = Ruling::read(settings.policy.as_deref())?;
        Ok(Arc::new(Self {
            authenticator: Authenticator::open(&parts)?,
            ruling: RwLock::new(Arc::new(ruling)),
            authorization,
            changed: Notify::new(),
            generation: Arc::default(),
            parts,
        }))
    }

    /// Reads the tokens again.
    pub fn reload_tokens(&self) -> Result<(), Error> {
        self.authenticator.reload_tokens()?;
        self.change();
        Ok(())
    }

    /// Reads the access configuration again.
    pub fn reload_policy(&self) -> Result<(), Error> {
        let next = Ruling::read(self.parts.settings.policy.as_deref())?;
        let mut ruling = self.ruling.write();
        *ruling = Arc::new(next.after(&ruling));
        drop(ruling);
        self.change();
        Ok(())
    }

    /// Ends the watches that are no longer allowed. A watch that is opened at this moment, by a
    /// right of before, notices by the generation.
    fn change(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    fn positions(&self) -> Positions {
        let caches = self.parts.caches.iter();
        let position = |cache: &Arc<WatchCache>| (cache.names().plural, cache.position());
        caches.map(position).collect()
    }

    /// Clients' authorities have been exchanged.
    pub fn certificates_changed(&self) {
        self.change();
    }

    /// Returns the permission of a request, or the reason for which it is rejected.
    pub async fn right(
        &self,
        credentials: Credentials,
        attributes: Attributes,
    ) -> Result<AccessDecision, Denied> {
        let generation = self.generation.load(Ordering::SeqCst);
        let ruling = Arc::clone(&self.ruling.read());
        let (user, method) = self.authenticator.user(&credentials, &ruling).await?;
        drop(ruling);
        let metrics = &self.parts.metrics;
        let granted = self.granted(&user, &attributes, credentials.address).await;
        metrics.authorized(granted.is_ok());
        let (rules, view) = granted?;
        let target = attributes.target.as_ref();
        let floor = target.map(|it| {
            let positions = self.positions();
            self.ruling.read().floor(&user, it, &positions)
        });
        Ok(AccessDecision {
            grant: ViewFilter::new(rules, Arc::clone(&self.parts.owners)),
            floor: floor.unwrap_or_default(),
            credentials,
            method,
            user,
            attributes,
            view,
            generation,
            current: Arc::clone(&self.generation),
        })
    }

    /// Returns the view of a user, and its name.
    async fn granted(
        &self,
        user: &User,
        attributes: &Attributes,
        address: Option<IpAddr>,
    ) -> Result<(Rules, Arc<str>), Denied> {
        let ruling = Arc::clone(&self.ruling.read());
        let everything = || Ok((Rules::default(), Arc::from("all")));
        let forbidden = |reason: &str| {
            Err(Denied::Refused(refusal::forbidden(
                user, attributes, reason,
            )))
        };
        if attributes.is_for_everybody() {
            return everything();
        }
        if let Some(consumer) = ruling.policy.consumer(user) {
            let rules = consumer.rules();
            let may = match attributes.is_metrics() {
                true => rules.show_all(),
                false => attributes.reads_what_is_served(),
            };
            return match may {
                true => Ok((rules, Arc::from(consumer.name.as_str()))),
                false => forbidden(""),
            };
        }
        let Some(authorization) = &self.authorization else {
            return match ruling.policy.consumers {
                None => everything(),
                Some(_) => forbidden(""),
            };
        };
        match authorization.verdict(user, attributes, address).await {
            Ok(verdict) if verdict.allowed => everything(),
            Ok(verdict) => forbidden(&verdict.reason),
            Err(why) if why.is::<Busy>() => Err(authenticate::busy(&self.parts.metrics)),
            Err(why) => Err(Denied::Failed(why.to_string())),
        }
    }

    /// Waits for a change of files, or until rights of the upstream are to be looked at again.
    pub(crate) async fn changed(&self) {
        let changed = self.changed.notified();
        match self.authorization {
            None => changed.await,
            Some(_) => drop(tokio::time::timeout(LOOK_AGAIN, changed).await),
        }
    }

    /// Returns whether a right is what it was. It counts as unchanged while the API server that
    /// decides is unavailable.
    pub(crate) async fn still_holds(&self, right: &AccessDecision) -> bool {
        let ruling = Arc::clone(&self.ruling.read());
        if !self.authenticator.still_knows(right, &ruling) {
            return false;
        }
        drop(ruling);
        match self.granted(&right.user, &right.attributes, None).await {
            Ok((rules, _)) => rules == *right.grant.rules(),
            Err(Denied::Refused(status)) => status.code == 429,
            Err(Denied::Failed(_)) => true,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
