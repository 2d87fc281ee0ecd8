//! The current access configuration, and the recent ones.
//!
//! A consumer that was away while its view changed knows another state than history continues: it
//! must list again. So the last configurations are remembered, each with the resource versions at
//! which it was replaced.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use emitter_cache::view_filter::Rules;
use proto_types::ResourceVersion;
use tokio::time::Instant;

use super::policy::{Policy, PolicyError};
use super::resume::{MinimumResourceVersion, Since};
use super::tokens::TokensError;
use super::workload::Trusted;
use super::{Target, User};

/// Error of the access configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of tokens.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The access configuration.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Number of former configurations that are kept; clients from before the oldest list again.
const MAX_PAST: usize = 16;

/// Time within which all replicas use a changed configuration: a kubelet updates a mounted
/// ConfigMap within about a minute.
const ALL_RELOAD: Duration = Duration::from_secs(120);

/// Position of each resource: number of its history, and resource version.
pub(super) type Positions = HashMap<&'static str, (u64, ResourceVersion)>;

/// Replacement of one configuration by another.
struct Change {
    at: Instant,
    /// Positions when all replicas used the new one; taken at the first request after that.
    end: OnceLock<Positions>,
    since: Arc<Since>,
}

impl Change {
    fn now() -> Arc<Self> {
        Arc::new(Self {
            at: Instant::now(),
            end: OnceLock::new(),
            since: Arc::default(),
        })
    }

    /// Returns the last resource version that a client may hold with the former state.
    fn doubtful(&self, resource: &str, positions: &Positions) -> Option<ResourceVersion> {
        if self.at.elapsed() < ALL_RELOAD {
            return Some(ResourceVersion::MAX);
        }
        let end = self.end.get_or_init(|| positions.clone());
        let (epoch, revision) = *end.get(resource)?;
        // Another history has begun since, and its own rules apply.
        let (now, _) = *positions.get(resource)?;
        (epoch == now).then_some(revision)
    }
}

/// Configuration in use.
pub(super) struct Ruling {
    pub(super) policy: Arc<Policy>,
    pub(super) issuers: Vec<Arc<Trusted>>,
    past: VecDeque<(Arc<Policy>, Arc<Change>)>,
    forgotten: Arc<Change>,
}

impl Default for Ruling {
    fn default() -> Self {
        Self {
            policy: Arc::default(),
            issuers: Vec::new(),
            past: VecDeque::new(),
            // What counted before the start is not known.
            forgotten: Change::now(),
        }
    }
}

impl Ruling {
    pub(super) fn read(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let policy = Policy::read(path)?;
        let open = |issuer| {
            let trusted = Trusted::open(issuer).map_err(|why| PolicyError::Invalid {
                path: path.to_owned(),
                why,
            });
            trusted.map(Arc::new)
        };
        let issuers = policy.issuers.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self {
            policy: Arc::new(policy),
            issuers,
            ..Self::default()
        })
    }

    /// The same after another one, which it replaces now.
    pub(super) fn after(mut self, before: &Self) -> Self {
        for issuer in &mut self.issuers {
            let same = before.issuer(&issuer.issuer.issuer);
            if let Some(same) = same.and_then(|same| issuer.with_keys_of(&same)) {
                *issuer = Arc::new(same);
            }
        }
        self.past.clone_from(&before.past);
        self.forgotten = Arc::clone(&before.forgotten);
        self.past
            .push_back((Arc::clone(&before.policy), Change::now()));
        if MAX_PAST < self.past.len()
            && let Some((_, oldest)) = self.past.pop_front()
        {
            self.forgotten = oldest;
        }
        self
    }

    /// Returns from where a user's watch may resume: it saw something else before.
    pub(super) fn floor(
        &self,
        user: &User,
        target: &Target,
        positions: &Positions,
    ) -> MinimumResourceVersion {
        let rules = rules(&self.policy, user);
        let other = self.past.iter().rev();
        let mut other =
            other.filter(|(policy, _)| super::policy_snapshot::rules(policy, user) != rules);
        let change = match other.next() {
            Some((_, change)) => change,
            None if self.policy.consumers.is_none() => return MinimumResourceVersion::default(),
            None => &self.forgotten,
        };
        let doubtful = change.doubtful(target.resource.as_str(), positions);
        doubtful.map_or_else(MinimumResourceVersion::default, |at| {
            MinimumResourceVersion::new(at, user, target, &change.since)
        })
    }

    pub(super) fn issuer(&self, name: &str) -> Option<Arc<Trusted>> {
        let mut issuers = self.issuers.iter();
        issuers.find(|it| it.issuer.issuer == name).cloned()
    }
}

fn rules(policy: &Policy, user: &User) -> Option<Rules> {
    match &policy.consumers {
        None => Some(Rules::default()),
        Some(_) => policy.consumer(user).map(super::policy::Consumer::rules),
    }
}
