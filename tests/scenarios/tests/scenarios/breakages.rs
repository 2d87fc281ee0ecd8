//! The page about breakages: each of its rows is caused, and its line is looked for.
//!
//! | module | causes |
//! |---|---|
//! | `sources` | sources that cannot be read, or not as they should |
//! | `services` | Services that are not mirrored, or not as they are |
//! | `writes` | a local cluster that rejects, changes or keeps objects |
//! | `members` | members of global Services that disagree |
//! | `starts` | flags and files with which a program does not start |
//!
//! `alerts` checks that the shipped alerts fire for them.

mod alerts;
pub(crate) mod members;
pub(crate) mod services;
pub(crate) mod sources;
pub(crate) mod starts;
mod stub;
mod table;
pub(crate) mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{bail, ensure};
use tokio::process::Command;
use tokio::time::Instant;

use crate::lab::{Cluster, MIRRORS, Program, program};
use crate::reporting::events;

use alerts::Shown;
use table::View;
pub(crate) use table::{Row, Table};

/// Breakages with the scenario that causes them.
const CAUSED: [&[&str]; 5] = [
    &members::BREAKAGES,
    &services::BREAKAGES,
    &sources::BREAKAGES,
    &starts::BREAKAGES,
    &writes::BREAKAGES,
];

/// A source is announced after 30 seconds.
const PATIENCE: Duration = Duration::from_secs(60);

impl Table {
    /// Reads the page, every row of which some scenario causes, and the other way round.
    pub(crate) fn complete() -> anyhow::Result<Self> {
        let table = Self::read()?;
        let caused: BTreeSet<&str> = CAUSED.iter().flat_map(|it| it.iter().copied()).collect();
        let rows: BTreeSet<&str> = table.rows.iter().map(|it| it.breakage.as_str()).collect();
        let without_case: Vec<_> = rows.difference(&caused).collect();
        ensure!(
            without_case.is_empty(),
            "rows without a case: {without_case:#?}"
        );
        let without_row: Vec<_> = caused.difference(&rows).collect();
        ensure!(
            without_row.is_empty(),
            "cases without a row: {without_row:#?}"
        );
        Ok(table)
    }

    /// Waits until the lines of all these breakages are shown.
    async fn is_shown(
        &self,
        breakages: &[&str],
        reflector: &Program,
        local: &Cluster,
    ) -> anyhow::Result<()> {
        let is_asked = |row: &&Row| breakages.contains(&row.breakage.as_str());
        let mut missing: Vec<&Row> = self.rows.iter().filter(is_asked).collect();
        let mut found = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut shown = BTreeMap::new();
            for view in missing.iter().map(|it| &it.view) {
                if !shown.contains_key(view) {
                    shown.insert(view.clone(), text(view, reflector, local).await?);
                }
            }
            missing.retain(|row| {
                let text = &shown[&row.view];
                let line = row.line_in(text);
                found.extend(line.map(|line| Shown::new(&row.breakage, text, line)));
                line.is_none()
            });
            if missing.is_empty() {
                return alerts::fire(&found, reflector).await;
            }
            if deadline < Instant::now() {
                let views: BTreeSet<_> = missing.iter().map(|it| &it.view).collect();
                let texts: Vec<_> = views
                    .iter()
                    .map(|it| format!("{it:?}\n{}", shown[*it]))
                    .collect();
                bail!("not shown: {missing:#?}\nin\n{}", texts.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// What somebody sees who looks there.
async fn text(view: &View, reflector: &Program, local: &Cluster) -> anyhow::Result<String> {
    match view {
        View::Status => heliograph("status", reflector).await,
        View::Explain(service) => heliograph(&format!("explain {service}"), reflector).await,
        View::Event => {
            let mut notes = Vec::new();
            for namespace in [MIRRORS, "demo"] {
                for event in events(local, namespace).await? {
                    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
                    notes.push(format!("{}: {}", text("reason"), text("note")));
                }
            }
            Ok(notes.join("\n"))
        }
        View::Start(_) => bail!("a program that does not start shows nothing else"),
    }
}

pub(crate) async fn heliograph(words: &str, reflector: &Program) -> anyhow::Result<String> {
    let output = Command::new(program("heliograph")?)
        .args(words.split_whitespace())
        .args(["--server", &reflector.url])
        .kill_on_drop(true)
        .output()
        .await?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).into_owned())
}
