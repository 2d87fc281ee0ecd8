//! Who asks, and what it may see.
//!
//! Who asks is found out by its certificate, by a token of the file, by a token that a
//! trusted issuer signed, or by the upstream's API server, in this order. What it may see
//! is what the access configuration grants; failing that, everything, if the upstream's
//! API server says that it may read there.
//!
//! Files are read again when they change. A watch whose consumer may see something else
//! then is ended with 410, so that the consumer lists again; no other watch notices.

mod authenticate;
mod cached;
mod certificate;
mod credentials;
mod delegated;
mod floor;
mod follow_keys;
mod keys;
pub mod policy;
mod refusal;
mod ruling;
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

use emitter_cache::Grant;
use emitter_cache::grant::{Owners, Rules};
use parking_lot::RwLock;
use proto_types::Status;
use tokio::sync::Notify;

use self::authenticate::Authenticator;
pub use self::credentials::{Credentials, Method};
pub use self::floor::Floor;
pub use self::follow_keys::follow_keys;
pub use self::policy::PolicyError;
pub use self::ruling::Error;
use self::ruling::{Positions, Ruling};
pub use self::tokens::TokensError;
use self::turns::Busy;
pub use self::user::User;
use crate::api::{Attributes, Target};
use crate::consumers::Consumers;
use crate::hub::Hub;
use crate::metrics::{Eviction, Metrics};
use crate::tls::Certificates;

/// How access is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether somebody whom nobody knows may ask.
    pub anonymous: bool,
    /// Tokens, and whose they are.
    pub tokens: Option<PathBuf>,
    /// The access configuration.
    pub policy: Option<PathBuf>,
    /// Whether the upstream is asked whose a token is.
    pub delegate_authentication: bool,
    /// Whether the upstream is asked who may do what.
    pub delegate_authorization: bool,
    /// How long its answers count.
    pub delegation_ttl: Duration,
}

/// What access stands on.
pub struct Parts {
    /// How it is configured.
    pub settings: Settings,
    /// The authorities of clients' certificates.
    pub certificates: Option<Arc<Certificates>>,
    /// The upstream.
    pub client: kube::Client,
    /// All Services, for grants.
    pub owners: Arc<Owners>,
    /// What is served.
    pub hubs: Vec<Arc<Hub>>,
    /// Counts who is let in.
    pub metrics: Arc<Metrics>,
}

/// Decides who may see what.
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
pub struct Right {
    credentials: Credentials,
    method: Method,
    /// Whose it is.
    pub user: User,
    attributes: Attributes,
    /// What may be seen.
    pub grant: Grant,
    /// What the view is called.
    pub view: Arc<str>,
    /// From where a watch may go on.
    pub floor: Floor,
    /// Number of changes of files before the right was found, and until now.
    generation: u64,
    current: Arc<AtomicU64>,
}

impl Right {
    /// Returns whether no file has changed since the right was found.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.current.load(Ordering::SeqCst) == self.generation
    }
}

/// Why a request is not answered.
#[derive(Debug)]
pub enum Denied {
    /// In words for the client.
    Refused(Status),
    /// Nobody could be asked.
    Failed(String),
}

/// How often rights are looked at again that the upstream gave.
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

    /// Ends what may not go on. A watch that is opened at this moment, by a right of
    /// before, notices by the generation.
    fn change(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    fn positions(&self) -> Positions {
        let hubs = self.parts.hubs.iter();
        let position = |hub: &Arc<Hub>| (hub.names().plural, hub.position());
        hubs.map(position).collect()
    }

    /// Clients' authorities have been exchanged.
    pub fn certificates_changed(&self) {
        self.change();
    }

    /// By what right somebody may do something.
    pub async fn right(
        &self,
        credentials: Credentials,
        attributes: Attributes,
    ) -> Result<Right, Denied> {
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
        Ok(Right {
            grant: Grant::new(rules, Arc::clone(&self.parts.owners)),
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

    /// What somebody may see, and what that is called.
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

    /// Ends, for ever, the watches of consumers that may see something else now.
    pub async fn follow(self: Arc<Self>, consumers: Arc<Consumers>) {
        loop {
            let changed = self.changed.notified();
            match self.authorization {
                None => changed.await,
                Some(_) => drop(tokio::time::timeout(LOOK_AGAIN, changed).await),
            }
            for watch in consumers.watches() {
                if let Some(right) = &watch.caller.right
                    && !self.still_holds(right).await
                {
                    watch.end(Eviction::Access);
                }
            }
        }
    }

    /// Whether a right is what it was. Where nobody can be asked, it is.
    async fn still_holds(&self, right: &Right) -> bool {
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
