//! Another policy for what is known.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{AffectedKeys, By, Claims, Index};
use crate::mirror::{MirrorService, Observed, Role};
use crate::name::{MirrorKey, SourceName};
use crate::policy::{Policy, RemovedSources};
use crate::source::Source;

impl Index {
    /// Applies another policy. The state of a source is kept, unless it is one of those to be asked
    /// `again`, because it is reached in another way or has another scope. What is desired in the
    /// local cluster may have changed anywhere.
    pub fn reconfigure(&mut self, policy: Policy, anew: &HashSet<SourceName>) -> AffectedKeys {
        let mut affected = self.keys();
        let mut known: BTreeMap<_, _> = self.policy.ranks().zip(self.sources.drain(..)).collect();
        let sources = policy.ranks().map(|rank| {
            let name = &policy.source(rank).name;
            let before = self.policy.rank(name, policy.role(rank));
            let before = before.filter(|_| !anew.contains(name));
            let before = before.and_then(|rank| known.remove(&rank));
            before.unwrap_or_else(|| Source::unknown_since(self.now))
        });
        self.sources = sources.collect();
        self.awaited.clear();
        let learned = std::mem::take(&mut self.policy.learned_ranges);
        self.policy = policy;
        self.policy.learned_ranges = learned;
        self.local.rehome(&self.policy);
        self.claims = Claims::new(&self.policy);
        self.record_clusters();
        for rank in self.policy.ranks() {
            let services = self.source(rank).services.known();
            let services = services.into_iter().flat_map(|it| it.keys().cloned());
            for service in services.collect::<Vec<_>>() {
                self.claim(rank, service, By::Configuration);
            }
            // Its staleness policy may have changed.
            self.evaluate_staleness(rank);
        }
        affected.extend(self.keys());
        affected
    }

    /// Every key that there is anything to plan for.
    #[must_use]
    pub fn keys(&self) -> AffectedKeys {
        let services = self.local.services();
        let homes = services.map(|(key, _)| MirrorKey::new(key.clone()));
        let homes = homes.chain(self.local.keys().cloned());
        let homes = homes.chain(self.local.keys_of_endpoints());
        homes.chain(self.claims.keys().cloned()).collect()
    }

    /// Remembers which clusters the sources were when their mirrors were last written.
    pub(super) fn record_clusters(&mut self) {
        let mirrors = self.local.services().map(|(_, it)| &it.owner);
        let known = mirrors.filter_map(|it| Some((it.source.as_ref()?, it.cluster.clone()?)));
        let known: HashMap<_, _> = known.collect();
        for rank in self.policy.ranks() {
            let recorded = known.get(&self.policy.source(rank).name).cloned();
            self.sources[rank.index()].recorded_cluster = recorded;
        }
    }

    /// Keys of mirrors of removed sources, where it matters what other sources have.
    pub(super) fn orphans(&self) -> AffectedKeys {
        let all = self.local.displaced_mirrors();
        let removed = all.filter(|key| {
            let observed = self.local.service(key);
            observed.is_some_and(|it| self.policy.rank_of(&it.owner).is_none())
        });
        let concerned = removed.filter(|key| match self.policy.removed_sources {
            RemovedSources::Delete => true,
            RemovedSources::Keep => self.claims.has(key),
        });
        concerned.collect()
    }

    /// Returns whether a global Service has a member that is not configured any more.
    pub(super) fn has_removed_member(&self, global: &Observed<MirrorService>) -> bool {
        match self.policy.removed_sources {
            RemovedSources::Keep => false,
            RemovedSources::Delete => global
                .members()
                .any(|name| self.policy.rank(&name, Role::Member).is_none()),
        }
    }

    /// Returns the cluster identities that a source had when its mirrors were last written.
    pub fn clusters_of(&self, source: &SourceName) -> impl Iterator<Item = &str> {
        let mirrors = self.local.services().map(|(_, it)| &it.owner);
        let its = mirrors.filter(move |it| it.source.as_ref() == Some(source));
        its.filter_map(|it| it.cluster.as_deref())
    }
}
