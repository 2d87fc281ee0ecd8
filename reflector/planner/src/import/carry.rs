//! Which labels and annotations of a source's Services come along.

use proto_types::{Labels, label};

use super::Pattern;
use crate::mirror::{MIRROR_PREFIX, MIRRORED};

/// Which labels and annotations come along; by default none do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carry {
    /// Labels of these names.
    pub labels: Vec<Pattern>,
    /// Annotations of these names.
    pub annotations: Vec<Pattern>,
}

impl Carry {
    pub(crate) fn labels_of(&self, all: &Labels) -> Labels {
        chosen(&self.labels, all)
    }

    pub(crate) fn annotations_of(&self, all: &Labels) -> Labels {
        chosen(&self.annotations, all)
    }
}

fn chosen(patterns: &[Pattern], all: &Labels) -> Labels {
    let is_chosen = |name: &str| patterns.iter().any(|it| it.matches(name));
    let chosen = all
        .iter()
        .filter(|(name, _)| is_chosen(name) && may_come(name));
    chosen
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Whether a label or annotation of that name may ever come along. What Kubernetes or
/// Heliograph reads would change what the mirror is; what other programs mark their
/// mirrors with would change whose it is.
#[must_use]
pub fn may_come(name: &str) -> bool {
    let Some((domain, _)) = name.split_once('/') else {
        return ![MIRRORED, MIRROR_PREFIX, "global-svc", "global-svc-clusters"].contains(&name);
    };
    let is_of = |owner: &str| {
        let rest = domain.strip_suffix(owner);
        rest.is_some_and(|it| it.is_empty() || it.ends_with('.'))
    };
    // These are everybody's, except for the one that says whose the object is.
    if domain == "app.kubernetes.io" {
        return name != label::MANAGED_BY;
    }
    let owners = [
        "kubernetes.io",
        "k8s.io",
        "x-k8s.io",
        "heliograph.dev",
        "service-reflector.squat.ai",
    ];
    !owners.into_iter().any(is_of)
}

#[cfg(test)]
mod tests {
    use super::may_come;

    #[test]
    fn what_kubernetes_or_heliograph_reads_never_comes_along() {
        for name in [
            "kubernetes.io/service-name",
            "service.kubernetes.io/headless",
            "service.beta.kubernetes.io/aws-load-balancer-type",
            "kubectl.kubernetes.io/last-applied-configuration",
            "multicluster.x-k8s.io/service-imported",
            "endpointslice.kubernetes.io/skip-mirror",
            "app.kubernetes.io/managed-by",
            "heliograph.dev/source",
            "service-reflector.squat.ai/source",
            "mirrored-svc",
        ] {
            assert!(!may_come(name), "{name}");
        }
        for name in [
            "team",
            "app.kubernetes.io/name",
            "example.org/owner",
            "notkubernetes.io/x",
        ] {
            assert!(may_come(name), "{name}");
        }
    }
}
