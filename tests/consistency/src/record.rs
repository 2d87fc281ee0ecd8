//! Recorded traffic as lines of JSON: one line for the truth, one for each client.

use std::io::BufRead;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::judge::{Illegal, Judge, Seen};
use crate::truth::{Truth, View};

/// One line of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// What happened upstream; before all clients.
    Truth(Truth),
    /// What one client received.
    Client {
        /// Name.
        name: String,
        /// Views under which it was served.
        views: Vec<View>,
        /// Record.
        seen: Vec<Seen>,
    },
}

/// Judges all clients of a recording. Returns their number and the violations.
pub fn judge_all(lines: impl BufRead) -> anyhow::Result<(usize, Vec<(String, Illegal)>)> {
    let mut lines = lines.lines();
    let first = lines.next().context("the recording is empty")??;
    let Line::Truth(truth) = serde_json::from_str(&first).context("line 1")? else {
        anyhow::bail!("line 1 is not the truth");
    };
    let judge = Judge::new(&truth);
    let (mut n_clients, mut illegal) = (0, Vec::new());
    for (line, number) in lines.zip(2..) {
        let line = serde_json::from_str(&line?).with_context(|| format!("line {number}"))?;
        let Line::Client { name, views, seen } = line else {
            anyhow::bail!("line {number} is not a client");
        };
        n_clients += 1;
        if let Err(why) = judge.judge(&views, &seen) {
            illegal.push((name, why));
        }
    }
    Ok((n_clients, illegal))
}
