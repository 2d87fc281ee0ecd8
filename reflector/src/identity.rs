//! Cluster identity of a source.
//!
//! The first cluster that responds is the source, unless its mirrors or the configuration name
//! another one. Responses of any other cluster are rejected: its lists would delete all mirrors. A
//! source that never reported its identity cannot be checked, which its status shows. A source that
//! reported it once is rejected when it does not report it any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use proto_types::evidence::Expected;
use reflector_planner::SourceName;
use runtime::{FailureCause, IdentityCheck, ReportedIdentity as Told};
use tokio::sync::watch;

use crate::config::SourceConfig;

/// Clusters, by the uids of their `kube-system` namespaces.
pub(crate) type Clusters = BTreeSet<Box<str>>;

/// Value of `cluster` for a source that may be any cluster, and another one at any time.
const ANY: &str = "any";

/// Cluster identity of a source.
#[derive(Debug)]
pub(crate) struct ExpectedIdentity {
    source: SourceName,
    configured: Option<Box<str>>,
    /// One of these; any, if there are none. None before that is known.
    expected: watch::Sender<Option<Clusters>>,
    found: Mutex<Option<Told>>,
}

impl ExpectedIdentity {
    /// Creates the identity of a source that was not reached yet.
    pub(crate) fn new(source: &SourceConfig) -> Self {
        Self {
            source: source.name.clone(),
            configured: source.cluster.clone(),
            expected: watch::Sender::new(None),
            found: Mutex::new(None),
        }
    }

    /// Creates the identity of a source that may be any cluster.
    pub(crate) fn of_any(source: SourceName) -> Self {
        Self {
            source,
            configured: Some(ANY.into()),
            expected: watch::Sender::new(Some(Clusters::new())),
            found: Mutex::new(None),
        }
    }

    /// Its mirrors in the local cluster are of these clusters.
    pub(crate) fn expect(&self, clusters: Clusters) {
        self.expected.send_replace(Some(clusters));
    }

    /// Waits until it is known what to expect.
    pub(crate) async fn settled(&self) {
        let mut expected = self.expected.subscribe();
        // The sender is kept by this value.
        let _ = expected.wait_for(Option::is_some).await;
    }

    /// Asked whenever the source has answered.
    pub(crate) fn guard(self: &Arc<Self>) -> IdentityCheck {
        let this = Arc::clone(self);
        Arc::new(move |told| this.evaluate(told))
    }

    /// The cluster that it is.
    pub(crate) fn cluster(&self) -> Option<Box<str>> {
        match &*self.found.lock() {
            Some(Told::Known(uid)) => Some(uid.clone()),
            Some(Told::Untold(_) | Told::Failed(_)) | None => None,
        }
    }

    /// Returns the reason for which the identity is unknown.
    pub(crate) fn why_unknown(&self) -> Option<String> {
        match &*self.found.lock() {
            Some(Told::Untold(why) | Told::Failed(why)) => Some(why.to_string()),
            Some(Told::Known(_)) | None => None,
        }
    }

    fn evaluate(&self, told: Told) -> Result<Expected, FailureCause> {
        // Both resources request it at once, and must get the same response.
        let mut found = self.found.lock();
        let expected = self.expected.borrow().clone().unwrap_or_default();
        let accepted = self.accepted(expected.clone());
        let cluster = match &told {
            Told::Known(uid) => Some(uid),
            Told::Untold(_) | Told::Failed(_) => None,
        };
        if accepted.check(cluster).is_err() {
            return Err(self.rejection(&told, &expected));
        }
        if let Some(uid) = cluster {
            let only = Clusters::from([uid.clone()]);
            self.expected.send_replace(Some(only));
        }
        let accepted = accepted.narrowed(cluster);
        *found = Some(told);
        Ok(accepted)
    }

    /// Clusters that are accepted, of which these have mirrors or answered first.
    fn accepted(&self, expected: Clusters) -> Expected {
        match &self.configured {
            Some(any) if **any == *ANY => Expected::Any,
            Some(it) => Expected::OneOf(Clusters::from([it.clone()])),
            None if expected.is_empty() => Expected::First,
            None => Expected::OneOf(expected),
        }
    }

    fn rejection(&self, told: &Told, expected: &Clusters) -> FailureCause {
        let source = &self.source;
        match (&self.configured, told) {
            (Some(it), Told::Known(uid)) => FailureCause::Replaced(format!(
                "the uid of its kube-system namespace is {uid}, and source {source} is configured \
                 with cluster {it}; correct its address or that"
            )),
            (Some(it), Told::Untold(why)) => FailureCause::Unidentified(format!(
                "it does not tell whether it is cluster {it} ({why}); let source {source} get \
                 namespace kube-system, or configure no cluster for it"
            )),
            (None, Told::Known(uid)) => {
                let expected = listed(expected);
                FailureCause::Replaced(format!(
                    "the uid of its kube-system namespace is {uid}, and mirrors here are of \
                     {expected}; if that is right, configure cluster: {uid} for source {source}"
                ))
            }
            (None, Told::Untold(why)) => {
                let expected = listed(expected);
                FailureCause::Unidentified(format!(
                    "it does not tell whether it is still cluster {expected} ({why}); let source \
                     {source} get namespace kube-system, or configure cluster: any for it"
                ))
            }
            (_, Told::Failed(why)) => why.clone(),
        }
    }
}

fn listed(clusters: &Clusters) -> String {
    let clusters: Vec<_> = clusters.iter().map(|it| &**it).collect();
    clusters.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EndpointsFrom;
    use crate::config::Origin;
    use runtime::Access;

    fn identity(configured: Option<&str>, expected: &[&str]) -> Arc<ExpectedIdentity> {
        let it = ExpectedIdentity::new(&SourceConfig {
            name: "east".parse().unwrap(),
            access: Access::InCluster,
            ca_url: None,
            cluster: configured.map(Into::into),
            mirrors: true,
            joins: false,
            in_cluster_set: false,
            staleness: reflector_planner::Staleness::default(),
            selector: "a=b".parse().unwrap(),
            namespace: None,
            origin: Origin::Written,
            endpoints_from: EndpointsFrom::default(),
            poll_every: None,
            limits: crate::config::SourceLimits::default(),
        });
        it.expect(expected.iter().map(|it| (*it).into()).collect());
        Arc::new(it)
    }

    fn known(uid: &str) -> Told {
        Told::Known(uid.into())
    }

    fn unavailable() -> Told {
        Told::Untold(FailureCause::Forbidden("no".to_owned()))
    }

    fn failed() -> Told {
        Told::Failed(FailureCause::Throttled("later".to_owned()))
    }

    #[test]
    fn the_first_cluster_that_answers_is_the_source() {
        let it = identity(None, &[]);
        let guard = it.guard();
        guard(failed()).unwrap();
        assert_eq!(it.cluster(), None);
        guard(known("a")).unwrap();
        assert_eq!(it.cluster().as_deref(), Some("a"));
        let said = guard(known("b")).unwrap_err().to_string();
        assert!(
            said.contains("uid of its kube-system namespace is b"),
            "{said}"
        );
        assert!(
            said.contains("configure cluster: b for source east"),
            "{said}"
        );
        guard(known("a")).unwrap();
    }

    #[test]
    fn mirrors_remember_it() {
        let it = identity(None, &["a", "b"]);
        it.guard()(known("c")).unwrap_err();
        it.guard()(failed()).unwrap_err();
        it.guard()(known("b")).unwrap();
        it.guard()(known("a")).unwrap_err();
    }

    #[test]
    fn a_source_that_never_reported_its_identity_is_not_held_to_one() {
        let it = identity(None, &[]);
        it.guard()(unavailable()).unwrap();
        assert_eq!(it.why_unknown().as_deref(), Some("not allowed: no"));
    }

    #[test]
    fn a_source_that_no_longer_reports_its_identity_is_rejected() {
        let remembered = identity(None, &["a"]);
        let told = identity(None, &[]);
        told.guard()(known("a")).unwrap();
        for it in [remembered, told] {
            let said = it.guard()(unavailable()).unwrap_err().to_string();
            assert!(said.contains("still cluster a (not allowed: no)"), "{said}");
            assert!(said.contains("configure cluster: any"), "{said}");
            it.guard()(known("a")).unwrap();
        }
    }

    #[test]
    fn any_cluster_is_right_where_that_is_configured() {
        let it = identity(Some("any"), &["a"]);
        for told in [unavailable(), failed(), known("b"), known("c")] {
            it.guard()(told).unwrap();
        }
    }

    #[test]
    fn configuration_goes_before_what_mirrors_say() {
        let it = identity(Some("b"), &["a"]);
        it.guard()(known("b")).unwrap();
        let said = it.guard()(known("a")).unwrap_err().to_string();
        assert!(said.contains("configured with cluster b"), "{said}");
        let said = it.guard()(unavailable()).unwrap_err().to_string();
        assert!(
            said.contains("let source east get namespace kube-system"),
            "{said}"
        );
        it.guard()(failed()).unwrap_err();
    }

    #[tokio::test]
    async fn nothing_is_asked_before_it_is_known_what_to_expect() {
        let it = Arc::new(ExpectedIdentity::new(&SourceConfig {
            name: "east".parse().unwrap(),
            access: Access::InCluster,
            ca_url: None,
            cluster: None,
            mirrors: true,
            joins: false,
            in_cluster_set: false,
            staleness: reflector_planner::Staleness::default(),
            selector: "a=b".parse().unwrap(),
            namespace: None,
            origin: Origin::Written,
            endpoints_from: EndpointsFrom::default(),
            poll_every: None,
            limits: crate::config::SourceLimits::default(),
        }));
        let waiter = Arc::clone(&it);
        let mut waits = Box::pin(async move { waiter.settled().await });
        assert!(futures::poll!(&mut waits).is_pending());
        it.expect(Clusters::new());
        waits.await;
    }
}
