//! The `emitter` program.

use clap::Parser;
use emitter::config::{Args, Config};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::try_from(Args::parse())?;
    let (format, filter) = &config.log;
    runtime::log::init(*format, filter);
    let max_files = runtime::files::raise_limit();
    tracing::debug!(?max_files, "each consumer takes one");
    let shutdown = runtime::shutdown::on_signal()?;
    emitter::run(config, shutdown).await
}
