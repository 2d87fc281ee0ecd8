//! Processes that never outlive the test, however it ends.
//!
//! A keeper is a shell that waits for its standard input to close, which happens when
//! the test drops it, ends, panics or is killed. Then it kills every process that was
//! started through it and removes its directory. Processes tell it their process
//! group before they become what they are to be, so that there is no moment in which
//! one could be lost.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

/// Kills also what is stopped: SIGKILL does not wait for SIGCONT.
const KEEP: &str = r#"
while read -r _; do :; done
cd "$1" || exit
for group in groups/*; do
    [ -f "$group" ] && kill -s KILL -- "-$(cat "$group")" 2>/dev/null
done
cd / && rm -rf "$1"
"#;

/// Notes its process group, then becomes the program.
const REGISTER: &str = r#"echo $$ > "$0" && exec "$@""#;

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
    log: PathBuf,
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
        let log = self.directory.join(format!("{name}.log"));
        let output = fs::File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new("sh");
        command
            .args(["-c", REGISTER])
            .arg(self.directory.join("groups").join(name))
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(program.get_current_dir().unwrap_or(&self.directory))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
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
            child,
            log,
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

    /// The end of what it printed.
    #[must_use]
    pub fn log(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = fs::File::open(&self.log) {
            let _ = file.read_to_end(&mut text);
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.len().saturating_sub(LOG_LINES);
        lines[last..].join("\n")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal, by name: `TERM`, `KILL`, `STOP`, `CONT`.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.child.id().to_string())
            .status()?;
        anyhow::ensure!(status.success(), "cannot send SIG{signal} to {}", self.name);
        Ok(())
    }

    /// Waits for its end; the code is absent if a signal ended it.
    pub async fn wait(&mut self) -> anyhow::Result<Option<i32>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to end, and waits.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if self.is_running() {
            self.signal("TERM")?;
        }
        let ended = tokio::time::timeout(Duration::from_secs(20), self.wait()).await;
        ended.with_context(|| format!("{} does not end", self.name))??;
        Ok(())
    }

    /// Ends it at once.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if self.is_running() {
            self.signal("KILL")?;
        }
        self.wait().await?;
        Ok(())
    }
}

/// Enough to see why, little enough to read.
const LOG_LINES: usize = 60;
