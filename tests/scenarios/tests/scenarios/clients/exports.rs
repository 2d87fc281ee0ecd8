//! Clients of an emitter with `--service-exports`: an export appears and goes without an event of
//! its Service.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::json;

use super::change::{Change, Report, What};
use super::informers::{Informers, Lists, Reached};
use super::kube_rs::Watchers;
use super::kubectl::Watch;
use super::proxy::Proxy;
use crate::lab::{Cluster, Lab, Program, eventually, free_port, program};
use crate::multi_cluster_services::{API, export, install};
use crate::stream::client;

const SERVICES: [&str; 3] = ["s0", "s1", "s2"];

/// Turns of exports while all clients are connected.
const N_TURNS: usize = 12;

/// Clients of every kind behind one proxy.
struct Clients {
    informers: Vec<Informers>,
    watchers: Watchers,
}

pub(crate) async fn every_client_is_told_of_exports_that_come_and_go(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    install(&east).await?;
    for name in SERVICES {
        east.create_service(name).await?;
        east.set_endpoints(name, &["10.1.0.1"]).await?;
    }
    let mut turns = Turns::default();
    turns.turn(&east, "s0").await?;
    let emitter = emitter(&lab, &east)?;
    emitter.ready().await?;
    let address = emitter.url.trim_start_matches("http://").parse()?;
    let proxy = Proxy::new(address).await?;
    let clients = Clients::start(&lab, &proxy).await?;
    let kubectl = east.plane.kubectl().for_server(&emitter.url);
    let words = "get services -n demo -w --output-watch-events --no-headers";
    let mut watch = Watch::start(&kubectl, words)?;
    ensure!(watch.line().await?.starts_with("ADDED s0 "));

    for i in 0..N_TURNS {
        let name = SERVICES[i % SERVICES.len()];
        let is_exported = turns.turn(&east, name).await?;
        let line = watch.line().await?;
        let told = if is_exported { "ADDED" } else { "DELETED" };
        ensure!(line.starts_with(&format!("{told} {name} ")), "{line}");
        // A change of what is exported, between two turns.
        if let Some(exported) = turns.exported.first() {
            let patch = json!({"metadata": {"annotations": {"turn": i.to_string()}}});
            let key = format!("demo/{exported}");
            east.patch_service(&key, &patch.to_string()).await?;
            ensure!(watch.line().await?.starts_with("MODIFIED"));
        }
    }
    clients.are_told(&turns, true).await?;
    // Clients that are cut off list again, or go on, and miss nothing.
    for name in SERVICES {
        proxy.cut(true);
        turns.turn(&east, name).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        proxy.cut(false);
        turns.turn(&east, name).await?;
        turns.turn(&east, name).await?;
    }
    clients.are_told(&turns, false).await
}

fn emitter(lab: &Lab, east: &Cluster) -> anyhow::Result<Program> {
    let port = free_port()?;
    let mut command = Command::new(program("emitter")?);
    command.args(["--service-exports", "--fields=all", "--anonymous-auth"]);
    command.args(["--secure-port=0", "--insecure-bind-address=127.0.0.1"]);
    command.arg(format!("--insecure-port={port}"));
    command.arg("--kubeconfig").arg(east.plane.kubeconfig());
    lab.start("emitter", command, Some(port))
}

/// Services that are exported, and how often each was turned.
#[derive(Default)]
struct Turns {
    exported: BTreeSet<&'static str>,
    counts: BTreeMap<&'static str, usize>,
}

impl Turns {
    /// Exports a Service, or ends its export; returns whether it is exported now.
    async fn turn(&mut self, east: &Cluster, name: &'static str) -> anyhow::Result<bool> {
        *self.counts.entry(name).or_default() += 1;
        if self.exported.remove(name) {
            east.delete(&format!("{API}/serviceexports/{name}")).await?;
            return Ok(false);
        }
        self.exported.insert(name);
        export(east, name, &json!({})).await?;
        Ok(true)
    }
}

impl Clients {
    async fn start(lab: &Lab, proxy: &Proxy) -> anyhow::Result<Self> {
        let url = format!("http://{}", proxy.address);
        let mut informers = Vec::new();
        for lists in [Lists::Listed, Lists::Streamed] {
            let reached = Reached {
                name: "exports",
                url: url.clone(),
                authority: None,
                token: None,
                namespaces: false,
            };
            informers.push(Informers::start(lab, &reached, lists).await?);
        }
        let watchers = Watchers::start("exports", &client(&url)?);
        for it in &informers {
            it.ready().await?;
        }
        eventually("watchers are ready", async || watchers.check_ready()).await?;
        Ok(Self {
            informers,
            watchers,
        })
    }

    /// Every client knows what is exported; those that were never cut off listed once, and were
    /// told each turn once.
    async fn are_told(&self, turns: &Turns, was_connected: bool) -> anyhow::Result<()> {
        eventually("every client is told", async || {
            let mut reports = self.watchers.reports()?;
            for it in &self.informers {
                reports.extend(it.reports().await?);
            }
            ensure!(20 < reports.len(), "{} reports", reports.len());
            for report in reports {
                check(&report, turns, was_connected)?;
            }
            Ok(())
        })
        .await
    }
}

fn check(report: &Report, turns: &Turns, was_connected: bool) -> anyhow::Result<()> {
    let Report { name, resource, .. } = report;
    let is_of = |key: &str, service: &str| {
        key == format!("demo/{service}") || key == format!("demo/{service}-1")
    };
    let known = report.objects.keys();
    let known: BTreeSet<_> = known
        .filter_map(|key| SERVICES.into_iter().find(|it| is_of(key, it)))
        .collect();
    let has_objects = resource.is_some_and(|it| it.plural() != "endpoints");
    let expected = if has_objects {
        turns.exported.clone()
    } else {
        BTreeSet::new()
    };
    ensure!(
        known == expected,
        "{name} knows {known:?}, not {expected:?}"
    );
    // What an export shows has the resource version of its last change, which is older.
    let is_wrong = |it: &&String| !it.contains(" after ") || it.contains("bookmark");
    let wrongs: Vec<_> = report.wrongs.iter().filter(is_wrong).collect();
    ensure!(!was_connected || wrongs.is_empty(), "{name}: {wrongs:?}");
    let is_back = report.wrongs.iter().any(|it| it.contains("went from"));
    ensure!(!is_back, "{name}: {:?}", report.wrongs);
    if !was_connected || !has_objects {
        return Ok(());
    }
    ensure!(
        report.n_lists == 1,
        "{name} listed {} times",
        report.n_lists
    );
    for service in SERVICES {
        let changes = report.changes.iter().filter(|it| is_of(&it.key, service));
        let n_told = n_turns(changes, service == "s0");
        // The first turn of s0 was before the list.
        let n_turns = turns.counts[service] - usize::from(service == "s0");
        ensure!(
            n_told == n_turns,
            "{name}: {service}: {n_told} of {n_turns} turns"
        );
    }
    Ok(())
}

/// Returns the number of times that a Service was shown or hidden, by the events of a client.
fn n_turns<'a>(changes: impl Iterator<Item = &'a Change>, mut is_shown: bool) -> usize {
    let mut n_turns = 0;
    for change in changes {
        let shows = change.what != What::Deleted;
        n_turns += usize::from(shows != is_shown);
        is_shown = shows;
    }
    n_turns
}
