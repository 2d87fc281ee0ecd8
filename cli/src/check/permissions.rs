//! Permissions, verb by verb, by SubjectAccessReviews.

use std::collections::{BTreeMap, BTreeSet};

use reflector::config::File;
use serde_json::{Value, json};

use super::facts::Facts;
use super::finding::Finding;
use crate::args::Global;
use crate::cluster::Cluster;

const CHECK: &str = "permissions";

/// One verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RequiredPermission {
    /// Empty for all namespaces.
    namespace: String,
    group: &'static str,
    resource: &'static str,
    verb: &'static str,
    /// Empty for all names.
    name: String,
}

const OF_MIRRORS: [&str; 6] = ["list", "watch", "get", "create", "update", "delete"];

/// Asks for each right of the reflector's ServiceAccount that its configuration needs.
pub(crate) async fn of_reflector(
    cluster: &Cluster,
    global: &Global,
    facts: &Facts,
) -> Vec<Finding> {
    let (Ok(Some(reflector)), Ok((config, _))) = (&facts.reflector, &facts.config) else {
        return Vec::new();
    };
    let (namespace, account) = (&global.namespace, reflector.account());
    let user = json!({
        "user": format!("system:serviceaccount:{namespace}:{account}"),
        "groups": [
            "system:serviceaccounts",
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated",
        ],
    });
    let mut rights = needed(config);
    if reflector.has_flag("--leader-elect") {
        let of_lease = |verb| RequiredPermission {
            namespace: namespace.clone(),
            group: "coordination.k8s.io",
            resource: "leases",
            verb,
            name: "heliograph-reflector".to_owned(),
        };
        rights.extend(["get", "update"].map(of_lease));
    }
    let who = format!("ServiceAccount {namespace}/{account}");
    ask(
        cluster,
        Some(&user),
        rights,
        (&who, "install.md#permissions"),
    )
    .await
}

/// Checks each permission that an installation requires of its operator.
pub(crate) async fn to_install(cluster: &Cluster) -> Vec<Finding> {
    let of = |group, resource| RequiredPermission {
        namespace: String::new(),
        group,
        resource,
        verb: "create",
        name: String::new(),
    };
    let rights = [
        of("", "namespaces"),
        of("", "serviceaccounts"),
        of("", "configmaps"),
        of("", "services"),
        of("apps", "deployments"),
        of("networking.k8s.io", "networkpolicies"),
        of("policy", "poddisruptionbudgets"),
        of("rbac.authorization.k8s.io", "roles"),
        of("rbac.authorization.k8s.io", "rolebindings"),
        of("rbac.authorization.k8s.io", "clusterroles"),
        of("rbac.authorization.k8s.io", "clusterrolebindings"),
    ];
    ask(cluster, None, rights.into(), ("your user", "install.md")).await
}

/// The rights that a configuration needs.
fn needed(config: &File) -> BTreeSet<RequiredPermission> {
    let mut rights = BTreeSet::new();
    let mut add = |namespace: &str, group, resource, verbs: &[&'static str]| {
        rights.extend(verbs.iter().map(|verb| RequiredPermission {
            namespace: namespace.to_owned(),
            group,
            resource,
            verb,
            name: String::new(),
        }));
    };
    let has_same_names = config.sources.iter().any(|it| it.same_name);
    let mirrors = config.mirror_namespace.as_ref().map(ToString::to_string);
    let places = [mirrors, has_same_names.then(String::new)];
    let writes_endpoints = config.sources.iter().any(|it| it.write_endpoints);
    for place in places.iter().flatten() {
        add(place, "", "services", &OF_MIRRORS);
        add(place, "discovery.k8s.io", "endpointslices", &OF_MIRRORS);
        add(place, "events.k8s.io", "events", &["create"]);
        if writes_endpoints {
            add(place, "", "endpoints", &OF_MIRRORS);
        }
    }
    if config.sources.iter().any(|it| it.create_namespace) {
        add("", "", "namespaces", &["create"]);
    }
    if config.global.is_some() {
        add("", "", "services", &["list", "watch"]);
        add("", "discovery.k8s.io", "endpointslices", &["list", "watch"]);
    }
    if config.cluster_set.is_some() {
        let group = "multicluster.x-k8s.io";
        add("", group, "serviceexports", &["list", "watch"]);
        let verbs = ["list", "watch", "create", "update", "delete"];
        add("", group, "serviceimports", &verbs);
        add("", group, "serviceexports/status", &["update"]);
        add("", group, "serviceimports/status", &["update"]);
        add("", "", "services", &verbs);
        add("", "discovery.k8s.io", "endpointslices", &verbs);
        add("", "", "namespaces", &["list", "watch"]);
    }
    rights
}

async fn ask(
    cluster: &Cluster,
    user: Option<&Value>,
    rights: BTreeSet<RequiredPermission>,
    (who, page): (&str, &str),
) -> Vec<Finding> {
    let mut denied = BTreeSet::new();
    let n_rights = rights.len();
    for right in rights {
        let (resource, subresource) = right
            .resource
            .split_once('/')
            .unwrap_or((right.resource, ""));
        let attributes = json!({
            "namespace": right.namespace,
            "group": right.group,
            "resource": resource,
            "subresource": subresource,
            "verb": right.verb,
            "name": right.name,
        });
        match cluster.allows(user, &attributes).await {
            Ok(true) => {}
            Ok(false) => {
                denied.insert(right);
            }
            Err(error) => {
                return vec![Finding::warning(
                    CHECK,
                    format!("those of {who} are not known: {error:#}"),
                    (
                        "allow create of subjectaccessreviews for this check",
                        "cli.md#access",
                    ),
                )];
            }
        }
    }
    judged(&denied, n_rights, (who, page))
}

/// A finding for each resource with verbs that are denied.
fn judged(
    denied: &BTreeSet<RequiredPermission>,
    n_rights: usize,
    (who, page): (&str, &str),
) -> Vec<Finding> {
    if denied.is_empty() {
        return vec![Finding::ok(
            CHECK,
            format!("{who} has all {n_rights} that it needs"),
        )];
    }
    let mut groups: BTreeMap<(String, &str, &str), Vec<&str>> = BTreeMap::new();
    for right in denied {
        let key = (right.namespace.clone(), right.group, right.resource);
        groups.entry(key).or_default().push(right.verb);
    }
    let findings = groups
        .into_iter()
        .map(|((namespace, group, resource), verbs)| {
            let resource = if group.is_empty() {
                resource.to_owned()
            } else {
                format!("{resource}.{group}")
            };
            let place = match namespace.as_str() {
                "" => "all namespaces".to_owned(),
                namespace => format!("namespace {namespace}"),
            };
            let verbs = verbs.join(", ");
            let message = format!("{who} lacks {verbs} of {resource} in {place}");
            Finding::failed(CHECK, message, ("apply the manifests that grant it", page))
        });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{judged, needed};
    use crate::output::Mark;

    fn of(config: &str) -> BTreeSet<String> {
        let rights = needed(&serde_saphyr::from_str(config).unwrap());
        rights
            .into_iter()
            .map(|it| format!("{} {} {}", it.namespace, it.resource, it.verb))
            .collect()
    }

    #[test]
    fn the_needed_rights_follow_from_the_configuration() {
        let plain = of("mirrorNamespace: mirrors\nsources: []\n");
        assert_eq!(plain.len(), 13);
        assert!(plain.contains("mirrors endpointslices delete"));
        let same = "sources:\n- {name: e, url: http://e, sameName: true, createNamespace: true, \
            writeEndpoints: true}\nglobal: {cluster: local}\n";
        let same = of(same);
        for wanted in [
            " services update",
            " endpoints create",
            " namespaces create",
        ] {
            assert!(same.contains(wanted), "{wanted}: {same:?}");
        }
        let set = of("clusterSet: {cluster: local}\nsources: [{name: e, url: http://e}]\n");
        for wanted in [
            " serviceexports/status update",
            " serviceimports delete",
            " services create",
            " namespaces watch",
        ] {
            assert!(set.contains(wanted), "{wanted}: {set:?}");
        }
    }

    #[test]
    fn denied_verbs_are_named_by_resource() {
        let config = serde_saphyr::from_str("mirrorNamespace: mirrors").unwrap();
        let rights = needed(&config);
        let denied = rights
            .iter()
            .filter(|it| ["update", "delete"].contains(&it.verb));
        let denied: BTreeSet<_> = denied.cloned().collect();
        let found = judged(&denied, rights.len(), ("it", "install.md"));
        assert_eq!(found.len(), 2);
        let wanted = "it lacks delete, update of services in namespace mirrors";
        assert_eq!(found[0].message, wanted);
        let good = judged(&BTreeSet::new(), 13, ("it", "install.md"));
        assert_eq!(good[0].mark, Mark::Ok);
    }
}
