//! Checks of the reflector's report: configuration, writes, held deletions and problems.

use reflector::status::{NO_WRITES, REFUSED, Status, by_reason};

use super::facts::Facts;
use super::finding::Finding;

const CHECK: &str = "reflector";
const PAGE: &str = "troubleshooting.md";

/// Findings about the status of the reflector, and about namespaces.
pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = match &facts.status {
        Ok(status) => of_status(status),
        Err(why) => vec![Finding::failed(
            CHECK,
            format!("its status cannot be read: {why}"),
            (
                "see the logs of the reflector, or name its admin port with --server",
                "operating.md",
            ),
        )],
    };
    match &facts.config {
        Ok((config, _)) => {
            let namespace = config.mirror_namespace.as_ref();
            let namespaces = facts.namespaces.as_ref().ok();
            if let (Some(name), Some(all)) = (namespace, namespaces)
                && !all.contains(name.as_str())
            {
                findings.push(Finding::failed(
                    "namespaces",
                    format!("the mirror namespace {name} does not exist"),
                    ("create it: kubectl create namespace", "install.md"),
                ));
            }
        }
        Err(why) => findings.push(Finding::failed(
            "configuration",
            why.clone(),
            (
                "correct the ConfigMap; the reflector keeps what it had",
                "configuration.md",
            ),
        )),
    }
    findings
}

/// Findings about the process: its configuration, its writes and its Lease.
fn of_process(status: &Status) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(why) = &status.configuration.refused {
        findings.push(Finding::failed(
            "configuration",
            format!("{REFUSED}: {why}"),
            (
                "correct the configuration",
                "runbooks.md#heliographconfigurationrefused",
            ),
        ));
    }
    for note in &status.configuration.notes {
        let remedy = (
            "correct the configuration, if that is not wanted",
            "configuration.md",
        );
        findings.push(Finding::warning("configuration", note.clone(), remedy));
    }
    if let Some(why) = &status.write_error {
        findings.push(Finding::failed(
            "writes",
            format!("{NO_WRITES}: {why}"),
            (
                "repair the API server or the permissions",
                "runbooks.md#heliographwritesrejected",
            ),
        ));
    }
    if let Some(why) = &status.lease_error {
        findings.push(Finding::failed(
            "leader election",
            why.clone(),
            (
                "grant the permissions on Leases of the manifests",
                "runbooks.md#heliographnoleader",
            ),
        ));
    }
    findings
}

fn of_status(status: &Status) -> Vec<Finding> {
    let mut findings = of_process(status);
    for held in &status.held {
        findings.push(Finding::warning(
            "held deletions",
            held.to_string(),
            (
                "allow the deletion if it is right",
                "troubleshooting.md#allow-a-held-deletion",
            ),
        ));
    }
    let groups = by_reason(&status.problems);
    for (reason, problems) in &groups {
        let example = problems.first().map_or("", |it| &it.message);
        let message = match problems.len() {
            1 => format!("{reason}: {example}"),
            number => format!("{reason} ({number}), for example: {example}"),
        };
        let page = format!("{PAGE}#{}", reason.to_lowercase());
        let remedy = ("follow the remedy of the page", page.as_str());
        findings.push(Finding::failed("problems", message, remedy));
    }
    if groups.is_empty() && status.leads {
        findings.push(Finding::ok("problems", "the reflector reports none"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::of_status;
    use crate::output::Mark;

    #[test]
    fn problems_are_grouped_and_lead_to_their_section() {
        let problem = |i: usize| json!({"reason": "NameTooLong", "object": "a/b", "source": "east", "message": format!("m{i}")});
        let status = json!({"sources": [], "problems": [problem(0), problem(1)], "queueDepth": 0,
            "leader": true, "mirrors": {"services": 0, "endpointSlices": 0},
            "configuration": {"error": "bad", "warnings": ["plain"]}, "writeError": "etcd is full",
            "held": [{"source": "east", "resource": "services", "deletions": 2, "reason": "r",
                "until": "u"}]});
        let found = of_status(&serde_json::from_value(status).unwrap());
        let checks: Vec<_> = found.iter().map(|it| (it.check, it.mark)).collect();
        let wanted = [
            ("configuration", Mark::Failed),
            ("configuration", Mark::Warning),
            ("writes", Mark::Failed),
            ("held deletions", Mark::Warning),
            ("problems", Mark::Failed),
        ];
        assert_eq!(checks, wanted);
        assert_eq!(found[4].message, "NameTooLong (2), for example: m0");
        assert_eq!(found[4].page, "troubleshooting.md#nametoolong");
    }
}
