//! The playground, as a newcomer meets it: its lines do what they say, its numbers are
//! kubectl's, what it breaks removes nothing, and nothing is left of it.

pub(crate) mod faults;
mod imports;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::assets::{self, Found};
use control_plane::{Keeper, Process, Scene};
use tokio::sync::Mutex;

use crate::lab::{eventually, meanwhile, program};

const SOURCE_DISCONNECTED: &str =
    "Source east is not followed; mirrors stay as they are, trying again";

/// A running playground, and a shell beside it.
struct Playground {
    process: Arc<Mutex<Process>>,
    keeper: Keeper,
    temporary: PathBuf,
    path: String,
}

pub(crate) async fn a_newcomer_plays(scene: Arc<Scene>) -> anyhow::Result<()> {
    let playground = Playground::start(&scene, "--plain --churn 5").await?;
    playground.numbers_are_kubectls(2).await?;
    playground.lines_do_what_they_say().await?;
    for (fault, word) in [
        ("", "no connection"),
        ("corrupt", "is not that of a Kubernetes API server"),
    ] {
        playground.a_fault_removes_nothing(fault, word).await?;
    }
    playground.wrong_names_are_told().await?;
    playground.leaves_nothing("INT").await
}

pub(crate) async fn a_newcomer_plays_on_real_control_planes(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let playground = Playground::start(&scene, "--plain --real --sources 1").await?;
    playground.numbers_are_kubectls(1).await?;
    playground.lines_do_what_they_say().await?;
    playground
        .a_fault_removes_nothing("stop", "no connection")
        .await?;
    playground.leaves_nothing("TERM").await
}

pub(crate) async fn many_sources_are_counted_as_kubectl_counts(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let flags = "--plain --sources 10 --services 50 --churn 5";
    let playground = Playground::start(&scene, flags).await?;
    playground.numbers_are_kubectls(10).await?;
    playground.leaves_nothing("HUP").await
}

pub(crate) async fn a_playground_refuses_bad_input_in_plain_words(
    _: Arc<Scene>,
) -> anyhow::Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let keeper = Keeper::new("empty")?;
    for (line, word) in [
        ("--sources 0", "--sources"),
        ("--sources 101", "--sources"),
        ("--services 2", "--services"),
        ("--real --sources 7", "lower --sources"),
        (&format!("--plain --port {port}"), "already in use"),
        (
            "break east",
            "no playground is running; start one in another terminal",
        ),
        ("heal east", "no playground is running"),
        ("status", "no playground is running"),
        ("break east sideways", "possible values: stop"),
        ("brake east", "unrecognized subcommand"),
    ] {
        let output = Command::new(program("playground")?)
            .args(line.split_whitespace())
            .env("TMPDIR", keeper.directory())
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success(), "{line}: it is content");
        ensure!(
            said.contains(word) && !said.contains("panicked"),
            "{line}: {said}"
        );
    }
    // Without Go, and without what Go built before.
    let output = Command::new(program("playground")?)
        .args(["--plain", "--real"])
        .env("TMPDIR", keeper.directory())
        .env("PATH", "/nowhere")
        .env("HELIOGRAPH_TOOLS_CACHE", keeper.directory())
        .env_remove("KUBEBUILDER_ASSETS")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success() && said.contains("install Go 1.26 or later"),
        "{said}"
    );
    ensure!(said.contains("or leave out --real"), "{said}");
    let runs = std::fs::read_dir(keeper.directory())?.flatten();
    let left: Vec<_> = runs
        .map(|it| it.file_name())
        .filter(|it| it.to_string_lossy().starts_with("heliograph-"))
        .collect();
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}

/// Whether `heliograph status`, which groups problems by reason, has what a line begins with.
fn has_reason(status: &str, beginning: &str) -> bool {
    status.contains(beginning.trim_end_matches(": "))
}

impl Playground {
    /// Starts one, in a place of its own, and waits until it says what to try.
    async fn start(scene: &Scene, flags: &str) -> anyhow::Result<Self> {
        let keeper = Keeper::new("newcomer")?;
        let temporary = keeper.directory().join("tmp");
        std::fs::create_dir(&temporary)?;
        let Found::Ready(assets) = assets::find_or_build()? else {
            anyhow::bail!("there is no kubectl");
        };
        let system = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{system}", assets.directory().display());
        let mut command = Command::new(program("playground")?);
        command
            .args(flags.split_whitespace())
            .env("TMPDIR", &temporary)
            .env("PATH", &path)
            .env_remove("CARGO");
        let process = Arc::new(Mutex::new(keeper.spawn("playground", &command)?));
        let shown = Arc::clone(&process);
        scene.on_failure(move || {
            shown
                .try_lock()
                .map_or_else(|_| String::new(), |it| it.log())
        });
        let playground = Self {
            process,
            keeper,
            temporary,
            path,
        };
        eventually("it says what to try", async || {
            ensure!(playground.process.lock().await.is_running(), "it has ended");
            ensure!(playground.said()?.contains("Ctrl-C ends it all"), "not yet");
            Ok(())
        })
        .await?;
        Ok(playground)
    }

    fn said(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(
            self.keeper.directory().join("playground.log"),
        )?)
    }

    /// The line that it printed and that has this in it.
    fn line(&self, part: &str) -> anyhow::Result<String> {
        let said = self.said()?;
        let line = said
            .lines()
            .find(|it| it.starts_with("  ") && it.contains(part) && !it.contains("# "));
        Ok(line
            .with_context(|| format!("no line with {part:?} in\n{said}"))?
            .trim()
            .to_owned())
    }

    /// Runs a line as somebody types it who has typed the first one before.
    async fn type_in(&self, line: &str) -> anyhow::Result<String> {
        let first = self.line("export KUBECONFIG=")?;
        let output = tokio::process::Command::new("sh")
            .args(["-c", &format!("{first}\n{line}")])
            .env("TMPDIR", &self.temporary)
            .env("HOME", &self.temporary)
            .env("PATH", &self.path)
            .kill_on_drop(true)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{line}: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn type_line_with(&self, part: &str) -> anyhow::Result<String> {
        self.type_in(&self.line(part)?).await
    }

    /// What `heliograph status` prints; where there are problems, it does not exit with 0.
    async fn reflector_status(&self) -> anyhow::Result<String> {
        let line = self.line("heliograph status")?;
        self.type_in(&format!("{line} || [ $? -le 2 ]")).await
    }

    /// How many mirrors each source has, as the playground says.
    async fn counted(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        let status = self.type_line_with("playground status").await?;
        let rows = status
            .lines()
            .filter(|it| it.contains(" synced ") || it.contains(" stale "));
        let counts = rows.filter_map(|row| {
            let cells: Vec<_> = row.split_whitespace().collect();
            Some(((*cells.first()?).to_owned(), cells.get(3)?.parse().ok()?))
        });
        Ok(counts.collect())
    }

    async fn numbers_are_kubectls(&self, n_sources: usize) -> anyhow::Result<()> {
        let line = self.line("-l heliograph.dev/source=east")?;
        let ask = format!("{line} --no-headers");
        let all = line.replace(
            "-l heliograph.dev/source=east",
            "-l heliograph.dev/source -L heliograph.dev/source --no-headers",
        );
        // Services come and go in the meantime, so that one try may see them in between.
        eventually("kubectl counts as the playground does", async || {
            let counted = self.counted().await?;
            ensure!(counted.len() == n_sources, "{counted:?}");
            let rows = self.type_in(&all).await?;
            let mut seen = BTreeMap::new();
            for source in rows.lines().filter_map(|it| it.split_whitespace().last()) {
                *seen.entry(source.to_owned()).or_insert(0) += 1;
            }
            ensure!(counted == seen, "{counted:?}, kubectl says {seen:?}");
            let of_east = self.type_in(&ask).await?.lines().count();
            ensure!(
                12 <= of_east && Some(&of_east) == counted.get("east"),
                "{of_east}"
            );
            Ok(())
        })
        .await
    }

    async fn lines_do_what_they_say(&self) -> anyhow::Result<()> {
        let there = self.type_line_with("--show-labels").await?;
        ensure!(
            there.contains("web ") && there.contains("internal "),
            "{there}"
        );
        let exported = self.type_line_with("east-emitter").await?;
        ensure!(
            exported.contains("web ") && !exported.contains("internal "),
            "{exported}"
        );
        let slices = self.type_line_with("get endpointslices").await?;
        ensure!(slices.contains("web-1-"), "{slices}");

        self.imports_what_is_exported().await?;
        self.type_line_with("label services,endpointslices").await?;
        self.is_mirrored("internal", true).await?;
        self.type_line_with("delete service east-demo").await?;
        self.is_mirrored("web", true).await?;
        self.type_line_with("delete service cache").await?;
        self.is_mirrored("cache", false).await?;
        let asked = self.reflector_status().await?;
        let status = self.type_line_with("playground status").await?;
        for word in ["NameTooLong: ", "InvalidAddress: "] {
            ensure!(
                has_reason(&asked, word) && status.contains(word),
                "{asked}\n{status}"
            );
        }
        Ok(())
    }

    async fn is_mirrored(&self, name: &str, wanted: bool) -> anyhow::Result<()> {
        let what = format!("{name} is mirrored: {wanted}");
        eventually(&what, async || {
            let here = self.type_line_with("-l heliograph.dev/source=east").await?;
            ensure!(
                here.contains(&format!("-73736d-{name} ")) == wanted,
                "{here}"
            );
            Ok(())
        })
        .await
    }

    async fn a_fault_removes_nothing(&self, fault: &str, word: &str) -> anyhow::Result<()> {
        let line = format!("{} {fault}", self.line("break east")?);
        self.type_in(&line).await?;
        eventually("the view says so", async || {
            let status = self.type_line_with("playground status").await?;
            ensure!(
                status.contains(SOURCE_DISCONNECTED) && status.contains(word),
                "{status}"
            );
            Ok(())
        })
        .await?;
        // In the same words as the reflector.
        let asked = self.reflector_status().await?;
        ensure!(asked.contains(SOURCE_DISCONNECTED), "{asked}");
        let identities = format!(
            "{} -o jsonpath='{{.items[*].metadata.uid}}'",
            self.line("-l heliograph.dev/source=east")?
        );
        let before = self.type_in(&identities).await?;
        ensure!(11 <= before.split_whitespace().count(), "{before}");
        meanwhile("every mirror is there", async || {
            let now = self.type_in(&identities).await?;
            ensure!(now == before, "{before}\n{now}");
            Ok(())
        })
        .await?;
        self.type_line_with("heal east").await?;
        eventually("it is followed again", async || {
            let status = self.type_line_with("playground status").await?;
            ensure!(!status.contains(SOURCE_DISCONNECTED), "{status}");
            Ok(())
        })
        .await
    }

    async fn wrong_names_are_told(&self) -> anyhow::Result<()> {
        let line = self
            .line("break east")?
            .replace("break east", "break nroth");
        let refusal = self.type_in(&line).await.err().context("it is content")?;
        let refusal = refusal.to_string();
        ensure!(
            refusal.contains("no source \"nroth\"; choose one of east, west"),
            "{refusal}"
        );
        Ok(())
    }

    /// Ends it, and looks for processes and files of it.
    async fn leaves_nothing(&self, signal: &str) -> anyhow::Result<()> {
        let folder = self.line("export KUBECONFIG=")?;
        let folder = folder
            .trim_start_matches("export KUBECONFIG=")
            .trim_end_matches("/kubeconfig")
            .to_owned();
        ensure!(Path::new(&folder).is_dir(), "{folder}");
        ensure!(
            !processes_with(&folder).is_empty(),
            "no process of {folder} was found"
        );
        let mut process = self.process.lock().await;
        process.signal(signal)?;
        let code =
            tokio::time::timeout(std::time::Duration::from_secs(30), process.wait()).await??;
        ensure!(code == Some(0), "it ended with {code:?}");
        // What was killed with it may take a moment to be gone.
        eventually("no process is left", async || {
            let left = processes_with(&folder);
            ensure!(left.is_empty(), "processes are left: {left:?}");
            Ok(())
        })
        .await?;
        let files = std::fs::read_dir(&self.temporary)?
            .flatten()
            .map(|it| it.file_name());
        let files: Vec<_> = files
            .filter(|it| it.to_string_lossy().starts_with("heliograph"))
            .collect();
        ensure!(files.is_empty(), "files are left: {files:?}");
        Ok(())
    }
}

/// The processes that have a text in their command line.
fn processes_with(text: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
    let lines = lines.map(|it| String::from_utf8_lossy(&it).replace('\0', " "));
    lines.filter(|it| it.contains(text)).collect()
}
