//! Local names that no source may take unless the operator opens them.
//!
//! Where a source decides in which namespace its mirrors are, it could write into namespaces
//! that others rely on, or make names that pods look up for something else: a pod that looks
//! up `google.com` asks for the Service `google` in the namespace `com` first, because the
//! search domains of its resolver come before the name itself.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proto_types::ObjectKey;

use super::{Policy, Rank, names};
use crate::import::ImportViolation;
use crate::name::{GlobalPlacement, MirrorKey, Placement, RESERVED_PREFIX};

/// The namespace that the manifests install the programs in.
pub(super) const OWN_NAMESPACE: &str = "heliograph";

static TOP_LEVEL_DOMAINS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let lines = include_str!("closed/top_level_domains.txt").lines();
    let lines = lines.filter(|it| !it.starts_with('#'));
    lines.flat_map(str::split_whitespace).collect()
});

/// Names that stand in the place of a top-level domain in local, private and test networks.
const SPECIAL_DOMAINS: [&str; 18] = [
    "svc",
    "pod",
    "local",
    "cluster",
    "localhost",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "mail",
    "domain",
    "onion",
    "test",
    "example",
    "invalid",
];

impl Policy {
    /// Returns whether a source may have its mirror of a Service under a local key.
    pub(crate) fn open(
        &self,
        rank: Rank,
        service: &ObjectKey,
        key: &MirrorKey,
    ) -> Result<(), ImportViolation> {
        if self.is_local(rank) {
            return Ok(());
        }
        let (namespace, name) = (key.object().namespace(), key.object().name());
        if self.chooses_namespace(rank, service) {
            self.open_namespace(rank, service, namespace)?;
        }
        match self.reserved_for(rank, namespace, name) {
            None => Ok(()),
            Some(whose) => Err(ImportViolation::ReservedName {
                namespace: namespace.into(),
                name: name.into(),
                whose,
            }),
        }
    }

    /// Returns whether the source, and not the operator, decided on the local namespace.
    fn chooses_namespace(&self, rank: Rank, service: &ObjectKey) -> bool {
        let source = self.source(rank);
        source.placement.namespace().is_none()
            && source.naming.moved_to(service.namespace()).is_none()
    }

    fn open_namespace(
        &self,
        rank: Rank,
        service: &ObjectKey,
        namespace: &str,
    ) -> Result<(), ImportViolation> {
        let is_opened = self.opened_namespaces.iter().any(|it| **it == *namespace)
            || self
                .source(rank)
                .import
                .namespaces
                .allow_exactly(service.namespace());
        match self.why_closed(namespace) {
            Some(why) if !is_opened => Err(ImportViolation::ClosedNamespace {
                namespace: namespace.into(),
                why,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn why_closed(&self, namespace: &str) -> Option<&'static str> {
        if self.collects_in(namespace) {
            Some("mirrors of other sources are in it")
        } else if self.own_namespaces.iter().any(|it| **it == *namespace) {
            Some("Heliograph itself runs in it")
        } else if namespace.starts_with("kube-") {
            Some("Kubernetes itself uses it")
        } else if namespace == "default" {
            Some("the API server of the cluster is in it")
        } else if is_domain(namespace) && !self.opens_domains {
            Some(
                "its name is a top-level domain, so that pods would find its Services by the \
                 names of Internet hosts",
            )
        } else {
            None
        }
    }

    /// Returns whether mirrors of several namespaces are collected in a namespace.
    fn collects_in(&self, namespace: &str) -> bool {
        let collected = |it: &Placement| it.namespace().is_some_and(|it| it.as_str() == namespace);
        self.sources.iter().any(|it| collected(&it.placement))
    }

    /// Those whose mirrors a name is reserved for, where it is for others.
    fn reserved_for(&self, rank: Rank, namespace: &str, name: &str) -> Option<Box<str>> {
        let begins = |stem: &str| {
            let rest = name.strip_prefix(stem);
            rest.is_some_and(|it| it.starts_with('-'))
        };
        let is_global = matches!(
            self.source(rank).placement,
            Placement::Global(GlobalPlacement::Collected(_))
        );
        if !is_global && begins(RESERVED_PREFIX) && self.collects_in(namespace) {
            return Some("global Services".into());
        }
        let others = self.sources().iter().enumerate();
        let mut others = others.filter(|(i, it)| {
            let is_there = it
                .placement
                .namespace()
                .is_some_and(|it| it.as_str() == namespace);
            *i != rank.index() && is_there
        });
        let other = others.find(|(_, it)| {
            let stem = names::stem(it).ok().flatten();
            stem.is_some_and(|it| begins(it.as_str()))
        });
        other.map(|(_, it)| format!("source {}", it.name).into())
    }
}

/// Returns whether a DNS label is, or stands in the place of, a top-level domain.
fn is_domain(label: &str) -> bool {
    let is_country = label.len() == 2 && label.bytes().all(|it| it.is_ascii_lowercase());
    is_country
        || label.starts_with("xn--")
        || SPECIAL_DOMAINS.contains(&label)
        || TOP_LEVEL_DOMAINS.contains(label)
}

#[cfg(test)]
mod tests {
    use super::is_domain;

    #[test]
    fn top_level_domains_are_known() {
        for label in [
            "com", "org", "net", "io", "de", "xn--p1ai", "dev", "svc", "internal",
        ] {
            assert!(is_domain(label), "{label}");
        }
        for label in ["demo", "shop-a", "team-a", "a1", "monitoring", "payments"] {
            assert!(!is_domain(label), "{label}");
        }
    }
}
