//! The step that fails, its cause and its remedy: a function of the facts.

use crate::check::finding::Finding;
use crate::probe::{Failure, Probed, millis};

use super::observed::{Observed, Step};

const NETWORK: &str = "concepts.md";
const DNS: &str = "dns.md";
const TROUBLE: &str = "troubleshooting.md";

/// Returns a finding for each step up to the one that fails.
pub(super) fn findings(observed: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    if observed.endpoints.is_empty() {
        findings.extend(before_connections(observed));
        return findings;
    }
    findings.extend(reached(observed));
    let endpoints: Vec<_> = observed.endpoints.iter().map(endpoint).collect();
    let is_reached = observed.endpoints.iter().any(Probed::is_well);
    findings.extend(endpoints);
    if !is_reached {
        // The ClusterIP and the name lead to the same endpoints.
        return findings;
    }
    let mut is_proxied = true;
    if let Some(probed) = &observed.cluster_ip {
        let finding = cluster_ip(probed);
        is_proxied = probed.is_well();
        findings.push(finding);
    }
    if let Some(probed) = &observed.name {
        findings.push(name(probed, &observed.cluster_ips, is_proxied));
    }
    findings
}

fn after(observed: &Observed, step: Step) -> Option<String> {
    let time = observed.time(step)?;
    Some(format!("after {:.2} s", time.as_secs_f64()))
}

/// Steps that were reached.
fn reached(observed: &Observed) -> Vec<Finding> {
    let service = &observed.service;
    let mirrored = format!("its mirror {} has endpoints", observed.mirror);
    let steps = [
        (Step::Started, "probe", "the server of probes is ready"),
        (Step::Exported, "export", "the reflector reads the Service"),
        (Step::Mirrored, "mirror", &mirrored),
    ];
    let found = steps.into_iter().filter_map(|(step, check, what)| {
        let time = after(observed, step)?;
        Some(Finding::ok(check, format!("{service}: {what} {time}")))
    });
    found.collect()
}

/// The run ended before a connection was tried.
fn before_connections(observed: &Observed) -> Vec<Finding> {
    let mut findings = reached(observed);
    let service = &observed.service;
    if let Some(why) = &observed.waiting {
        findings.push(Finding::failed(
            "probe",
            format!("a pod of the run does not start: {why}"),
            (
                "pull the image on the nodes, name another one with --image, or another namespace \
                 with --probe-namespace",
                "cli.md",
            ),
        ));
    } else if !observed.is_reached(Step::Started) {
        findings.push(Finding::failed(
            "probe",
            "a pod of the run is not ready",
            ("look at the pods of the source cluster", "cli.md"),
        ));
    } else if !observed.is_reached(Step::Exported) {
        findings.push(Finding::failed(
            "export",
            format!("{service} is not exported: the reflector does not read it from the source"),
            (
                "give the emitter a selector that matches --label, allow the namespace in the \
                 view of the reflector, and check that the source is synced: heliograph status",
                TROUBLE,
            ),
        ));
    } else if !observed.is_reached(Step::Mirrored) {
        let why = match observed.problems.first() {
            Some(problem) => problem.clone(),
            None => "no mirror with endpoints in time".to_owned(),
        };
        findings.push(Finding::failed(
            "mirror",
            format!("{service} is exported and not mirrored: {why}"),
            ("follow the steps of heliograph explain", TROUBLE),
        ));
    } else {
        findings.push(Finding::failed(
            "probe",
            "the client pod did not end in time",
            ("look at the pods of the local cluster", "cli.md"),
        ));
    }
    findings
}

/// Returns counts and times of a target.
fn measured(probed: &Probed) -> String {
    let Probed {
        target,
        answered,
        sent,
        ..
    } = probed;
    match &probed.latency {
        Some(it) => format!(
            "{target}: {answered} of {sent} connections, median {}, longest {}",
            millis(it.median),
            millis(it.max)
        ),
        None => format!("{target}: 0 of {sent} connections"),
    }
}

fn endpoint(probed: &Probed) -> Finding {
    let counts = measured(probed);
    let failed = |why: Failure, remedy: &str, page: &str| {
        let message = format!("endpoint {counts}: {}", why.as_str());
        Finding::failed("route", message, (remedy, page))
    };
    match (probed.answered, probed.failure, probed.large_failure) {
        (0, Some(why @ (Failure::Timeout | Failure::Unreachable)), _) => failed(
            why,
            "let nodes of the local cluster reach pod addresses of the source, in both \
             directions, and check NetworkPolicies of both namespaces and firewalls: heliograph \
             carries no traffic",
            NETWORK,
        ),
        (0, Some(why @ (Failure::Refused | Failure::Stranger)), _) => failed(
            why,
            "check that the pod ranges of both clusters do not overlap (heliograph check): \
             another host has the address, or the pod is not ready",
            NETWORK,
        ),
        (0, why, _) => failed(
            why.unwrap_or(Failure::Timeout),
            "check what is between both clusters: firewalls and NetworkPolicies",
            NETWORK,
        ),
        (_, _, Some(_)) => Finding::failed(
            "MTU",
            format!("endpoint {counts}, and a large answer does not arrive"),
            (
                "lower the MTU of the pod networks to that of the way between the clusters, or \
                 let ICMP type 3 code 4 (IPv6: type 2) pass",
                NETWORK,
            ),
        ),
        (_, Some(why), None) => Finding::warning(
            "route",
            format!("endpoint {counts}: {}", why.as_str()),
            ("look for loss between the clusters", NETWORK),
        ),
        (_, None, None) => Finding::ok("route", format!("endpoint {counts}")),
    }
}

fn cluster_ip(probed: &Probed) -> Finding {
    let counts = measured(probed);
    if probed.is_well() {
        return Finding::ok("kube-proxy", format!("ClusterIP {counts}"));
    }
    let why = probed.failure.or(probed.large_failure);
    let why = why.map_or("", Failure::as_str);
    let remedy = (
        "check kube-proxy, or what replaces it, on the node of the client: its pods, its log, and \
         whether it heeds EndpointSlices of other controllers; check egress NetworkPolicies too",
        TROUBLE,
    );
    let message = format!("ClusterIP {counts}: {why}; endpoints answer");
    match probed.answered {
        0 => Finding::failed("kube-proxy", message, remedy),
        _ => Finding::warning("kube-proxy", message, remedy),
    }
}

fn name(probed: &Probed, cluster_ips: &[String], is_proxied: bool) -> Finding {
    let counts = measured(probed);
    let target = &probed.target;
    if probed.failure == Some(Failure::Unresolved) || probed.addresses.is_empty() {
        return Finding::failed(
            "DNS",
            format!("name {target} has no address"),
            (
                "check CoreDNS of the local cluster, and egress to it on port 53",
                DNS,
            ),
        );
    }
    let is_other = |it: &String| !cluster_ips.contains(it);
    if !cluster_ips.is_empty()
        && let Some(other) = probed.addresses.iter().find(|it| is_other(it))
    {
        return Finding::failed(
            "DNS",
            format!("name {target} has the address {other}, and the ClusterIP is another one"),
            ("remove the rewrite or the zone that answers instead", DNS),
        );
    }
    if probed.is_well() {
        return Finding::ok("DNS", format!("name {counts}"));
    }
    let message = format!("name {counts}");
    let remedy = (
        "repair the step before: the name has the right address",
        DNS,
    );
    match is_proxied {
        true => Finding::warning("DNS", message, remedy),
        false => Finding::ok("DNS", format!("name {target} has the ClusterIP")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::findings;
    use crate::output::Mark;
    use crate::probe::{Failure, Latency, Probed};
    use crate::verify::observed::{Observed, Step};

    fn probed(target: &str, failure: Option<Failure>) -> Probed {
        let is_well = failure.is_none();
        Probed {
            target: target.to_owned(),
            addresses: vec!["10.96.0.9".to_owned()],
            sent: 5,
            answered: if is_well { 5 } else { 0 },
            failure,
            latency: is_well.then_some(Latency {
                min: 100,
                median: 1200,
                max: 3000,
            }),
            large_failure: None,
            servers: Vec::new(),
        }
    }

    fn well() -> Observed {
        let mut observed = Observed {
            service: "demo/probe".to_owned(),
            endpoints: vec![probed("10.1.0.5:8080", None)],
            cluster_ip: Some(probed("10.96.0.9:80", None)),
            name: Some(probed("probe.demo.svc:80", None)),
            cluster_ips: vec!["10.96.0.9".to_owned()],
            ..Observed::default()
        };
        for step in [Step::Started, Step::Exported, Step::Mirrored] {
            observed.reach(step, Duration::from_millis(1500));
        }
        observed
    }

    /// Returns the check that fails, with its remedy.
    #[track_caller]
    fn failed(observed: &Observed) -> (&'static str, String) {
        let findings = findings(observed);
        let failed: Vec<_> = findings
            .iter()
            .filter(|it| it.mark == Mark::Failed)
            .collect();
        assert_eq!(failed.len(), 1, "{findings:?}");
        (
            failed[0].check,
            format!("{}: {}", failed[0].message, failed[0].remedy),
        )
    }

    #[test]
    fn all_steps_are_measured() {
        let findings = findings(&well());
        assert!(
            findings.iter().all(|it| it.mark == Mark::Ok),
            "{findings:?}"
        );
        let checks: Vec<_> = findings.iter().map(|it| it.check).collect();
        assert_eq!(
            checks,
            ["probe", "export", "mirror", "route", "kube-proxy", "DNS"]
        );
        assert!(findings[1].message.contains("after 1.50 s"), "{findings:?}");
        assert!(
            findings[3].message.contains("median 1.20 ms"),
            "{findings:?}"
        );
    }

    #[test]
    fn a_pod_that_does_not_start_is_named() {
        let observed = Observed {
            waiting: Some("ErrImagePull: not found".to_owned()),
            ..Observed::default()
        };
        let (check, text) = failed(&observed);
        assert!(check == "probe" && text.contains("ErrImagePull"), "{text}");
    }

    #[test]
    fn a_service_that_is_not_exported_is_named() {
        let mut observed = Observed::default();
        observed.reach(Step::Started, Duration::ZERO);
        let (check, text) = failed(&observed);
        assert!(check == "export" && text.contains("selector"), "{text}");
    }

    #[test]
    fn a_service_that_is_not_mirrored_is_named_with_the_problem() {
        let mut observed = Observed::default();
        observed.reach(Step::Started, Duration::ZERO);
        observed.reach(Step::Exported, Duration::ZERO);
        observed.problems = vec!["namespace demo does not exist".to_owned()];
        let (check, text) = failed(&observed);
        assert!(check == "mirror" && text.contains("demo does not exist"));
    }

    #[test]
    fn no_route_and_an_address_of_another_host_are_different_causes() {
        let mut observed = well();
        observed.endpoints = vec![probed("10.1.0.5:8080", Some(Failure::Timeout))];
        observed.cluster_ip = Some(probed("10.96.0.9:80", Some(Failure::Timeout)));
        let (check, text) = failed(&observed);
        assert!(check == "route" && text.contains("pod addresses"), "{text}");
        observed.endpoints = vec![probed("10.1.0.5:8080", Some(Failure::Stranger))];
        let (check, text) = failed(&observed);
        assert!(check == "route" && text.contains("overlap"), "{text}");
    }

    #[test]
    fn a_large_answer_that_does_not_arrive_is_the_mtu() {
        let mut observed = well();
        observed.endpoints[0].large_failure = Some(Failure::Timeout);
        let (check, text) = failed(&observed);
        assert!(check == "MTU" && text.contains("ICMP"), "{text}");
    }

    #[test]
    fn endpoints_that_answer_without_the_cluster_ip_are_kube_proxy() {
        let mut observed = well();
        observed.cluster_ip = Some(probed("10.96.0.9:80", Some(Failure::Timeout)));
        observed.name = Some(probed("probe.demo.svc:80", Some(Failure::Timeout)));
        let (check, text) = failed(&observed);
        assert!(check == "kube-proxy" && text.contains("endpoints answer"));
    }

    #[test]
    fn a_name_without_or_with_another_address_is_dns() {
        let mut observed = well();
        let mut name = probed("probe.demo.svc:80", Some(Failure::Unresolved));
        name.addresses = Vec::new();
        observed.name = Some(name);
        let (check, text) = failed(&observed);
        assert!(check == "DNS" && text.contains("CoreDNS"), "{text}");
        let mut name = probed("probe.demo.svc:80", None);
        name.addresses = vec!["10.96.0.10".to_owned()];
        observed.name = Some(name);
        let (check, text) = failed(&observed);
        assert!(check == "DNS" && text.contains("rewrite"), "{text}");
    }
}
