//! Claims of Services to local keys, allowed and denied.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proto_types::ObjectKey;

use super::{AffectedKeys, By, Claim, Index};
use crate::import::{ImportViolation, Quota};
use crate::name::MirrorKey;
use crate::policy::{Policy, Rank};

/// The claims of all sources' Services on local keys.
#[derive(Debug, Default)]
pub(super) struct Claims {
    admitted: HashMap<MirrorKey, BTreeSet<Claim>>,
    refused: HashMap<MirrorKey, BTreeMap<Claim, ImportViolation>>,
    /// By rank.
    quotas: Vec<Quota>,
    /// Numbers of admitted claims, by rank.
    n_admitted: Vec<usize>,
    /// Keys of mirrors of Services with an alias.
    aliased: HashMap<(Rank, ObjectKey), MirrorKey>,
    /// The same, by where they would be else.
    aliases: HashMap<MirrorKey, BTreeSet<MirrorKey>>,
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
    pub(super) fn has(&self, key: &MirrorKey) -> bool {
        self.admitted.contains_key(key)
    }

    /// Returns the keys with allowed claims, each with these.
    pub(super) fn admitted(&self) -> impl Iterator<Item = (&MirrorKey, &BTreeSet<Claim>)> {
        self.admitted.iter()
    }

    /// Returns whether a source's Service may have a key.
    pub(super) fn admits(&self, key: &MirrorKey, rank: Rank, service: &ObjectKey) -> bool {
        let mut claims = self.admitted.get(key).into_iter().flatten();
        claims.any(|it| it.rank == rank && it.service == *service)
    }

    /// Number of a source's Services that may have their keys.
    pub(super) fn n_admitted(&self, rank: Rank) -> usize {
        self.n_admitted[rank.index()]
    }

    /// Returns all claimed keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &MirrorKey> {
        self.admitted.keys().chain(self.refused.keys())
    }

    /// A Service is mirrored there, and not where it would be usually.
    fn set_alias(&mut self, claim: (Rank, ObjectKey), usual: &MirrorKey, key: Option<MirrorKey>) {
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

    fn put(&mut self, key: &MirrorKey, claim: Claim, verdict: Result<(), ImportViolation>) {
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

    fn take(&mut self, key: &MirrorKey, claim: &Claim) {
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

impl Index {
    /// Returns the allowed claims of a key, the one that takes precedence first.
    pub fn claims(&self, key: &MirrorKey) -> impl Iterator<Item = &Claim> {
        self.claims.admitted.get(key).into_iter().flatten()
    }

    /// The source and Service that take precedence under a key.
    pub(crate) fn winner(&self, key: &MirrorKey) -> Option<(Rank, &ObjectKey)> {
        let first = self.claims(key).next()?;
        Some((first.rank, &first.service))
    }

    /// Returns the denied claims of a key, each with the violated rule.
    pub(crate) fn refused(
        &self,
        key: &MirrorKey,
    ) -> impl Iterator<Item = (&Claim, &ImportViolation)> {
        self.claims.refused.get(key).into_iter().flatten()
    }

    /// Returns whether a source's Service may have its mirror.
    pub(super) fn is_admitted(&self, rank: Rank, service: &ObjectKey) -> bool {
        let home = self.key_of(rank, service);
        self.claims.admits(&home, rank, service)
    }

    /// A source's Service wants its key. One that it displaces leaves its own.
    pub(super) fn claim(&mut self, rank: Rank, service: ObjectKey, by: By) -> AffectedKeys {
        let own = self.evaluate_claim(rank, &service);
        let quota = &mut self.claims.quotas[rank.index()];
        let other = match own {
            Ok(()) => quota.insert(&service),
            Err(_) => quota.remove(&service),
        };
        let before = self.key_of(rank, &service);
        self.follow_alias(rank, &service);
        if before != self.key_of(rank, &service) {
            let service = service.clone();
            self.claims.take(&before, &Claim { rank, service });
        }
        let mut affected = AffectedKeys::from([before.clone()]);
        affected.extend(other.as_ref().map(|it| self.key_of(rank, it)));
        affected.extend(self.local.displaced_mirrors_of(&service));
        affected.insert(self.key_of(rank, &service));
        if let Some(other) = other {
            let local = self.place(rank, &other);
            affected.extend(self.weigh(rank, (other, local), by));
        }
        self.place(rank, &service);
        affected.extend(self.weigh(rank, (service, before), by));
        affected
    }

    /// A source's Service wants nothing any more. One that waited may follow.
    pub(super) fn unclaim(&mut self, rank: Rank, service: ObjectKey, by: By) -> AffectedKeys {
        let other = self.claims.quotas[rank.index()].remove(&service);
        let key = self.key_of(rank, &service);
        let usual = self.policy.local(rank, &service);
        self.claims.set_alias((rank, service.clone()), &usual, None);
        let claim = Claim { rank, service };
        self.claims.take(&key, &claim);
        let mut affected = AffectedKeys::from([key.clone()]);
        affected.extend(self.local.displaced_mirrors_of(&claim.service));
        affected.extend(self.weigh(rank, (claim.service, key), by));
        if let Some(other) = other {
            let key = self.place(rank, &other);
            affected.insert(key.clone());
            affected.extend(self.weigh(rank, (other, key), by));
        }
        affected
    }

    /// Returns the key of the mirror of a source Service.
    pub(crate) fn key_of(&self, rank: Rank, service: &ObjectKey) -> MirrorKey {
        if !self.claims.aliased.is_empty()
            && let Some(key) = self.claims.aliased.get(&(rank, service.clone()))
        {
            return key.clone();
        }
        self.policy.local(rank, service)
    }

    /// Returns the aliases of Services whose mirror would have that key otherwise.
    pub(super) fn aliases_of(&self, usual: &MirrorKey) -> impl Iterator<Item = &MirrorKey> {
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

    fn place(&mut self, rank: Rank, service: &ObjectKey) -> MirrorKey {
        let key = self.key_of(rank, service);
        let over = self.claims.quotas[rank.index()].refuses(service);
        let over = over.map(|limit| ImportViolation::TooManyServices { limit });
        let verdict = self.evaluate_claim(rank, service);
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
    ) -> AffectedKeys {
        let Some(rank) = rank else {
            return AffectedKeys::new();
        };
        let before = std::mem::replace(&mut self.source_mut(rank).opted_out, namespaces);
        let source = self.source(rank);
        let changed: BTreeSet<_> = before.symmetric_difference(&source.opted_out).collect();
        let services = source.services.known().into_iter().flat_map(|it| it.keys());
        let concerned = services.filter(|it| changed.contains(&Box::from(it.namespace())));
        let concerned: Vec<_> = concerned.cloned().collect();
        let affected = concerned
            .into_iter()
            .map(|it| self.claim(rank, it, By::Event));
        affected.flatten().collect()
    }

    fn evaluate_claim(&self, rank: Rank, service: &ObjectKey) -> Result<(), ImportViolation> {
        let known = self.source(rank).services.known();
        let content = known.and_then(|it| it.get(service)?.as_ref().ok());
        let import = &self.policy.source(rank).import;
        import.admit(service, content.map(|it| &it.spec), self.policy.own(rank))?;
        let namespace = service.namespace();
        if self.source(rank).opted_out.contains(namespace) {
            return Err(ImportViolation::OptedOut(namespace.into()));
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
