//! Commands that pages show, and codes with which programs exit.
//!
//! Scenarios run the commands of the pages about installing (`walk`), the playground and the
//! predecessors. Here the rest is at least understood: each flag exists, and takes that value.

mod pages;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::configuration::ByFile;
use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, eventually, program};
use crate::manifests::{quiet_cluster, repository};
use pages::Shown;

async fn run(name: &str, words: &[&str]) -> anyhow::Result<Output> {
    let output = Command::new(program(name)?)
        .args(words)
        .env_remove("KUBECONFIG")
        .kill_on_drop(true)
        .output();
    Ok(output.await?)
}

pub(crate) async fn every_command_of_a_page_is_understood(_: Arc<Scene>) -> anyhow::Result<()> {
    let shown = pages::all()?;
    ensure!(40 < shown.len(), "only {} commands are found", shown.len());
    let mut wrong = Vec::new();
    for Shown {
        place,
        program: name,
        words,
        variables,
    } in shown
    {
        // Help is printed where all that stands before it is right.
        let output = Command::new(program(&name)?)
            .args(&words)
            .arg("--help")
            .envs(variables)
            .env("HOME", "/nonexistent")
            .env_remove("KUBECONFIG")
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            wrong.push(format!("{place}: {name} {}\n{said}", words.join(" ")));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Rows of the table of exit codes: command, code and condition.
fn documented() -> anyhow::Result<BTreeSet<String>> {
    let page = std::fs::read_to_string(repository("docs/cli.md"))?;
    let (_, section) = page.split_once("\n## Exit codes\n").context("a section")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|it| it.starts_with("| `"));
    let rows = rows.map(|it| it.trim_matches(['|', ' ']).replace('`', ""));
    Ok(rows.collect())
}

/// Commands of the table that were tried.
struct Tried {
    documented: BTreeSet<String>,
    tried: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Tried {
    /// Runs a command in the state of a row, whose code it must return.
    async fn row(&mut self, row: &str, command: &str) -> anyhow::Result<()> {
        ensure!(self.documented.contains(row), "no row {row:?}");
        let code = row.split(" | ").nth(1).context("a code")?;
        let words: Vec<_> = command.split_whitespace().collect();
        let (name, words) = words.split_first().context("a program")?;
        let output = run(name, words).await?;
        if output.status.code().map(|it| it.to_string()).as_deref() != Some(code) {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            self.wrong.push(format!("{row}: {}\n{said}", output.status));
        }
        self.tried.insert(row.to_owned());
        Ok(())
    }

    /// All codes were right, and all rows tried.
    fn end(self) -> anyhow::Result<()> {
        ensure!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        let untried: Vec<_> = self.documented.difference(&self.tried).collect();
        ensure!(untried.is_empty(), "not tried: {untried:#?}");
        Ok(())
    }
}

/// A local cluster, and a source with one Service.
async fn clusters(scene: &Scene) -> anyhow::Result<(Cluster, Cluster)> {
    let (east, local) =
        tokio::try_join!(quiet_cluster(scene, "east"), quiet_cluster(scene, "local"))?;
    east.create_namespace("demo").await?;
    for namespace in ["demo", MIRRORS, "heliograph"] {
        local.create_namespace(namespace).await?;
    }
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    Ok((east, local))
}

/// Configurations of one source: right, wrong, and of a source that does not answer.
struct Files {
    right: String,
    wrong: String,
    unread: String,
}

impl Files {
    fn write(directory: &Path, config: &Value) -> anyhow::Result<Self> {
        let write = |name: &str, text: &str| -> anyhow::Result<String> {
            let path = directory.join(name);
            std::fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let nowhere = "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], contexts: \
                       [{name: c, context: {cluster: c}}], current-context: c}";
        let mut unread = config.clone();
        unread["sources"][0]["kubeconfig"] = json!(write("nowhere.kubeconfig", nowhere)?);
        Ok(Self {
            right: write("right.yaml", &config.to_string())?,
            wrong: write("wrong.yaml", "sources: [")?,
            unread: write("unread.yaml", &unread.to_string())?,
        })
    }
}

fn plan(program: &str, kubeconfig: &str, file: &str) -> String {
    let flag = match program {
        "heliograph" => "--filename",
        _ => "--config",
    };
    format!("{program} plan --kubeconfig {kubeconfig} {flag} {file}")
}

async fn of_plans(tried: &mut Tried, kubeconfig: &str, files: &Files) -> anyhow::Result<()> {
    for program in ["heliograph", "reflector"] {
        let changes = format!("{program} plan | 2 | something would be written, or cannot be");
        let unread =
            format!("{program} plan | 1 | a source cannot be read, or the configuration is wrong");
        for (row, file) in [
            (&changes, &files.right),
            (&unread, &files.unread),
            (&unread, &files.wrong),
        ] {
            tried.row(row, &plan(program, kubeconfig, file)).await?;
        }
    }
    Ok(())
}

pub(crate) async fn programs_exit_with_the_codes_of_the_page(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let (east, local) = clusters(&scene).await?;
    let lab = Lab::new(Arc::clone(&scene))?;
    let config = json!({"mirrorNamespace": MIRRORS, "sources": [{"name": "east", "prefix": "east",
        "kubeconfig": east.plane.kubeconfig(), "selector": format!("{EXPORT}=true")}]});
    let keeper = Keeper::new("codes")?;
    let files = Files::write(keeper.directory(), &config)?;
    let kubeconfig = local.plane.kubeconfig().display().to_string();
    let mut tried = Tried {
        documented: documented()?,
        tried: BTreeSet::new(),
        wrong: Vec::new(),
    };
    of_plans(&mut tried, &kubeconfig, &files).await?;
    let it = ByFile::start(&lab, &local, &config).await?;
    local
        .eventually_has("mirrors/east-demo-73736d-web", &["10.1.0.1"])
        .await?;
    for program in ["heliograph", "reflector"] {
        let row = format!("{program} plan | 0 | nothing would be written");
        let command = plan(program, &kubeconfig, &files.right);
        tried.row(&row, &command).await?;
    }
    of_a_running_reflector(&mut tried, &it).await?;
    let too_long = "l".repeat(50);
    east.create_service(&too_long).await?;
    eventually("there is a problem", async || {
        let status = it.reflector.status().await?.to_string();
        ensure!(status.contains("NameTooLong"), "{status}");
        Ok(())
    })
    .await?;
    of_a_problem(&mut tried, &it, &too_long).await?;
    of_checks(&mut tried, &kubeconfig, &it).await?;
    of_command_lines(&mut tried, (&files.right, &files.wrong)).await?;
    it.reflector.stop().await?;
    tried.end()
}

const NOWHERE: &str = "http://127.0.0.1:1";

async fn of_a_running_reflector(tried: &mut Tried, it: &ByFile) -> anyhow::Result<()> {
    let url = &it.reflector.url;
    for program in ["heliograph", "reflector"] {
        let status = |it: &str| format!("{program} status | {it}");
        let explain = |it: &str| format!("{program} explain | {it}");
        let asked = format!("{program} status --wait 20s --exit-code --server {url}");
        tried
            .row(
                &status("0 | the reflector answers, and with --exit-code all is well"),
                &asked,
            )
            .await?;
        let asked = format!("{program} status --server {NOWHERE}");
        tried.row(&status("1 | the reflector does not answer, or --wait is over before all sources are synced"), &asked).await?;
        let asked = format!("{program} explain demo/web --server {url}");
        tried
            .row(&explain("0 | the reflector answers"), &asked)
            .await?;
        let asked = format!("{program} explain demo/web --server {NOWHERE}");
        tried
            .row(&explain("1 | the reflector does not answer"), &asked)
            .await?;
    }
    Ok(())
}

async fn of_a_problem(tried: &mut Tried, it: &ByFile, name: &str) -> anyhow::Result<()> {
    let url = &it.reflector.url;
    for program in ["heliograph", "reflector"] {
        let row = |it: &str| format!("{program} status | {it}");
        let asked = format!("{program} status --server {url}");
        tried
            .row(
                &row("0 | the reflector answers, and with --exit-code all is well"),
                &asked,
            )
            .await?;
        let asked = format!("{asked} --exit-code");
        tried
            .row(
                &row("2 | with --exit-code: a problem, or a source that is not synced"),
                &asked,
            )
            .await?;
    }
    let asked = format!("heliograph explain demo/{name} --exit-code --server {url}");
    let row = "heliograph explain | 2 | with --exit-code: a problem";
    tried.row(row, &asked).await
}

async fn of_checks(tried: &mut Tried, kubeconfig: &str, it: &ByFile) -> anyhow::Result<()> {
    let check = format!("heliograph check --kubeconfig {kubeconfig}");
    let url = &it.reflector.url;
    let row = "heliograph check | 2 | a check fails";
    tried.row(row, &format!("{check} --server {url}")).await?;
    let row = "heliograph check | 0 | no check fails";
    tried.row(row, &format!("{check} --pre")).await?;
    let row = "heliograph check | 1 | a cluster cannot be read";
    tried
        .row(row, "heliograph check --kubeconfig /nowhere/kubeconfig")
        .await
}

async fn of_command_lines(tried: &mut Tried, (right, wrong): (&str, &str)) -> anyhow::Result<()> {
    for program in ["heliograph", "reflector", "emitter"] {
        let row =
            format!("{program} | 1 | the command line is wrong, or the program ends by an error");
        tried.row(&row, &format!("{program} --nonsense")).await?;
        let row = format!("{program} | 0 | it prints help or its version");
        for flag in ["--help", "--version"] {
            tried.row(&row, &format!("{program} {flag}")).await?;
        }
    }
    let row = "reflector config | 1 | the configuration is wrong";
    tried
        .row(row, &format!("reflector config --config {wrong}"))
        .await?;
    let row = "reflector config | 0 | the configuration is right";
    tried
        .row(row, &format!("reflector config --config {right}"))
        .await
}
