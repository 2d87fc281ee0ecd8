//! `heliograph check`: facts about clusters, and the findings that they are.
//!
//! Facts are gathered first; every decision is a pure function of them. A fact that cannot be read
//! is a finding too, never a success.

mod clocks;
mod cluster_dns;
mod facts;
pub(crate) mod finding;
mod fleet;
mod installed;
mod permissions;
mod ranges;
mod resources;
mod sources;
mod traffic;

use std::process::ExitCode;

use crate::PROBLEMS;
use crate::args::{self, Global};
use crate::cluster::Cluster;
use crate::output::{Mark, Printer};

use facts::{Facts, OtherCluster};
use finding::{Finding, text};

/// Runs the subcommand.
pub(crate) async fn run(
    global: &Global,
    asked: &args::Check,
    printer: &Printer,
) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::of(global).await?;
    let mut others = Vec::new();
    for context in &asked.source_context {
        let other = Cluster::of_context(global, context).await?;
        others.push(OtherCluster::read(&other, &global.namespace).await);
    }
    let findings = if asked.pre {
        before_installation(&cluster, &others).await
    } else {
        let facts = Facts::read(&cluster, global, &asked.server, others).await;
        of_installation(&cluster, global, &facts).await
    };
    printer.print(&findings, || text(&findings, printer))?;
    let is_failed = findings.iter().any(|it| it.mark == Mark::Failed);
    Ok(ExitCode::from(if is_failed { PROBLEMS } else { 0 }))
}

/// Findings before anything is installed.
async fn before_installation(cluster: &Cluster, others: &[OtherCluster]) -> Vec<Finding> {
    let local = OtherCluster::read(cluster, "").await;
    let mut findings = vec![installed::kubernetes("local", &local.version)];
    for other in others {
        findings.push(installed::kubernetes(&other.name, &other.version));
    }
    findings.extend(permissions::to_install(cluster).await);
    findings.extend(ranges::findings(&local, others));
    findings.extend(clocks::findings(&local, others));
    findings.extend(traffic::kube_proxy(&facts::kube_proxy(cluster).await));
    findings
}

/// Findings about what is installed.
async fn of_installation(cluster: &Cluster, global: &Global, facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![installed::kubernetes("local", &facts.local.version)];
    for other in &facts.others {
        findings.push(installed::kubernetes(&other.name, &other.version));
    }
    findings.extend(installed::deployments(facts));
    findings.extend(installed::versions(facts));
    findings.extend(installed::rivals(facts));
    findings.extend(resources::findings(facts));
    findings.extend(permissions::of_reflector(cluster, global, facts).await);
    findings.extend(fleet::findings(facts));
    findings.extend(sources::findings(facts));
    findings.extend(ranges::findings(&facts.local, &facts.others));
    findings.extend(clocks::findings(&facts.local, &facts.others));
    findings.extend(cluster_dns::findings(facts));
    findings.extend(traffic::findings(facts));
    findings
}
