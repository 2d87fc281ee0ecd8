//! What the kernel says a process used.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

/// A process of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

/// The unit of times in /proc; 100 a second on every Linux that we run on.
const TICKS_A_SECOND: f64 = 100.0;

impl Process {
    /// The process whose command line has this in it.
    pub(crate) fn find(part: &str) -> anyhow::Result<Self> {
        let output = Command::new("pgrep").args(["-f", "--", part]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let this = std::process::id();
        let pids = text.lines().filter_map(|line| line.parse().ok());
        let mut pids = pids.filter(|pid| *pid != this);
        let pid = pids
            .next()
            .with_context(|| format!("no process has {part}"))?;
        Ok(Self(pid))
    }

    /// This one.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    /// User and system time so far.
    pub(crate) fn cpu(self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The name, in parentheses, may contain spaces; what follows does not.
        let (_, rest) = stat.rsplit_once(") ").context("/proc has another form")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(Duration::from_secs_f64(ticks / TICKS_A_SECOND))
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(self) -> anyhow::Result<f64> {
        self.status("VmRSS:")
    }

    /// The most that was ever resident, in bytes.
    pub(crate) fn peak_memory(self) -> anyhow::Result<f64> {
        self.status("VmHWM:")
    }

    fn status(self, key: &str) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find(|line| line.starts_with(key));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kib.context("/proc has another form")?.parse::<f64>()? * 1024.0)
    }
}
