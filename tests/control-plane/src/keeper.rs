//! Processes that never outlive the test, however it ends.
//!
//! A keeper is a shell that waits for its standard input to close, which happens when
//! the test drops it, ends, panics or is killed. Then it kills every process that was
//! started through it and removes its directory.
//!
//! Invariants: a process notes its group, as the name of a file, before it becomes what
//! it is to be, and does not become it if the keeper has begun to clean up; so none is
//! ever lost, whatever the others are called. A note goes when its process has ended,
//! so the keeper never kills a stranger to whom the number has passed.

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

/// Kills also what is stopped: SIGKILL does not wait for SIGCONT. What was killed may
/// still write for a moment, so the directory may need a second try.
const KEEP: &str = r#"
while read -r _; do :; done
cd "$1" || exit
mv groups ended
for group in ended/*; do
    kill -s KILL -- "-${group##*/}" 2>/dev/null
done
# A program that was killed may have had a keeper of its own in here.
find . \( -path '*/groups/*' -o -path '*/ended/*' \) -type f 2>/dev/null | while read -r group; do
    case "${group##*/}" in *[!0-9]*) continue ;; esac
    kill -s KILL -- "-${group##*/}" 2>/dev/null
done
cd /
for _ in 1 2 3 4 5; do
    rm -rf "$1" 2>/dev/null && exit
    sleep 1
done
"#;

/// Notes its process group, then becomes the program.
const REGISTER: &str = r#": > "$0/$$" && exec "$@""#;

/// Owns processes and a directory.
#[derive(Debug)]
pub struct Keeper {
    directory: PathBuf,
    shell: Child,
}

/// One process of a keeper.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// Open, so that it can be read when the directory has gone with the keeper.
    log: fs::File,
    note: PathBuf,
}

impl Keeper {
    /// A keeper with an empty directory.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix(format!("heliograph-{name}-"))?.keep();
        fs::create_dir(directory.join("groups"))?;
        let shell = Command::new("sh")
            .args(["-c", KEEP, "keeper"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal goes to the test, not to what cleans up after it.
            .process_group(0)
            .spawn()
            .context("cannot run sh")?;
        Ok(Self { directory, shell })
    }

    /// The directory, which goes with the keeper.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a program. What it prints goes to a file; see [`Process::log`].
    pub fn spawn(&self, name: &str, program: &Command) -> anyhow::Result<Process> {
        let output = fs::File::options()
            .create(true)
            .append(true)
            .read(true)
            .open(self.directory.join(format!("{name}.log")))?;
        let groups = self.directory.join("groups");
        let mut command = Command::new("sh");
        command
            .args(["-c", REGISTER])
            .arg(&groups)
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(program.get_current_dir().unwrap_or(&self.directory))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?);
        for (key, value) in program.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Process {
            name: name.to_owned(),
            note: groups.join(child.id().to_string()),
            child,
            log: output,
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Process {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The end of what it printed, also after its keeper has gone.
    #[must_use]
    pub fn log(&self) -> String {
        let length = self.log.metadata().map_or(0, |it| it.len());
        let mut text = vec![0; usize::try_from(length.min(LOG_BYTES)).unwrap_or_default()];
        let from = length.saturating_sub(LOG_BYTES);
        // At a place of its own, for the process goes on writing at its end.
        let n_read = self.log.read_at(&mut text, from).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[..n_read]);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.len().saturating_sub(LOG_LINES);
        lines[last..].join("\n")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.ended(), Ok(None))
    }

    /// Stops it where it is: what it serves accepts connections and never answers.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// Lets it go on after a pause.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    /// Sends a signal, by name: `TERM`, `KILL`, `STOP`, `CONT`, `HUP`, `INT`.
    pub fn signal(&mut self, name: &str) -> anyhow::Result<()> {
        let signal = match name {
            "TERM" => Signal::TERM,
            "KILL" => Signal::KILL,
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            "HUP" => Signal::HUP,
            "INT" => Signal::INT,
            _ => bail!("there is no signal {name}"),
        };
        // An ended process has no number any more; another may have it.
        ensure!(self.is_running(), "{} has ended", self.name);
        self.send(signal)
    }

    /// Waits for its end; the code is absent if a signal ended it.
    pub async fn wait(&mut self) -> anyhow::Result<Option<i32>> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status.code());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to end, also out of a pause, and waits.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if self.is_running() {
            self.send(Signal::TERM)?;
            self.send(Signal::CONT)?;
        }
        let ended = tokio::time::timeout(Duration::from_secs(20), self.wait()).await;
        ended.with_context(|| format!("{} does not end", self.name))??;
        Ok(())
    }

    /// Ends it at once.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if self.is_running() {
            self.send(Signal::KILL)?;
        }
        self.wait().await?;
        Ok(())
    }

    fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        let ended = self.child.try_wait()?;
        if ended.is_some() && self.note.exists() {
            // What it started itself goes with it, while the group is known to be its own.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = fs::remove_file(&self.note);
        }
        Ok(ended)
    }

    /// To one that was seen running: until [`Process::ended`] is asked again, its number
    /// stays its own, even when it ends.
    fn send(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }
}

/// Enough to see why, little enough to read.
const LOG_LINES: usize = 60;
const LOG_BYTES: u64 = 256 * 1024;
