//! Claims of Services to local keys, allowed and denied.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proto_types::ObjectKey;

use super::{By, Claim, Touched, World};
use crate::import::{Quota, Refusal};
use crate::name::LocalKey;
use crate::policy::{Policy, Rank};

/// The claims of all sources' Services on local keys.
#[derive(Debug, Default)]
pub(super) struct Claims {
    admitted: HashMap<LocalKey, BTreeSet<Claim>>,
    refused: HashMap<LocalKey, BTreeMap<Claim, Refusal>>,
    /// By rank.
    quotas: Vec<Quota>,
    /// Numbers of admitted claims, by rank.
    n_admitted: Vec<usize>,
    /// Keys of mirrors of Services with an alias.
    aliased: HashMap<(Rank, ObjectKey), LocalKey>,
    /// The same, by where they would be else.
    aliases: HashMap<LocalKey, BTreeSet<LocalKey>>,
}

impl Claims {
    /// There are none yet.
    pub(super) fn new(policy: &Policy) -> Self {
        let quota = |rank| Quota::new(policy.source(rank).import.max_services);
        Self {
            quotas: policy.ranks().map(quota).collect(),
            n_admitted: policy.ranks().map(|_| 0).collect(),
            ..Self::default()
        }
    }

    /// Returns whether a key has an allowed claim.
    pub(super) fn has(&self, key: &LocalKey) -> bool {
        self.admitted.contains_key(key)
    }

    /// Returns the keys with allowed claims, each with these.
    pub(super) fn admitted(&self) -> impl Iterator<Item = (&LocalKey, &BTreeSet<Claim>)> {
        self.admitted.iter()
    }

    /// Returns whether a source's Service may have a key.
    pub(super) fn admits(&self, key: &LocalKey, rank: Rank, service: &ObjectKey) -> bool {
        let mut claims = self.admitted.get(key).into_iter().flatten();
        claims.any(|it| it.rank == rank && it.service == *service)
    }

    /// Number of a source's Services that may have their keys.
    pub(super) fn n_admitted(&self, rank: Rank) -> usize {
        self.n_admitted[rank.index()]
    }

    /// Returns all claimed keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &LocalKey> {
        self.admitted.keys().chain(self.refused.keys())
    }

    /// A Service is mirrored there, and not where it would be usually.
    fn set_alias(&mut self, claim: (Rank, ObjectKey), usual: &LocalKey, key: Option<LocalKey>) {
        let before = match &key {
            Some(key) => self.aliased.insert(claim, key.clone()),
            None => self.aliased.remove(&claim),
        };
        if before.is_none() && key.is_none() {
            return;
        }
        let aliases = self.aliases.entry(usual.clone()).or_default();
        if let Some(before) = before {
            aliases.remove(&before);
        }
        aliases.extend(key);
        if aliases.is_empty() {
            self.aliases.remove(usual);
        }
    }

    fn put(&mut self, key: &LocalKey, claim: Claim, verdict: Result<(), Refusal>) {
        self.take(key, &claim);
        match verdict {
            Ok(()) => {
                self.n_admitted[claim.rank.index()] += 1;
                let claims = self.admitted.entry(key.clone()).or_default();
                claims.insert(claim);
            }
            Err(refusal) => {
                let claims = self.refused.entry(key.clone()).or_default();
                claims.insert(claim, refusal);
            }
        }
    }

    fn take(&mut self, key: &LocalKey, claim: &Claim) {
        if let Some(claims) = self.admitted.get_mut(key) {
            if claims.remove(claim) {
                self.n_admitted[claim.rank.index()] -= 1;
            }
            if claims.is_empty() {
                self.admitted.remove(key);
            }
        }
        if let Some(claims) = self.refused.get_mut(key) {
            claims.remove(claim);
            if claims.is_empty() {
                self.refused.remove(key);
            }
        }
    }
}

impl World {
    /// Returns the allowed claims of a key, the one that takes precedence first.
    pub fn claims(&self, key: &LocalKey) -> impl Iterator<Item = &Claim> {
        self.claims.admitted.get(key).into_iter().flatten()
    }

    /// The source and Service that take precedence under a key.
    pub(crate) fn winner(&self, key: &LocalKey) -> Option<(Rank, &ObjectKey)> {
        let first = self.claims(key).next()?;
        Some((first.rank, &first.service))
    }

    /// Returns the denied claims of a key, each with the violated rule.
    pub(crate) fn refused(&self, key: &LocalKey) -> impl Iterator<Item = (&Claim, &Refusal)> {
        self.claims.refused.get(key).into_iter().flatten()
    }

    /// Returns whether a source's Service may have its mirror.
    pub(super) fn is_admitted(&self, rank: Rank, service: &ObjectKey) -> bool {
        let home = self.home(rank, service);
        self.claims.admits(&home, rank, service)
    }

    /// A source's Service wants its key. One that it displaces leaves its own.
    pub(super) fn claim(&mut self, rank: Rank, service: ObjectKey, by: By) -> Touched {
        let own = self.judge_claim(rank, &service);
        let quota = &mut self.claims.quotas[rank.index()];
        let other = match own {
            Ok(()) => quota.insert(&service),
            Err(_) => quota.remove(&service),
        };
        let before = self.home(rank, &service);
        self.follow_alias(rank, &service);
        if before != self.home(rank, &service) {
            let service = service.clone();
            self.claims.take(&before, &Claim { rank, service });
        }
        let mut touched = Touched::from([before.clone()]);
        touched.extend(other.as_ref().map(|it| self.home(rank, it)));
        touched.extend(self.local.strays_of(&service));
        touched.insert(self.home(rank, &service));
        if let Some(other) = other {
            let local = self.place(rank, &other);
            touched.extend(self.weigh(rank, (other, local), by));
        }
        self.place(rank, &service);
        touched.extend(self.weigh(rank, (service, before), by));
        touched
    }

    /// A source's Service wants nothing any more. One that waited may follow.
    pub(super) fn unclaim(&mut self, rank: Rank, service: ObjectKey, by: By) -> Touched {
        let other = self.claims.quotas[rank.index()].remove(&service);
        let key = self.home(rank, &service);
        let usual = self.policy.local(rank, &service);
        self.claims.set_alias((rank, service.clone()), &usual, None);
        let claim = Claim { rank, service };
        self.claims.take(&key, &claim);
        let mut touched = Touched::from([key.clone()]);
        touched.extend(self.local.strays_of(&claim.service));
        touched.extend(self.weigh(rank, (claim.service, key), by));
        if let Some(other) = other {
            let key = self.place(rank, &other);
            touched.insert(key.clone());
            touched.extend(self.weigh(rank, (other, key), by));
        }
        touched
    }

    /// Returns the key of the mirror of a source Service.
    pub(crate) fn home(&self, rank: Rank, service: &ObjectKey) -> LocalKey {
        if !self.claims.aliased.is_empty()
            && let Some(key) = self.claims.aliased.get(&(rank, service.clone()))
        {
            return key.clone();
        }
        self.policy.local(rank, service)
    }

    /// Returns the aliases of Services whose mirror would have that key otherwise.
    pub(super) fn aliases_of(&self, usual: &LocalKey) -> impl Iterator<Item = &LocalKey> {
        self.claims.aliases.get(usual).into_iter().flatten()
    }

    fn follow_alias(&mut self, rank: Rank, service: &ObjectKey) {
        let known = self.source(rank).services.known();
        let content = known.and_then(|it| it.get(service)?.as_ref().ok());
        let alias = content.and_then(|it| self.policy.alias(rank, it).ok()?);
        let policy = self.policy.source(rank);
        let key = alias.map(|it| policy.naming.aliased(&policy.placement, service, &it));
        let usual = policy.local(service);
        self.claims.set_alias((rank, service.clone()), &usual, key);
    }

    fn place(&mut self, rank: Rank, service: &ObjectKey) -> LocalKey {
        let key = self.home(rank, service);
        let over = self.claims.quotas[rank.index()].refuses(service);
        let over = over.map(|limit| Refusal::TooManyServices { limit });
        let verdict = self.judge_claim(rank, service);
        let verdict = verdict.and(over.map_or(Ok(()), Err));
        let service = service.clone();
        self.claims.put(&key, Claim { rank, service }, verdict);
        key
    }

    /// Other namespaces of a source keep their Services to themselves.
    pub(crate) fn opt_out(
        &mut self,
        rank: Option<Rank>,
        namespaces: BTreeSet<Box<str>>,
    ) -> Touched {
        let Some(rank) = rank else {
            return Touched::new();
        };
        let before = std::mem::replace(&mut self.source_mut(rank).opted_out, namespaces);
        let source = self.source(rank);
        let changed: BTreeSet<_> = before.symmetric_difference(&source.opted_out).collect();
        let services = source.services.known().into_iter().flat_map(|it| it.keys());
        let concerned = services.filter(|it| changed.contains(&Box::from(it.namespace())));
        let concerned: Vec<_> = concerned.cloned().collect();
        let touched = concerned
            .into_iter()
            .map(|it| self.claim(rank, it, By::Event));
        touched.flatten().collect()
    }

    fn judge_claim(&self, rank: Rank, service: &ObjectKey) -> Result<(), Refusal> {
        let known = self.source(rank).services.known();
        let content = known.and_then(|it| it.get(service)?.as_ref().ok());
        let import = &self.policy.source(rank).import;
        import.admit(service, content.map(|it| &it.spec), self.policy.own(rank))?;
        let namespace = service.namespace();
        if self.source(rank).opted_out.contains(namespace) {
            return Err(Refusal::OptedOut(namespace.into()));
        }
        let alias = content.and_then(|it| self.policy.alias(rank, it).ok()?);
        let policy = self.policy.source(rank);
        let key = match alias {
            Some(alias) => policy.naming.aliased(&policy.placement, service, &alias),
            None => policy.local(service),
        };
        self.policy.open(rank, service, &key)
    }
}
