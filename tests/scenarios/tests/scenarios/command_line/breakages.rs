//! Breakages that `heliograph check` names, as docs/check-breakages.md lists them.

mod clocks;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use serde_json::json;

use super::Engineer;
use crate::cluster::Cluster;
use crate::command_line::kubelet::Kubelet;
use crate::lab::{Lab, Program, eventually};
use crate::manifests::repository;

const CONFIG_MAPS: &str = "/api/v1/namespaces/heliograph/configmaps";

/// Checks of both clusters, and the rows of the page.
pub(super) struct Checks<'a> {
    engineer: &'a Engineer,
    words: String,
    /// Check and line by breakage.
    rows: BTreeMap<String, (String, String)>,
}

impl<'a> Checks<'a> {
    pub(super) fn new(engineer: &'a Engineer, words: String) -> anyhow::Result<Self> {
        let page = std::fs::read_to_string(repository("docs/check-breakages.md"))?;
        let rows = page.lines().filter(|it| it.contains("| `check "));
        let rows: anyhow::Result<_> = rows.map(row).collect();
        Ok(Self {
            engineer,
            words,
            rows: rows?,
        })
    }

    /// Waits until a check tells a breakage as the page says.
    async fn found(&mut self, breakage: &str) -> anyhow::Result<()> {
        self.found_by(self.engineer, breakage).await
    }

    /// The same, with another kubeconfig.
    async fn found_by(&mut self, engineer: &Engineer, breakage: &str) -> anyhow::Result<()> {
        let row = self.rows.remove(breakage);
        let (check, line) = row.with_context(|| format!("the page has no row: {breakage}"))?;
        eventually(breakage, async || {
            let found = engineer.check(&self.words).await?;
            let is_it = |(name, result, said): &(String, String, String)| {
                *name == check && result != "ok" && said.contains(&line)
            };
            ensure!(found.iter().any(is_it), "{check}: {line}: {found:#?}");
            Ok(())
        })
        .await
    }

    async fn all_is_well(&self) -> anyhow::Result<()> {
        let found = self.engineer.check(&self.words).await?;
        let is_ok = |check: &str, message: &str| {
            let mut named = found.iter().filter(|it| it.0 == check && it.1 == "ok");
            named.any(|it| it.2.contains(message))
        };
        for (check, message) in [
            ("sources", "source east is synced, 1 Services"),
            ("identity", "source east is cluster east"),
            ("permissions", "has all"),
            ("address ranges", "do not overlap"),
            ("certificates", "source east ends in"),
            ("problems", "reports none"),
            ("clocks", "agree"),
        ] {
            ensure!(is_ok(check, message), "{check}: {message}: {found:#?}");
        }
        Ok(())
    }

    /// Causes each breakage of the page, one after the other, and looks for its line.
    pub(super) async fn faults_are_found(
        mut self,
        lab: &Lab,
        (kubelet, emitter): (&Kubelet, Program),
        (east, local): (&Cluster, &Cluster),
    ) -> anyhow::Result<()> {
        self.all_is_well().await?;
        // No kubelet here runs the Deployments' own pods.
        self.found("No replica is ready").await?;
        // The emitter has a port that the manifests do not allow.
        let policy = "A NetworkPolicy keeps the reflector from the emitter";
        self.found(policy).await?;
        let node = json!({"metadata": {"name": "n"}, "spec": {"podCIDR": "10.1.0.0/24",
            "podCIDRs": ["10.1.0.0/24"]}});
        for cluster in [east, local] {
            cluster.post("/api/v1/nodes", &node.to_string()).await?;
        }
        self.found("Pod CIDRs of two clusters overlap").await?;
        self.missing_rights(local).await?;
        self.files_of_the_system(local).await?;
        self.others_in_the_way(local).await?;
        self.another_clock(lab, (east, local)).await?;
        self.files_of_the_programs(kubelet, &emitter).await?;
        emitter.stop().await?;
        self.found("The emitter is stopped").await?;
        self.files_of_the_reflector(local).await?;
        let left: BTreeSet<_> = self.rows.keys().collect();
        ensure!(left.is_empty(), "rows that nothing causes: {left:?}");
        Ok(())
    }

    async fn missing_rights(&mut self, local: &Cluster) -> anyhow::Result<()> {
        let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/mirrors/roles";
        let rules = json!({"rules": [{"apiGroups": [""], "resources": ["services"],
            "verbs": ["list", "watch", "get", "create", "update"]}]});
        let role = format!("{roles}/heliograph-reflector");
        local.patch(&role, &rules.to_string()).await?;
        self.found("The right to delete mirrors is missing").await?;
        self.found("The right to EndpointSlices is missing").await
    }

    async fn files_of_the_system(&mut self, local: &Cluster) -> anyhow::Result<()> {
        let maps = "/api/v1/namespaces/kube-system/configmaps";
        let corefile = json!({"metadata": {"name": "coredns"}, "data": {"Corefile": "forward . /etc/resolv.conf"}});
        local.post(maps, &corefile.to_string()).await?;
        self.found("The Corefile has no recipe").await?;
        let rewrite = |to: &str| format!("rewrite name regex ^(.+)$ {{1}}east-{{2}}-x.{to}.svc.x");
        let path = format!("{maps}/coredns");
        let corefile = json!({"data": {"Corefile": rewrite("elsewhere")}});
        local.patch(&path, &corefile.to_string()).await?;
        let elsewhere = "The recipe of the Corefile leads to another namespace";
        self.found(elsewhere).await?;
        let corefile = json!({"data": {"Corefile": rewrite("mirrors")}});
        local.patch(&path, &corefile.to_string()).await?;
        self.found("The recipe of the Corefile rewrites no answers")
            .await?;
        let proxy = json!({"metadata": {"name": "kube-proxy"},
            "data": {"config.conf": "mode: userspace"}});
        local.post(maps, &proxy.to_string()).await?;
        self.found("kube-proxy has a mode that reads no EndpointSlices")
            .await
    }

    async fn others_in_the_way(&mut self, local: &Cluster) -> anyhow::Result<()> {
        let path = "/api/v1/namespaces/mirrors/resourcequotas";
        let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"count/services": "1"}}});
        local.post(path, &quota.to_string()).await?;
        // No controller counts quotas here.
        let counts = json!({"count/services": "1"});
        let status = json!({"status": {"hard": counts, "used": counts}});
        let path = format!("{path}/q/status");
        local.patch(&path, &status.to_string()).await?;
        self.found("A ResourceQuota is used up").await?;
        let rival = json!({"metadata": {"name": "old"}, "spec": {
            "selector": {"matchLabels": {"app": "old"}},
            "template": {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [
                {"name": "old", "image": "example/semaphore-service-mirror:1"}]}},
        }});
        let path = "/apis/apps/v1/namespaces/default/deployments";
        local.post(path, &rival.to_string()).await?;
        self.found("A predecessor writes the same objects").await
    }

    /// Files of the ConfigMap that the reflector mounts; they are as before in the end.
    async fn files_of_the_reflector(&mut self, local: &Cluster) -> anyhow::Result<()> {
        let path = format!("{CONFIG_MAPS}/source-api");
        let before = local.read(&path).await?["data"].take();
        let files = before.as_object().context("it has files")?;
        let text = files["config.yaml"].as_str().context("it has one")?;
        let certificate = files.keys().find(|it| it.ends_with(".crt"));
        let certificate = certificate.context("link has written a certificate")?;
        let moved = text.replace("mirrorNamespace: mirrors", "mirrorNamespace: elsewhere");
        ensure!(moved != text, "{text}");
        for (breakage, file, broken) in [
            (
                "The CA certificate of a source has expired",
                certificate.as_str(),
                expired()?,
            ),
            (
                "The CA certificate of a source is none",
                certificate.as_str(),
                "none".to_owned(),
            ),
            ("The mirror namespace is missing", "config.yaml", moved),
            (
                "The CRDs of the Multi-Cluster Services API are missing",
                "config.yaml",
                format!("{text}\nclusterSet: {{cluster: local}}\n"),
            ),
            (
                "The CRD Source is missing",
                "config.yaml",
                format!("{text}\nsourcesFromCRD: {{namespace: heliograph}}\n"),
            ),
            (
                "The configuration has an unknown key",
                "config.yaml",
                format!("{text}\nsauces: []\n"),
            ),
        ] {
            let data = json!({"data": {file: broken}});
            local.patch(&path, &data.to_string()).await?;
            self.found(breakage).await?;
            let data = json!({"data": before});
            local.patch(&path, &data.to_string()).await?;
        }
        Ok(())
    }
}

fn row(line: &str) -> anyhow::Result<(String, (String, String))> {
    let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [breakage, view, line, remedy] = cells.as_slice() else {
        anyhow::bail!("not four cells: {line}");
    };
    ensure!(!remedy.is_empty(), "{breakage} has no remedy");
    let check = view
        .trim_matches('`')
        .strip_prefix("check ")
        .context("a check")?;
    // Names of checks are words, and the page joins them.
    let check = check.replace('-', " ").replace("kube proxy", "kube-proxy");
    let line = line.trim_matches('`').to_owned();
    Ok(((*breakage).to_owned(), (check, line)))
}

/// A CA certificate that ended long ago.
fn expired() -> anyhow::Result<String> {
    let mut params = rcgen::CertificateParams::new(Vec::new())?;
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let key = rcgen::KeyPair::generate()?;
    Ok(params.self_signed(&key)?.pem())
}
