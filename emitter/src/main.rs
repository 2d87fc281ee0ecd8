//! The `emitter` program.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    emitter::main(emitter::config::Args::parse()).await
}
