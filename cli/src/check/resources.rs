//! CRDs that the configuration needs, and quotas of the mirror namespace.

use std::collections::BTreeSet;

use reflector::config::File;
use serde_json::Value;

use super::facts::{Facts, Known};
use super::finding::Finding;
use crate::installation::Installed;

/// API group of the Multi-Cluster Services API, and of ClusterProfiles.
const MULTI_CLUSTER: &str = "multicluster.x-k8s.io";

/// Findings about both.
pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = match (&facts.config, &facts.crds) {
        (Ok((config, _)), Ok(crds)) => crds_of(config, &facts.reflector, crds),
        _ => Vec::new(),
    };
    let quotas = facts.quotas.as_ref().map(Vec::as_slice).unwrap_or_default();
    findings.extend(quotas.iter().flat_map(quota));
    findings
}

/// A finding for each setting that needs CRDs.
fn crds_of(
    config: &File,
    reflector: &Known<Option<Installed>>,
    crds: &BTreeSet<String>,
) -> Vec<Finding> {
    let has_flag = |name: &str| {
        let installed = reflector.as_ref().ok().and_then(Option::as_ref);
        installed.is_some_and(|it| it.flag(name).is_some())
    };
    let exports = ["serviceexports", "serviceimports"].map(|it| format!("{it}.{MULTI_CLUSTER}"));
    let settings = [
        (
            "clusterSet",
            config.cluster_set.is_some(),
            exports.as_slice(),
            (
                "install the CRDs of the Multi-Cluster Services API",
                "multi-cluster-services.md",
            ),
        ),
        (
            "sourcesFromCRD",
            config.sources_from_crd.is_some() || has_flag("--sources-from-crd"),
            &["sources.heliograph.dev".to_owned()],
            ("apply manifests/source-crd", "sources.md"),
        ),
        (
            "clusterProfiles",
            config.cluster_profiles.is_some(),
            &[format!("clusterprofiles.{MULTI_CLUSTER}")],
            (
                "install the CRD of the cluster-inventory API",
                "cluster-profiles.md",
            ),
        ),
    ];
    let settings = settings.into_iter().filter(|it| it.1);
    let findings = settings.map(|(setting, _, needed, remedy)| {
        let missing = needed.iter().filter(|it| !crds.contains(*it));
        let missing: Vec<_> = missing.map(String::as_str).collect();
        match missing.as_slice() {
            [] => Finding::ok("CRDs", format!("those of {setting} are installed")),
            missing => Finding::failed(
                "CRDs",
                format!(
                    "{setting} is configured and the API server lacks {}",
                    missing.join(", ")
                ),
                remedy,
            ),
        }
    });
    findings.collect()
}

/// Counts of Services and EndpointSlices of a quota that are nearly reached.
fn quota(quota: &Value) -> Vec<Finding> {
    let name = quota["metadata"]["name"].as_str().unwrap_or_default();
    let keys = [
        "services",
        "count/services",
        "count/endpointslices.discovery.k8s.io",
    ];
    let status = &quota["status"];
    let number = |of: &Value, key: &str| of[key].as_str().and_then(|it| it.parse::<u64>().ok());
    let mut findings = Vec::new();
    for key in keys {
        let (used, hard) = (number(&status["used"], key), number(&status["hard"], key));
        let (Some(used), Some(hard)) = (used, hard) else {
            continue;
        };
        let message = format!("ResourceQuota {name}: {used} of {hard} {key} are used");
        let remedy = ("raise the quota of the mirror namespace", "limits.md");
        findings.push(if hard <= used {
            Finding::failed("quota", message, remedy)
        } else if hard * 9 <= used * 10 {
            Finding::warning("quota", message, remedy)
        } else {
            Finding::ok("quota", message)
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::{crds_of, quota};
    use crate::output::Mark;

    #[test]
    fn each_missing_crd_is_named() {
        let config = "clusterSet: {cluster: local}\nsourcesFromCRD: {namespace: heliograph}\n";
        let config = serde_saphyr::from_str(config).unwrap();
        let crds = ["serviceexports.multicluster.x-k8s.io"];
        let crds: BTreeSet<_> = crds.into_iter().map(str::to_owned).collect();
        let found = crds_of(&config, &Ok(None), &crds);
        let messages: Vec<_> = found.iter().map(|it| it.message.as_str()).collect();
        let wanted = [
            "clusterSet is configured and the API server lacks serviceimports.multicluster.x-k8s.io",
            "sourcesFromCRD is configured and the API server lacks sources.heliograph.dev",
        ];
        assert_eq!(messages, wanted);
    }

    #[test]
    fn a_full_quota_is_found() {
        let of = |used: &str| {
            let quota_of = json!({"metadata": {"name": "q"}, "status": {"hard": {"count/services": "10"},
                "used": {"count/services": used}}});
            quota(&quota_of)[0].mark
        };
        assert_eq!(
            [of("5"), of("9"), of("10")],
            [Mark::Ok, Mark::Warning, Mark::Failed]
        );
        assert!(quota(&json!({})).is_empty());
    }
}
