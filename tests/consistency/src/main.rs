//! Judges recorded watch traffic.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;

use clap::Parser;

/// Decide whether what clients received is a legal view of what happened upstream.
#[derive(Debug, Parser)]
struct Args {
    /// Recording: lines of JSON, first the truth, then one for each client
    recording: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let recording = BufReader::new(File::open(&args.recording)?);
    let (n_clients, illegal) = consistency::record::judge_all(recording)?;
    let mut out = std::io::stdout().lock();
    for (name, why) in &illegal {
        writeln!(out, "{name}: {why}")?;
    }
    writeln!(out, "{n_clients} clients, {} illegal", illegal.len())?;
    anyhow::ensure!(illegal.is_empty(), "some histories are illegal");
    Ok(())
}
