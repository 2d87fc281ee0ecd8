//! Labels and annotations of a source's Services that are copied.

use proto_types::{Labels, label};

use super::Pattern;
/// Label of the mirrors of semaphore-service-mirror. Mirrors of this program have it too, because
/// users select by it.
pub const MIRRORED: &str = label::MIRRORED;

/// Label with the prefix of a mirror, as semaphore-service-mirror writes it.
pub const MIRROR_PREFIX: &str = "mirror-svc-prefix-sync";

/// Labels and annotations that are copied. The default copies none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataFilter {
    /// Labels of these names.
    pub labels: Vec<Pattern>,
    /// Annotations of these names.
    pub annotations: Vec<Pattern>,
}

impl MetadataFilter {
    pub(crate) fn labels_of(&self, all: &Labels) -> Labels {
        chosen(&self.labels, all)
    }

    pub(crate) fn annotations_of(&self, all: &Labels) -> Labels {
        chosen(&self.annotations, all)
    }

    /// Returns whether a label that another cluster exports by name may be on an import.
    #[must_use]
    pub fn admits_exported_label(&self, name: &str) -> bool {
        is_harmless(&self.labels, name)
    }

    /// Returns whether an annotation that another cluster exports by name may be on an import.
    #[must_use]
    pub fn admits_exported_annotation(&self, name: &str) -> bool {
        is_harmless(&self.annotations, name)
    }
}

/// Returns whether no program of the local cluster acts upon a name, unless a pattern has its
/// domain.
fn is_harmless(patterns: &[Pattern], name: &str) -> bool {
    let is_named = |it: &Pattern| it.matches(name) && it.names_domain();
    may_come(name) && (!steers(name) || patterns.iter().any(is_named))
}

fn chosen(patterns: &[Pattern], all: &Labels) -> Labels {
    let is_chosen = |name: &str| {
        let steers = steers(name);
        let mut patterns = patterns.iter();
        patterns.any(|it| it.matches(name) && (!steers || it.names_domain()))
    };
    let chosen = all
        .iter()
        .filter(|(name, _)| is_chosen(name) && may_come(name));
    chosen.collect()
}

/// Returns whether a label or annotation of that name may ever come along. What Kubernetes or
/// Heliograph reads would change what the mirror is; what other programs mark their mirrors with
/// would change whose it is.
#[must_use]
pub fn may_come(name: &str) -> bool {
    let Some((domain, _)) = name.split_once('/') else {
        return ![MIRRORED, MIRROR_PREFIX, "global-svc", "global-svc-clusters"].contains(&name);
    };
    let is_of = |owner: &str| {
        let rest = domain.strip_suffix(owner);
        rest.is_some_and(|it| it.is_empty() || it.ends_with('.'))
    };
    // These are common labels, except for the one that names the manager.
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

/// Domains of labels and annotations that programs act upon: load balancers, service meshes,
/// ingress and DNS controllers, cloud providers, deployment tools and admission policies. A
/// domain stands for all below it.
const STEERING: [&str; 74] = [
    // Load balancers and networks.
    "metallb.io",
    "metallb.universe.tf",
    "kube-vip.io",
    "purelb.io",
    "loxilb.io",
    "kubesphere.io",
    "cilium.io",
    "projectcalico.org",
    "tigera.io",
    "antrea.io",
    "kube-router.io",
    "ovn.org",
    "submariner.io",
    "liqo.io",
    "skupper.io",
    "tailscale.com",
    "ngrok.com",
    "cloudflare.com",
    "f5.com",
    "citrix.com",
    "vmware.com",
    "a10networks.com",
    // Clouds.
    "cloud.google.com",
    "gke.io",
    "amazonaws.com",
    "k8s.aws",
    "azure.com",
    "azure.net",
    "oraclecloud.com",
    "openstack.org",
    "hetzner.cloud",
    "digitalocean.com",
    "linode.com",
    "scaleway.com",
    "vultr.com",
    "civo.com",
    "alibabacloud.com",
    "aliyun.com",
    "openshift.io",
    "cattle.io",
    // Service meshes.
    "istio.io",
    "linkerd.io",
    "consul.hashicorp.com",
    "hashicorp.com",
    "kuma.io",
    "konghq.com",
    "openservicemesh.io",
    "smi-spec.io",
    "flagger.app",
    "solo.io",
    "dapr.io",
    "knative.dev",
    // Ingress, gateways and DNS.
    "traefik.io",
    "traefik.containo.us",
    "getambassador.io",
    "projectcontour.io",
    "envoyproxy.io",
    "haproxy.org",
    "haproxy-ingress.github.io",
    "nginx.org",
    "nginx.com",
    "zalando.org",
    "cert-manager.io",
    "external-dns.io",
    "coredns.io",
    // Deployment and backup tools, which prune or overwrite what they own.
    "argoproj.io",
    "helm.sh",
    "fluxcd.io",
    "k14s.io",
    "velero.io",
    "emberstack.com",
    "mittwald.de",
    // Admission policies.
    "kyverno.io",
    "gatekeeper.sh",
];

/// Returns whether programs of the local cluster may act upon a label or annotation of that
/// name. It is copied only where a pattern names its domain: `*` alone does not.
fn steers(name: &str) -> bool {
    let Some((domain, _)) = name.split_once('/') else {
        return false;
    };
    let domain = domain.to_ascii_lowercase();
    let is_of = |owner: &str| {
        let rest = domain.strip_suffix(owner);
        rest.is_some_and(|it| it.is_empty() || it.ends_with('.'))
    };
    STEERING.into_iter().any(is_of)
}

#[cfg(test)]
mod tests {
    use proto_types::Labels;

    use super::{MetadataFilter, may_come};

    #[test]
    fn annotations_that_steer_programs_are_copied_only_if_their_domain_is_named() {
        let names = [
            "metallb.universe.tf/loadBalancerIPs",
            "metallb.io/address-pool",
            "networking.istio.io/exportTo",
            "sidecar.istio.io/inject",
            "config.linkerd.io/opaque-ports",
            "service.cilium.io/global",
            "projectcalico.org/loadBalancerIPs",
            "cloud.google.com/neg",
            "networking.gke.io/load-balancer-type",
            "consul.hashicorp.com/service-name",
            "loadbalancer.openstack.org/floating-network-id",
            "load-balancer.hetzner.cloud/location",
            "oci.oraclecloud.com/load-balancer-type",
            "getambassador.io/config",
            "traefik.io/service.sticky",
            "tailscale.com/expose",
            "argocd.argoproj.io/instance",
            "meta.helm.sh/release-name",
            "external-dns.alpha.kubernetes.io/hostname",
            "service.beta.kubernetes.io/aws-load-balancer-type",
            "heliograph.dev/failover",
        ];
        let all: Labels = names.map(|it| (it.to_owned(), "x".to_owned())).into();
        let copied = |pattern: &str| {
            let carry = MetadataFilter {
                annotations: vec![pattern.parse().unwrap()],
                ..MetadataFilter::default()
            };
            let copied = carry.annotations_of(&all);
            copied.keys().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(copied("*"), Vec::<String>::new());
        assert_eq!(copied("m*"), Vec::<String>::new());
        let named = ["metallb.universe.tf/loadBalancerIPs"];
        assert_eq!(copied("metallb.universe.tf/loadBalancerIPs"), named);
        assert_eq!(copied("metallb.universe.tf/*"), named);
    }

    #[test]
    fn labels_that_kubernetes_or_heliograph_reads_are_never_copied() {
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
