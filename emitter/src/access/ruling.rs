//! What the access configuration says now, and what it said lately.
//!
//! A consumer that was away while its view changed knows another state than history
//! continues: it must list again. So the last configurations are remembered, each with
//! the revisions at which it was replaced.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use emitter_cache::grant::Rules;
use proto_types::Revision;

use super::floor::{Floor, Since};
use super::policy::{Policy, PolicyError};
use super::tokens::TokensError;
use super::workload::Trusted;
use super::{Target, User};

/// Why access cannot be decided.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of tokens.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The access configuration.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// How many are remembered; from before the oldest everybody lists again.
const MAX_PAST: usize = 16;

/// Up to where each resource was known.
pub(super) type Revisions = HashMap<&'static str, Revision>;

/// When one configuration replaced another.
#[derive(Default)]
struct Change {
    at: Revisions,
    since: Arc<Since>,
}

/// What counts.
#[derive(Default)]
pub(super) struct Ruling {
    pub(super) policy: Arc<Policy>,
    pub(super) issuers: Vec<Arc<Trusted>>,
    past: VecDeque<(Arc<Policy>, Arc<Change>)>,
    forgotten: Arc<Change>,
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
    pub(super) fn after(mut self, before: &Self, now: Revisions) -> Self {
        for issuer in &mut self.issuers {
            let same = before.issuer(&issuer.issuer.issuer);
            if let Some(same) = same.and_then(|same| issuer.with_keys_of(&same)) {
                *issuer = Arc::new(same);
            }
        }
        self.past.clone_from(&before.past);
        self.forgotten = Arc::clone(&before.forgotten);
        let change = Change {
            at: now,
            since: Arc::default(),
        };
        self.past
            .push_back((Arc::clone(&before.policy), Arc::new(change)));
        if MAX_PAST < self.past.len()
            && let Some((_, oldest)) = self.past.pop_front()
        {
            self.forgotten = oldest;
        }
        self
    }

    /// From where a user's watch may go on: it saw something else before.
    pub(super) fn floor(&self, user: &User, target: &Target) -> Floor {
        let rules = rules(&self.policy, user);
        let other = self.past.iter().rev();
        let mut other = other.filter(|(policy, _)| super::ruling::rules(policy, user) != rules);
        let change = match other.next() {
            Some((_, change)) => change,
            None if rules.as_ref().is_some_and(Rules::show_all) => return Floor::default(),
            None => &self.forgotten,
        };
        let at = change.at.get(target.resource.as_str());
        at.map_or_else(Floor::default, |&at| {
            Floor::new(at, user, target, &change.since)
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
