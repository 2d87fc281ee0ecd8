//! Ways to break a source that leave something answering, or nothing that says so: the
//! view says what is going on, nothing goes, and all is as before afterwards.

use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;

use super::Playground;
use crate::lab::{eventually, meanwhile};

const SOURCE_DISCONNECTED: &str = "not followed; mirrors stay as they are, trying again";
const UPSTREAM_KEPT: &str = "source east: its emitter has lost its API server and serves what it \
                             knew; mirrors stay as they are: cannot";

/// A way to break a source, and what is said of it.
struct Fault {
    name: &'static str,
    /// By whom it is broken.
    done: &'static str,
    /// By the view, and by the reflector.
    words: &'static [&'static str],
    /// How often patience is lost before it is said.
    n_waits: usize,
}

pub(crate) async fn an_emitter_that_hangs_is_noticed_and_nothing_goes(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let playground = Playground::start(&scene, "--plain --sources 1 --churn 0").await?;
    playground.numbers_are_kubectls(1).await?;
    let hang = Fault {
        name: "hang",
        done: "east: its emitter hangs, which is noticed after 90 seconds of silence",
        words: &[SOURCE_DISCONNECTED, "no answer within"],
        n_waits: 3,
    };
    playground.breaks_and_heals(&hang).await?;
    playground.leaves_nothing("INT").await
}

pub(crate) async fn an_emitter_that_serves_less_or_only_what_it_knew_removes_nothing(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let playground = Playground::start(&scene, "--plain --sources 1 --churn 0").await?;
    playground.numbers_are_kubectls(1).await?;
    let lost = Fault {
        name: "apiserver",
        done: "east: its API server is stopped, its emitter runs",
        words: &["UpstreamDisconnected: ", UPSTREAM_KEPT, "no connection"],
        n_waits: 1,
    };
    playground.breaks_and_heals(&lost).await?;
    // It begins its history in the past, where all is as before.
    let empty = Fault {
        name: "empty",
        done: "east: its emitter runs with a selector that nothing has",
        words: &["DeletionHeld: "],
        n_waits: 1,
    };
    playground.breaks_and_heals(&empty).await?;
    playground.leaves_nothing("INT").await
}

impl Playground {
    async fn breaks_and_heals(&self, fault: &Fault) -> anyhow::Result<()> {
        let line = self.line("-l heliograph.dev/source=east")?;
        let identities = format!("{line} -o jsonpath='{{.items[*].metadata.uid}}'");
        let before = self.type_in(&identities).await?;
        let n_mirrors = before.split_whitespace().count();
        ensure!(n_mirrors == 12, "{n_mirrors} mirrors");
        let is_as_before = async || {
            let now = self.type_in(&identities).await?;
            ensure!(now == before, "before:\n{before}\nnow:\n{now}");
            Ok(())
        };

        let line = format!("{} {}", self.line("break east")?, fault.name);
        let answer = self.type_in(&line).await?;
        ensure!(answer.contains(fault.done), "{answer}");
        self.says(fault).await.with_context(|| fault.name)?;
        meanwhile("every mirror is there", is_as_before).await?;

        self.type_line_with("heal east").await?;
        eventually("all is well again", async || {
            let status = self.type_line_with("playground status").await?;
            let left = fault.words.iter().find(|it| status.contains(**it));
            ensure!(left.is_none() && status.contains(" synced "), "{status}");
            Ok(())
        })
        .await?;
        is_as_before().await?;
        self.follows_east(fault).await
    }

    /// The view, in the reflector's own words.
    async fn says(&self, fault: &Fault) -> anyhow::Result<()> {
        let mut n_waits = 0;
        loop {
            let said = eventually("the view says so", async || {
                let status = self.type_line_with("playground status").await?;
                let asked = self.reflector_status().await?;
                for word in fault.words {
                    ensure!(
                        status.contains(word) && super::has_reason(&asked, word),
                        "{word}: {status}\n{asked}"
                    );
                }
                Ok(())
            });
            n_waits += 1;
            match said.await {
                Err(_) if n_waits < fault.n_waits => {}
                said => return said,
            }
        }
    }

    /// What is exported now is mirrored, and what is not any more is not.
    async fn follows_east(&self, fault: &Fault) -> anyhow::Result<()> {
        let export = self.line("label services,endpointslices")?;
        self.type_in(&export).await?;
        let after = format!("internal is mirrored after {}", fault.name);
        self.is_mirrored("internal", true).await.context(after)?;
        let hide = export.replace("export=true", "export-");
        ensure!(hide != export, "{export}");
        self.type_in(&hide).await?;
        self.is_mirrored("internal", false).await
    }
}
